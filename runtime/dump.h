// Internal: what every goroutine is doing, as Go's traces show it. Nothing here takes a lock or allocates
// unless told that it may, so it can be used in signal handlers and in a program that is about to die.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "runtime/backtrace.h"
#include "runtime/g.h"
#include "runtime/print.h"
#include "runtime/symbols.h"

namespace fairlead::runtime {

// GoroutineState is a goroutine at one moment.
struct GoroutineState {
  uint64_t goid = 0;
  uint64_t parent = 0;      // goid of the one that called go(); 0: main
  uintptr_t createdAt = 0;  // the address that go() returned to
  GStatus status = GStatus::Dead;
  WaitReason waitReason = WaitReason::None;
  int64_t waited = 0;  // nanoseconds; 0: it does not wait, or did not wait for long
  bool locked = false;
  pid_t thread = 0;  // that runs it, or that it is wired to; 0: none
  int p = -1;        // whose token that thread has; -1: none
  Backtrace trace;   // empty: it runs on a thread that could not be asked

  // read() takes the state of g, and the backtrace: of one on a thread only while that is halted.
  void read(const G& g);
  // word() is what Go prints between the brackets: "running", "chan receive".
  [[nodiscard]] const char* word() const;
};

// DumpStyle says how much to print, and what may be done to make it readable.
struct DumpStyle {
  bool system = false;       // the runtime's own frames too
  bool mayAllocate = false;  // malloc may be called: not from a signal handler, nor when others are halted
};

// Dump prints goroutines one after the other, each after an empty line.
class Dump {
 public:
  Dump(const Printer& print, const DumpStyle& style) : print_(print), style_(style) {}

  void goroutine(const GoroutineState& state);
  // others() prints all goroutines but `except`.
  void others(const G* except);

  // place() is where in the code a frame is: "function+0x1c". Valid until the next call.
  const char* place(Frame frame);
  // shows() is false for the runtime's own frames that say nothing.
  bool shows(Frame frame);

 private:
  static constexpr size_t kLongestPlace = 512;

  void header(const GoroutineState& state) const;
  void frames(const Backtrace& trace);

  const Printer& print_;
  DumpStyle style_;
  Symbols symbols_;
  std::array<char, kLongestPlace> place_;
};

}  // namespace fairlead::runtime
