// What each step of a verb took and on which OS thread, for `-v`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::plugin {

struct TraceEntry {
  std::string what;    // the step, in words an operator can type where there are some
  int64_t micros = 0;  // how long it took
  pid_t tid = 0;       // the OS thread it ran on
};

// traceEnable() starts collecting; there is no way back. traceEnabled() is a relaxed load: ask it before
// building text.
void traceEnable();
bool traceEnabled();

// traceNote() remembers one step; nothing happens unless enabled. Any goroutine may call it.
void traceNote(std::string_view what, int64_t micros, pid_t tid);

// traceEntries() returns the steps in the order in which they ended.
std::vector<TraceEntry> traceEntries();

// TraceSpan notes what its own lifetime took, on the thread on which it ends. `what` must outlive it.
class TraceSpan {
 public:
  explicit TraceSpan(std::string_view what);
  ~TraceSpan();
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  std::string_view what_;
  int64_t start_;  // nanoseconds of the monotonic clock; 0: not enabled
};

}  // namespace fairlead::plugin
