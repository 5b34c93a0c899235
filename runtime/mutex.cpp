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

// Patience is how many rounds a thread waits for an owner though it has other goroutines to run. Go never
// does; but a park and its wake-up cost more than most critical sections last, and four goroutines that two
// Ps run on one mutex park all the time. So it waits as long as that has lately been worth it, and tries
// again every now and then.
class Patience {
 public:
  [[nodiscard]] int rounds() const { return rounds_; }
  void paid() { rounds_ = kSpins; }
  void wasInVain() { rounds_ /= 2; }
  void parked() {
    if (rounds_ == 0 && ++parks_ % kTryAgain == 0) rounds_ = kSpins;
  }

 private:
  static constexpr uint32_t kTryAgain = 16;
  int rounds_ = kSpins;
  uint32_t parks_ = 0;
};

constinit thread_local Patience threadPatience;

// patience() is the calling thread's; not inlined, because a goroutine that parked may be on another one.
[[gnu::noinline]] Patience& patience() { return threadPatience; }

// roundsWorthSpinning() is 0 unless the owner can be running.
int roundsWorthSpinning() {
  const M* m = getm();
  const bool alone = sched.npidle.load(std::memory_order_relaxed) + 1 >= sched.nprocs;
  if (m->p == nullptr || alone) return 0;
  return m->p->runq.empty() ? kSpins : patience().rounds();
}

}  // namespace

// spin() waits a little for the owner. Meanwhile unlock() need not wake another one.
bool Mutex::spin(uint32_t state, int round, bool& awake) {
  if ((state & (kLocked | kStarving)) != kLocked || round >= roundsWorthSpinning()) return false;
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
      if (!state_.compare_exchange_strong(state, taken, std::memory_order_acquire)) continue;
      if (round > 0) patience().paid();
      return;
    } else {
      round > 0 ? patience().wasInVain() : patience().parked();
      if (!enqueue(self, awake, starving)) continue;
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
