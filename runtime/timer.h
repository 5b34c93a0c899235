// Internal: the goroutines that sleep, by time.
//
// One heap for all, under one lock. An M that has nothing else to do keeps it: it sleeps until the first
// timer is due, so that no thread and no P is held by a sleeping goroutine, and no thread beyond that one
// watches the clock. Ms that are busy look at it whenever they come through the scheduler.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "runtime/g.h"
#include "runtime/lock.h"

namespace fairlead::runtime {

struct P;

// Timer lives on the stack of the goroutine that sleeps.
struct Timer {
  int64_t when = 0;  // nanotime()
  G* gp = nullptr;
  Timer* child = nullptr;    // pairing heap: the leftmost of those that come later,
  Timer* sibling = nullptr;  // and the next of those with the same parent
};

class Timers {
 public:
  constexpr Timers() = default;

  // add() may make timer.gp ready at once: the goroutine must have left its stack.
  void add(Timer& timer);
  // run() makes the goroutines ready whose time has come, on p, which the caller owns.
  void run(P* p);
  // keep() is called by an M that has given up its P. It returns false at once when there is no timer or
  // there is a keeper already, else true when a timer may be due.
  bool keep();

  [[nodiscard]] bool pending() const { return next_.load(std::memory_order_seq_cst) != kNever; }
  // wantKeeper() says that a P is idle, whose M could keep the timers, and nobody does.
  [[nodiscard]] bool wantKeeper() const;

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  Lock lock_;
  Timer* root_ = nullptr;              // under lock_
  std::atomic<int64_t> next_{kNever};  // when of the root; written under lock_
  std::atomic<bool> kept_{false};
  std::atomic<uint32_t> changes_{0};  // the keeper sleeps on it; bumped when the first timer changes
};

extern Timers timers;

}  // namespace fairlead::runtime
