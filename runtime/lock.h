// Internal: the lock of the runtime's own structures. It blocks the thread, never the goroutine, and is held
// for tens of nanoseconds: never over a park (except by handing its release to gopark), a system call or user
// code. While it is held the thread cannot be preempted: the next one to want it would wait for a goroutine
// that waits for a P.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/futex.h"
#include "runtime/tls.h"

namespace fairlead::runtime {

class Lock {
 public:
  constexpr Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() {
    acquirem();
    uint32_t free = kFree;
    if (!word_.compare_exchange_strong(free, kHeld, std::memory_order_acquire)) lockSlow();
  }

  // unlock() may be called by another goroutine than lock(), on the same thread: gopark's unlock callback
  // does.
  void unlock() {
    if (word_.exchange(kFree, std::memory_order_release) == kContended) futexWake(word_);
    releasem();
  }

 private:
  enum : uint32_t { kFree, kHeld, kContended };
  static constexpr int kSpins = 100;

  void lockSlow() {
    for (int i = 0; i < kSpins; ++i) {
      uint32_t free = kFree;
      if (word_.load(std::memory_order_relaxed) == kFree &&
          word_.compare_exchange_weak(free, kHeld, std::memory_order_acquire)) {
        return;
      }
      cpuRelax();
    }
    while (word_.exchange(kContended, std::memory_order_acquire) != kFree) futexSleep(word_, kContended);
  }

  std::atomic<uint32_t> word_{kFree};
};

}  // namespace fairlead::runtime
