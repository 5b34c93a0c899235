// Mutex and WaitGroup: what they block is the goroutine, never the thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "runtime/lock.h"
#include "runtime/runtime.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime {

// Mutex is Go's sync.Mutex: not recursive, and not bound to its owner, another goroutine may unlock it.
// Usable with std::lock_guard and std::unique_lock. The wait is fair in the end: a goroutine that has waited
// for more than a millisecond is handed the mutex directly, before any newcomer.
class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() {
    uint32_t free = 0;
    if (!state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire)) lockSlow();
  }
  // try_lock() (the standard's spelling) fails when the mutex is held or promised to one who waits.
  bool try_lock() {
    uint32_t free = 0;
    return state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire);
  }
  // unlock() of an unlocked mutex is fatal: "sync: unlock of unlocked mutex".
  void unlock() {
    uint32_t held = kLocked;
    if (!state_.compare_exchange_strong(held, 0, std::memory_order_release)) unlockSlow();
  }

 private:
  enum : uint32_t { kLocked = 1, kWaiters = 2 };

  void lockSlow();
  void unlockSlow();

  std::atomic<uint32_t> state_{0};
  Lock guard_;  // guards the waiters, and state_ while kWaiters is set
  WaitList waiters_;
  bool woken_ = false;     // one has been woken and has not yet had its try: no need to wake another
  bool starving_ = false;  // unlock hands the mutex to the first waiter
};

// WaitGroup is Go's sync.WaitGroup: a counter, and those who wait for it to be zero.
class WaitGroup {
 public:
  constexpr WaitGroup() = default;
  WaitGroup(const WaitGroup&) = delete;
  WaitGroup& operator=(const WaitGroup&) = delete;

  // add() adds delta, which may be negative. At zero all waiters are released. Throws Panic when the counter
  // would become negative, or when it starts from zero while goroutines still wait.
  void add(int delta);
  void done() { add(-1); }
  // wait() blocks until the counter is zero. Throws Panic when the group was used anew before wait() had
  // returned.
  void wait();

  // go() runs f on a new goroutine that the group counts.
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
  Lock guard_;
  int64_t counter_ = 0;  // under guard_
  WaitList waiters_;     // under guard_
};

}  // namespace fairlead::runtime
