// sysmon: the thread that takes Ps away from Ms that block in the kernel, and asks goroutines that run for
// long to yield, while others wait.
//
// It needs no P and is started when first needed. It is needed only while no P is idle and there is something
// to run: whoever then publishes work, or blocks with work in its queue, wakes it. When that has not been so
// for a while it sleeps for good, so a process that waits uses no CPU.
#include <ctime>

#include "runtime/gmp.h"
#include "runtime/keeper.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {

constinit SysmonState sysmonState;

namespace {

constexpr int64_t kShortestNap = 20'000;  // nanoseconds; a section shorter than this keeps its P
constexpr int64_t kLongestNap = 10'000'000;
constexpr int kPatientRounds = 50;         // without success, before naps grow
constexpr int kIdleRounds = 10;            // of the longest naps, before it sleeps for good
constexpr int64_t kSlice = 10'000'000;     // what a goroutine may run while others wait
constexpr int64_t kSignalAgain = 200'000;  // when a signal has come at a bad moment
constexpr int64_t kStuck = 100'000'000;    // without a change on any P

using enum SysmonState::Life;

constinit auto& state = sysmonState.state;
constinit auto& anyBlocked = sysmonState.anyBlocked;
constinit std::atomic<bool> hurry{false};  // woken for one that blocks: begin with short naps
constinit ThreadRequest request;

bool workWithoutP() {
  return sched.npidle.load(std::memory_order_seq_cst) == 0 && (workExists() || keeper.needed());
}

// countAsM() keeps checkdead from taking the moment for the end in which we hold a P and no M runs.
void countAsM(int change) {
  sched.lock.lock();
  sched.mcount += change;
  if (change < 0) checkdead();
  sched.lock.unlock();
}

// retakeBlocked() takes a P that is still in the section it was in at the last look, or whose slice is over:
// one section after another must not keep others out.
bool retakeBlocked(P* p, bool sliceOver) {
  const uint32_t tick = p->syscalltick.load(std::memory_order_relaxed);
  if (p->sysmontick != tick && !sliceOver) {
    p->sysmontick = tick;
    return false;
  }
  countAsM(1);
  PStatus blocked = PStatus::Syscall;
  const bool taken = p->status.compare_exchange_strong(blocked, PStatus::Running, std::memory_order_acq_rel);
  if (taken) {
    p->syscalltick.store(tick + 1, std::memory_order_relaxed);
    handoffp(p);
  }
  countAsM(-1);
  return taken;
}

// retake() returns true when it has helped somebody. A chain of goroutines that hand runnext to each other
// shares one slice, and is asked to yield as one.
bool retake(int64_t now) {
  static int64_t stuckSince = 0;
  bool any = false;
  bool stuck = true;
  for (uint32_t i = 0; i < sched.nprocs; ++i) {
    P* p = sched.p(i);
    const PStatus status = p->status.load(std::memory_order_relaxed);
    const uint32_t slice = p->schedtick.load(std::memory_order_relaxed);
    if (p->sysmonslice != slice || status == PStatus::Idle) {
      p->sysmonslice = slice;
      p->sysmonwhen = now;
    }
    stuck = stuck && now - p->sysmonwhen > kStuck && now - stuckSince > kStuck;
    const bool sliceOver = now - p->sysmonwhen >= kSlice;
    if (sliceOver && status != PStatus::Idle) preemptone(p);
    if (status == PStatus::Syscall) any = retakeBlocked(p, sliceOver) || any;
  }
  if (stuck) {
    stuckSince = now;
    allowOneMorePreempted();
  }
  return any;
}

// pollForBusyPs() looks at the network for Ms that do not come to it.
void pollForBusyPs() {
  if (!keeper.stale()) return;
  GQueue ready;
  countAsM(1);
  keeper.poll(ready);
  injectglist(ready, nullptr);
  countAsM(-1);
}

void sleepUntilNeeded() {
  state.store(kAsleep, std::memory_order_seq_cst);
  fullFence();
  uint32_t asleep = kAsleep;
  if (workWithoutP()) {
    state.compare_exchange_strong(asleep, kAwake);
    return;
  }
  while (state.load(std::memory_order_acquire) == kAsleep) futexSleep(state, kAsleep);
}

void* sysmon(void*) {
  registerHelperThread();
  int64_t nap = kShortestNap;
  int rounds = 0;
  int idle = 0;
  for (;;) {
    idle = workWithoutP() ? 0 : idle + 1;
    if (idle > 0 && nap == kLongestNap && idle > kIdleRounds) sleepUntilNeeded();
    if (hurry.exchange(false, std::memory_order_relaxed)) rounds = 0;
    if (rounds == 0) nap = kShortestNap;
    if (rounds > kPatientRounds) nap = std::min(2 * nap, kLongestNap);
    const timespec span{.tv_sec = 0, .tv_nsec = preemptionPending() ? std::min(nap, kSignalAgain) : nap};
    nanosleep(&span, nullptr);
    rounds = workWithoutP() && retake(nanotime()) ? 0 : rounds + 1;
    pollForBusyPs();
  }
}

}  // namespace

void noteBlocking(P* p) {
  const bool first = !anyBlocked.load(std::memory_order_relaxed);
  if (first) anyBlocked.store(true, std::memory_order_seq_cst);
  if (first || !p->runq.empty() || sched.runqsize.load(std::memory_order_relaxed) != 0 || keeper.needed()) {
    wakeSysmonIfNeeded(kBlockingPace);
  }
}

void wakeSysmonIfNeeded(SysmonPace pace) {
  if (!sysmonState.wakeable() || !workWithoutP()) return;
  if (state.load(std::memory_order_relaxed) == kAbsent) return startSysmon();
  if (pace == kBlockingPace) hurry.store(true, std::memory_order_relaxed);
  uint32_t asleep = kAsleep;
  if (state.compare_exchange_strong(asleep, kAwake)) futexWake(state);
}

// A goroutine that polls again and again while others wait is a reason to have one that watches the clock.
void pollWithoutSysmon(M* m) {
  if (state.load(std::memory_order_relaxed) != kAbsent || m->polls < kPollsBeforeStart) return;
  m->polls = 0;
  if (workWithoutP()) startSysmon();
}

void startSysmon() {
  uint32_t absent = kAbsent;
  if (!state.compare_exchange_strong(absent, kAwake)) return;
  detail::preemptWanted.fetch_sub(1, std::memory_order_relaxed);  // poll points need not look any more
  request = {.start = sysmon};
  expectHelperThread();
  newThread(request);
}

}  // namespace fairlead::runtime
