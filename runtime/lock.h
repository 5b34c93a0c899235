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

// LockRank says what may be taken while what is held: a higher rank under a lower one, and nothing else.
// Builds with FAIRLEAD_LOCK_RANKS check it, and stop with "lock ordering problem". (Go: lockrank.)
enum class LockRank : uint8_t {
  Outer,  // held over other work of the runtime: one look into all goroutines at a time, and the like
  Timed,  // of a timer or a descriptor, over the heap of timers
  Chan,   // of what a goroutine parks for, held until it has left its stack; a select holds several, taken in
          // the order of their addresses
  Leaf    // nothing is taken under it
};

class Lock;

#if defined(FAIRLEAD_LOCK_RANKS)
inline constexpr bool kCheckLockRanks = true;
#else
inline constexpr bool kCheckLockRanks = false;
#endif

void rankAcquire(const Lock* lock, LockRank rank);
void rankRelease(const Lock* lock);

class Lock {
 public:
  constexpr explicit Lock([[maybe_unused]] LockRank rank = LockRank::Leaf)
#if defined(FAIRLEAD_LOCK_RANKS)
      : rank_(rank)
#endif
  {
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() {
    acquirem();
    if constexpr (kCheckLockRanks) rankAcquire(this, rank());
    if (held_.exchange(1, std::memory_order_acquire) != 0) lockSlow();
  }

  // unlock() may be called by another goroutine than lock(), on the same thread: gopark's unlock callback
  // does. It is a load and a store, half the price of an exchange for the pair: whoever begins to sleep
  // between the two may not be woken, and looks again by itself after kOversight. The load is of another word
  // than the one that was exchanged, for which it would have to wait. Once the lock is free nothing is
  // touched: it may be gone.
  void unlock() {
    if constexpr (kCheckLockRanks) rankRelease(this);
    const bool sleepers = sleepers_.load(std::memory_order_relaxed) != 0;
    if (sleepers) sleepers_.store(0, std::memory_order_relaxed);
    held_.store(0, std::memory_order_release);
    if (sleepers) futexWake(sleepers_);
    releasem();
  }

 private:
  void lockSlow();

#if defined(FAIRLEAD_LOCK_RANKS)
  [[nodiscard]] LockRank rank() const { return rank_; }
  LockRank rank_;
#else
  [[nodiscard]] static LockRank rank() { return LockRank::Leaf; }
#endif
  std::atomic<uint32_t> held_{0};
  std::atomic<uint32_t> sleepers_{0};  // 1: threads sleep on this word, or are about to
};

}  // namespace fairlead::runtime
