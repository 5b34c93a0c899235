// RWMutex: Go's sync.RWMutex, held by any number of readers or by one writer. Usable with std::shared_lock
// and std::unique_lock.
//
// A writer that waits keeps new readers out, so writers do not starve; readers that waited for a writer go
// before the next one. Therefore a goroutine that reads must not ask to read again: with a writer between the
// two both would wait for ever. Not bound to its owner: another goroutine may unlock it. For goroutines only,
// except that any thread may unlock.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/mutex.h"
#include "runtime/sema.h"

namespace fairlead::runtime {

class RWMutex {
 public:
  constexpr RWMutex() = default;
  RWMutex(const RWMutex&) = delete;
  RWMutex& operator=(const RWMutex&) = delete;

  // For writing. unlock() of one that is not locked is fatal: "sync: Unlock of unlocked RWMutex".
  void lock();
  [[nodiscard]] bool try_lock();
  void unlock();

  // For reading (Go: RLock, TryRLock, RUnlock). unlock_shared() of one that nobody reads is fatal: "sync:
  // RUnlock of unlocked RWMutex".
  void lock_shared() {
    if (readers_.fetch_add(1, std::memory_order_acquire) < 0) lockSharedSlow();
  }
  [[nodiscard]] bool try_lock_shared();
  void unlock_shared() {
    const int32_t before = readers_.fetch_sub(1, std::memory_order_release);
    if (before <= 0) unlockSharedSlow(before);
  }

  // RLocker is the reading side as a lock of its own, for a Cond or a std::lock_guard.
  class RLocker {
   public:
    explicit RLocker(RWMutex& mutex) : mutex_(mutex) {}
    void lock() { mutex_.lock_shared(); }
    void unlock() { mutex_.unlock_shared(); }

   private:
    RWMutex& mutex_;
  };
  RLocker rlocker() { return RLocker(*this); }

 private:
  static constexpr int32_t kMaxReaders = 1 << 30;

  void lockSharedSlow();
  void unlockSharedSlow(int32_t before);

  Mutex writers_;                    // held by the one writer there may be
  std::atomic<int32_t> readers_{0};  // less kMaxReaders while a writer waits or writes
  std::atomic<int32_t> leaving_{0};  // readers that the writer waits for
  Sema readable_;
  Sema writable_;
};

}  // namespace fairlead::runtime
