// Mutex: Go's sync.Mutex. Not recursive, and not bound to its owner: another goroutine may unlock it. Usable
// with std::lock_guard and std::unique_lock, and as small as their mutex.
//
// The wait is fair in the end. Normally who comes first when the mutex is free gets it, and that is mostly
// one that is running already: good for throughput. A goroutine that has waited for more than a millisecond
// is handed the mutex directly, before any newcomer.
//
// It may be destroyed as soon as it is free and nobody waits for it, even if the last unlock() has not
// returned yet. For goroutines only, except that any thread may call try_lock() and unlock().
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/lock.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime {

class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() {
    uint32_t free = 0;
    if (!state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire)) lockSlow(free);
  }

  // try_lock() (the standard's spelling) fails when the mutex is held, or promised to one who waits.
  [[nodiscard]] bool try_lock() {
    uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & (kLocked | kStarving)) == 0) {
      if (state_.compare_exchange_weak(state, state | kLocked, std::memory_order_acquire)) return true;
    }
    return false;
  }

  // unlock() of an unlocked mutex is fatal: "sync: unlock of unlocked mutex".
  void unlock() {
    uint32_t held = kLocked;
    if (!state_.compare_exchange_strong(held, 0, std::memory_order_release)) unlockSlow(held);
  }

 private:
  enum : uint32_t {
    kLocked = 1,
    kWaiters = 2,   // the queue is not empty; written under guard_
    kStarving = 4,  // unlock() passes the mutex to the first of the queue; written under guard_
    kWoken = 8,     // one is awake that wants it, woken or spinning: unlock() need not wake another
  };

  void lockSlow(uint32_t state);
  void unlockSlow(uint32_t state);
  bool spin(uint32_t state, int round, bool& awake);
  bool enqueue(Waiter& self, bool& awake, bool starving);
  Waiter* release();

  std::atomic<uint32_t> state_{0};
  Lock guard_{LockRank::Chan};
  WaitList waiters_;
};

}  // namespace fairlead::runtime
