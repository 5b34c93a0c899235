#include "runtime/sync.h"

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/panic.h"

namespace fairlead::runtime {
namespace {

constexpr int64_t kStarving =
    1'000'000;  // nanoseconds of waiting after which fairness comes before throughput
constexpr int kSpins = 4;
constexpr int kPausesPerSpin = 30;

void unlock(G*, void* lock) { static_cast<Lock*>(lock)->unlock(); }

// worthSpinning() is true when the owner can be running and we keep nobody from running.
bool worthSpinning() {
  const M* m = getm();
  return sched.nprocs > 1 && sched.npidle.load(std::memory_order_relaxed) + 1 < sched.nprocs &&
         m->p != nullptr && m->p->runq.empty();
}

}  // namespace

// A waiter that was woken competes with newcomers, who are already running and mostly win: good for
// throughput, and it goes back to the front of the queue. After a millisecond it declares the mutex starving:
// unlock then passes ownership to the first waiter without ever making the mutex free, until the queue is
// empty or its head has waited less than that.
void Mutex::lockSlow() {
  for (int i = 0; i < kSpins && worthSpinning(); ++i) {
    for (int pause = 0; pause < kPausesPerSpin; ++pause) cpuRelax();
    uint32_t free = 0;
    if (state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire)) return;
  }
  Waiter self{.gp = getm()->curg, .since = nanotime()};
  for (bool woken = false;; woken = true) {
    guard_.lock();
    if (woken) woken_ = false;
    const bool free = (state_.fetch_or(kLocked | kWaiters, std::memory_order_acquire) & kLocked) == 0;
    if (free) {
      if (waiters_.empty()) state_.store(kLocked, std::memory_order_relaxed);
      guard_.unlock();
      return;
    }
    if (woken && nanotime() - self.since > kStarving) starving_ = true;
    woken ? waiters_.pushFront(&self) : waiters_.pushBack(&self);
    gopark(runtime::unlock, &guard_, WaitReason::MutexLock);
    if (self.granted) return;
  }
}

void Mutex::unlockSlow() {
  guard_.lock();
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if ((state & kLocked) == 0) fatal("sync: unlock of unlocked mutex");
  Waiter* next = nullptr;
  if (starving_) {
    next = waiters_.pop();
    next->granted = true;
    starving_ = !waiters_.empty() && nanotime() - next->since > kStarving;
    if (waiters_.empty()) state_.store(kLocked, std::memory_order_relaxed);
  } else {
    if (!woken_) next = waiters_.pop();
    woken_ = woken_ || next != nullptr;
    state_.store(waiters_.empty() ? 0U : kWaiters, std::memory_order_release);
  }
  guard_.unlock();
  if (next != nullptr) goready(next->gp);
}

void WaitGroup::add(int delta) {
  guard_.lock();
  const int64_t before = std::exchange(counter_, counter_ + delta);
  const bool reused = delta > 0 && before == 0 && !waiters_.empty();
  WaitList released;
  if (counter_ == 0) waiters_.takeAll(released);
  const bool negative = counter_ < 0;
  guard_.unlock();
  if (negative) throw Panic("sync: negative WaitGroup counter");
  if (reused) throw Panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  while (Waiter* w = released.pop()) goready(w->gp);
}

// wait() looks under the lock although a plain look would do: once it returns the group may be destroyed, and
// the lock tells that the last add() has let go of it.
void WaitGroup::wait() {
  guard_.lock();
  if (counter_ == 0) return guard_.unlock();
  Waiter self{.gp = getm()->curg};
  waiters_.pushBack(&self);
  gopark(runtime::unlock, &guard_, WaitReason::WaitGroupWait);
  guard_.lock();
  const bool reused = counter_ != 0;
  guard_.unlock();
  if (reused) throw Panic("sync: WaitGroup is reused before previous Wait has returned");
}

}  // namespace fairlead::runtime
