// Internal: all other threads of the scheduler held in a signal handler, so that goroutines can be looked at.
//
// Go stops the world for this; that needs every goroutine to come to a safe point, and a program that is
// looked into often has one that does not. A signal reaches every thread, except those in an uninterruptible
// call. What a halted thread was doing it may be holding a lock for, malloc's too: whoever halts others must
// not allocate, and must not take a lock, until it lets them go on.
#pragma once

#include "runtime/backtrace.h"
#include "runtime/lock.h"

namespace fairlead::runtime {

struct M;

// haltLock is held around a Halt by whoever looks into a program that goes on.
extern Lock haltLock;

class Halt {
 public:
  // Waits until all have halted, at most a tenth of a second. One Halt at a time; a dying program may begin
  // another.
  Halt();
  ~Halt();
  Halt(const Halt&) = delete;
  Halt& operator=(const Halt&) = delete;

  // of() is what m's thread was doing; nullptr: it has not halted.
  [[nodiscard]] static const Backtrace* of(const M& m);

  // on() says that m's thread has halted on the stack from low to high.
  [[nodiscard]] static bool on(const M& m, const void* low, const void* high);
};

}  // namespace fairlead::runtime
