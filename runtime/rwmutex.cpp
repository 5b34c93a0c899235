#include "runtime/rwmutex.h"

#include "runtime/fatal.h"

namespace fairlead::runtime {

void RWMutex::lockSharedSlow() { readable_.acquire(WaitReason::RWMutexRLock); }

bool RWMutex::try_lock_shared() {
  int32_t readers = readers_.load(std::memory_order_relaxed);
  while (readers >= 0) {
    if (readers_.compare_exchange_weak(readers, readers + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

// A writer waits for this reader, or there is none.
void RWMutex::unlockSharedSlow(int32_t before) {
  if (before == 0 || before == -kMaxReaders) fatal("sync: RUnlock of unlocked RWMutex");
  if (leaving_.fetch_sub(1, std::memory_order_acq_rel) == 1) writable_.release();
}

// The readers there were when the writer came are those it waits for. Some may have left, and made leaving_
// negative, before they are added to it.
void RWMutex::lock() {
  writers_.lock();
  const int32_t before = readers_.fetch_sub(kMaxReaders, std::memory_order_acquire);
  if (before != 0 && leaving_.fetch_add(before, std::memory_order_acq_rel) + before != 0) {
    writable_.acquire(WaitReason::RWMutexLock);
  }
}

bool RWMutex::try_lock() {
  if (!writers_.try_lock()) return false;
  int32_t none = 0;
  if (readers_.compare_exchange_strong(none, -kMaxReaders, std::memory_order_acquire)) return true;
  writers_.unlock();
  return false;
}

void RWMutex::unlock() {
  const int32_t waiting = readers_.fetch_add(kMaxReaders, std::memory_order_release) + kMaxReaders;
  if (waiting >= kMaxReaders) fatal("sync: Unlock of unlocked RWMutex");
  if (waiting > 0) readable_.release(static_cast<uint32_t>(waiting));
  writers_.unlock();
}

}  // namespace fairlead::runtime
