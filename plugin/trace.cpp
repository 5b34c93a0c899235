#include "plugin/trace.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>

namespace fairlead::plugin {
namespace {

std::atomic<bool> enabled{false};

// A plain mutex: it is held for one append and never across a park, so it cannot hold up a thread's other
// goroutines.
std::mutex mutex;
std::vector<TraceEntry> entries;  // guarded by mutex

int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

}  // namespace

void traceEnable() { enabled.store(true, std::memory_order_relaxed); }

bool traceEnabled() { return enabled.load(std::memory_order_relaxed); }

void traceNote(std::string_view what, int64_t micros, pid_t tid) {
  if (!traceEnabled()) return;
  const std::lock_guard lock(mutex);
  entries.push_back({std::string(what), micros, tid});
}

std::vector<TraceEntry> traceEntries() {
  const std::lock_guard lock(mutex);
  return entries;
}

TraceSpan::TraceSpan(std::string_view what) : what_(what), start_(traceEnabled() ? now() : 0) {}

TraceSpan::~TraceSpan() {
  if (start_ != 0) traceNote(what_, (now() - start_) / 1000, ::gettid());
}

}  // namespace fairlead::plugin
