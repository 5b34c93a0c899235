// Cond: Go's sync.Cond, where goroutines wait until somebody says that something has changed.
//
//     std::unique_lock lock(mutex);
//     while (queue.empty()) changed.wait(lock);     // or changed.wait(lock, [&] { return !queue.empty(); })
//
// There is no wake-up that nobody asked for, and the wait is first come, first served; yet another goroutine
// may have been at the mutex first, hence the loop. signal() and broadcast() need not hold the lock, and may
// be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/lock.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime {

class Cond {
 public:
  constexpr Cond() = default;
  Cond(const Cond&) = delete;
  Cond& operator=(const Cond&) = delete;

  // wait() unlocks `lock`, waits to be called, and locks it again. Any lock will do: a Mutex, a RWMutex or
  // its RLocker, a std::unique_lock over one of them.
  template <class L>
  void wait(L& lock) {
    const uint32_t ticket = draw();
    lock.unlock();
    waitFor(ticket);
    lock.lock();
  }

  template <class L, class Predicate>
  void wait(L& lock, Predicate ready) {
    while (!ready()) wait(lock);
  }

  // signal() wakes the one that has waited longest, if there is one.
  void signal();
  // broadcast() wakes all.
  void broadcast();

 private:
  uint32_t draw() { return drawn_.fetch_add(1, std::memory_order_acq_rel); }
  void waitFor(uint32_t ticket);

  // Tickets order those who wait from the moment in which they still hold the lock. They wrap around.
  std::atomic<uint32_t> drawn_{0};   // the next ticket to be drawn
  std::atomic<uint32_t> called_{0};  // the next to be called; written under guard_
  Lock guard_{LockRank::Chan};
  WaitList waiters_;  // those of them that have parked by now; in no strict order
};

}  // namespace fairlead::runtime
