// Internal: the return addresses on a stack, without allocation and without a lock, for dumps of a program
// that may be broken.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/g.h"

namespace fairlead::runtime {

struct Frame {
  uintptr_t exact : 1;  // the instruction that was running or would run next, not one to return to
  uintptr_t pc : 63;
};

struct Backtrace {
  static constexpr uint32_t kMost = 64;

  std::array<Frame, kMost> frames;
  uint32_t count = 0;
  bool elided = false;  // there were more

  // push() returns false when there is no room for another.
  bool push(uintptr_t pc, bool exact);
};

// callersBacktrace() unwinds the calling thread, through a signal handler too. It begins with the frame that
// is at `from`; nothing is left out when there is none.
void callersBacktrace(Backtrace& trace, uintptr_t from);

// parkedBacktrace() walks the frame pointers of a goroutine that has left its stack. It reads that stack and
// nothing else, so one that comes back meanwhile makes the result wrong and does no harm. Frames of code that
// was compiled without frame pointers are missing.
void parkedBacktrace(Backtrace& trace, const G& g);

}  // namespace fairlead::runtime
