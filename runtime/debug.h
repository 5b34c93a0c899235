// What the goroutines of this program are doing, for the program itself (Go: runtime.Stack).
//
// The other threads halt for as long as the goroutines are looked at, some tens of microseconds each. System
// calls that a signal interrupts are restarted, except for those that never are (nanosleep, poll,
// epoll_wait): they fail with EINTR. SIGRTMAX-1 is used for this, from the first call on. At most 100,000
// goroutines are shown.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::runtime {

// stackDump() is what the runtime prints when it dies: the calling goroutine and, if `all`, the others.
std::string stackDump(bool all);

// GoroutineInfo is a goroutine at one moment.
struct GoroutineInfo {
  uint64_t id = 0;
  uint64_t parent = 0;    // that called go(); 0: main
  std::string createdAt;  // where in the code that was
  std::string state;      // "running", "runnable", "syscall", or what it waits for: "chan receive"
  std::chrono::nanoseconds waited{};  // how long, exact to a time slice
  bool lockedToThread = false;
  int thread = 0;                  // that runs it, or that it is locked to; 0: none
  int p = -1;                      // which P that thread has; -1: none
  std::vector<std::string> stack;  // "function+0x1c", innermost first; empty: its thread could not be asked
};

// goroutines() are all of them, the caller first.
std::vector<GoroutineInfo> goroutines();

}  // namespace fairlead::runtime
