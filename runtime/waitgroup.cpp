// Counting costs one atomic addition, and waiting for nothing one load. Whoever brings the counter to zero
// and finds waiters is the only one to touch the group after that, and they cannot be gone before it has
// released them.
#include "runtime/waitgroup.h"

#include "runtime/gmp.h"
#include "runtime/panic.h"

namespace fairlead::runtime {
namespace {

void unlockGuard(G*, void* guard) { static_cast<Lock*>(guard)->unlock(); }

}  // namespace

void WaitGroup::add(int32_t delta) {
  const uint64_t change = static_cast<uint64_t>(int64_t{delta}) << kCounterShift;
  const uint64_t state = state_.fetch_add(change, std::memory_order_acq_rel) + change;
  const auto counter = static_cast<int32_t>(state >> kCounterShift);
  const auto waiting = static_cast<uint32_t>(state);
  if (counter < 0) throw Panic("sync: negative WaitGroup counter");
  if (waiting == 0) return;
  if (delta > 0 && counter == delta) throw Panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  if (counter > 0) return;
  WaitList released;
  guard_.lock();
  waiters_.takeAll(released);
  const bool reused = state_.exchange(0, std::memory_order_relaxed) != state;
  guard_.unlock();
  while (Waiter* w = released.pop()) goready(w->gp);
  if (reused) throw Panic("sync: WaitGroup misuse: Add called concurrently with Wait");
}

void WaitGroup::wait() {
  if (state_.load(std::memory_order_acquire) >> kCounterShift == 0) return;
  Waiter self{.gp = getm()->curg};
  guard_.lock();
  uint64_t state = state_.load(std::memory_order_acquire);
  do {
    if (state >> kCounterShift == 0) return guard_.unlock();
  } while (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire));
  waiters_.pushBack(&self);
  gopark(unlockGuard, &guard_, WaitReason::WaitGroupWait);
  if (state_.load(std::memory_order_relaxed) != 0) {
    throw Panic("sync: WaitGroup is reused before previous Wait has returned");
  }
}

}  // namespace fairlead::runtime
