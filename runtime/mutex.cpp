// The owner gives the mutex up in one exchange, or, where that also concerns the queue, under guard_: after
// the moment in which another can take it and destroy it, unlock() touches nothing.
#include "runtime/mutex.h"

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {
namespace {

constexpr int64_t kStarvation = 1'000'000;  // nanoseconds after which fairness comes before throughput
constexpr int kSpins = 4;
constexpr int kPausesPerSpin = 30;

void unlockGuard(G*, void* guard) { static_cast<Lock*>(guard)->unlock(); }

// worthSpinning() is true when the owner can be running and we keep nobody from running.
bool worthSpinning() {
  const M* m = getm();
  return sched.nprocs > 1 && sched.npidle.load(std::memory_order_relaxed) + 1 < sched.nprocs &&
         m->p != nullptr && m->p->runq.empty();
}

}  // namespace

// spin() waits a little for the owner. Meanwhile unlock() need not wake another one.
bool Mutex::spin(uint32_t state, int round, bool& awake) {
  if ((state & (kLocked | kStarving)) != kLocked || round >= kSpins || !worthSpinning()) return false;
  if (!awake && (state & (kWaiters | kWoken)) == kWaiters) {
    awake = state_.compare_exchange_strong(state, state | kWoken, std::memory_order_relaxed);
  }
  for (int i = 0; i < kPausesPerSpin; ++i) cpuRelax();
  return true;
}

// enqueue() parks until woken, unless there has been a change: then it returns false. `awake` and kWoken go
// together.
bool Mutex::enqueue(Waiter& self, bool& awake, bool starving) {
  guard_.lock();
  uint32_t state = state_.load(std::memory_order_relaxed);
  uint32_t waiting = state | kWaiters | (starving ? kStarving : 0U);
  if (awake) waiting &= ~kWoken;
  if ((state & (kLocked | kStarving)) == 0 ||
      !state_.compare_exchange_strong(state, waiting, std::memory_order_relaxed)) {
    guard_.unlock();
    return false;
  }
  const bool waited = self.since != 0;
  if (!waited) self.since = nanotime();
  waited ? waiters_.pushFront(&self) : waiters_.pushBack(&self);
  gopark(unlockGuard, &guard_, WaitReason::MutexLock);
  awake = !self.granted;
  return true;
}

void Mutex::lockSlow(uint32_t state) {
  checkpoint();
  Waiter self{.gp = getm()->curg};
  bool awake = false;
  bool starving = false;
  for (int round = 0;; state = state_.load(std::memory_order_relaxed)) {
    if (spin(state, round, awake)) {
      ++round;
    } else if ((state & (kLocked | kStarving)) == 0) {
      const uint32_t taken = (state | kLocked) & ~(awake ? kWoken : 0U);
      if (state_.compare_exchange_strong(state, taken, std::memory_order_acquire)) return;
    } else if (enqueue(self, awake, starving)) {
      if (self.granted) return;
      starving = nanotime() - self.since > kStarvation;
      round = 0;
    }
  }
}

// release() gives the mutex up under guard_, to the first of the queue or to whoever takes it. It returns the
// one to wake.
Waiter* Mutex::release() {
  uint32_t state = state_.load(std::memory_order_relaxed);
  if ((state & kStarving) != 0) {  // locked and not for newcomers: nobody else writes the state now
    Waiter* next = waiters_.pop();
    next->granted = true;
    const bool more = !waiters_.empty();
    const bool still = more && nanotime() - next->since > kStarvation;
    state_.fetch_and(~((more ? 0U : kWaiters) | (still ? 0U : kStarving)), std::memory_order_release);
    return next;
  }
  Waiter* next = (state & kWoken) == 0 ? waiters_.pop() : nullptr;
  const uint32_t gone = kLocked | (waiters_.empty() ? kWaiters : 0U);
  const uint32_t woken = next != nullptr ? kWoken : 0U;
  while (!state_.compare_exchange_weak(state, (state & ~gone) | woken, std::memory_order_release)) {
  }
  return next;
}

void Mutex::unlockSlow(uint32_t state) {
  for (;;) {
    if ((state & kLocked) == 0) fatal("sync: unlock of unlocked mutex");
    if ((state & kStarving) != 0 || (state & (kWaiters | kWoken)) == kWaiters) break;
    if (state_.compare_exchange_weak(state, state & ~kLocked, std::memory_order_release)) return;
  }
  guard_.lock();
  Waiter* next = release();
  guard_.unlock();
  if (next != nullptr) goready(next->gp);
}

}  // namespace fairlead::runtime
