// WaitGroup: Go's sync.WaitGroup, a counter and those who wait for it to be zero.
//
//     WaitGroup group;
//     for (Link& link : links) group.go([&link] { link.setUp(); });
//     group.wait();
//
// It can be used again, and destroyed, as soon as all wait()s have returned. add() and done() may be called
// from any thread, wait() from goroutines, or where the counter is zero.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "runtime/lock.h"
#include "runtime/runtime.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime {

class WaitGroup {
 public:
  constexpr WaitGroup() = default;
  WaitGroup(const WaitGroup&) = delete;
  WaitGroup& operator=(const WaitGroup&) = delete;

  // add() adds delta, which may be negative, to the counter. At zero all waiters are released. Throws Panic
  // when the counter would become negative, or when it starts from zero while goroutines still wait.
  void add(int32_t delta);
  void done() { add(-1); }

  // wait() blocks until the counter is zero. Throws Panic when the group was used anew before wait() had
  // returned.
  void wait();

  // go() runs f on a new goroutine that the group counts. An exception that leaves f ends the program, as for
  // any goroutine.
  template <class F>
  void go(F&& f) {
    add(1);
    runtime::go([this, f = std::forward<F>(f)]() mutable {
      struct Done {
        WaitGroup* group;
        ~Done() { group->done(); }
      } done{this};
      std::move(f)();
    });
  }

 private:
  static constexpr int kCounterShift = 32;

  std::atomic<uint64_t> state_{0};  // the counter, signed, above; below, the number of waiters
  Lock guard_{LockRank::Chan};      // guards the queue, and the growth of the lower half
  WaitList waiters_;
};

}  // namespace fairlead::runtime
