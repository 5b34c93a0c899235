// sysmon: the thread that takes Ps away from Ms that block in the kernel while goroutines wait.
//
// It needs no P and is started when first needed. It is needed only while no P is idle and there is something
// to run: whoever then publishes work, or blocks with work in its queue, wakes it. At all other times it
// sleeps for good, so a process that waits uses no CPU.
#include <ctime>

#include "runtime/gmp.h"
#include "runtime/timer.h"

namespace fairlead::runtime {
namespace {

enum : uint32_t { kAbsent, kAsleep, kAwake };

constexpr int64_t kShortestNap = 20'000;  // nanoseconds; a section shorter than this keeps its P
constexpr int64_t kLongestNap = 10'000'000;
constexpr int kPatientRounds = 50;  // without success, before naps grow

constinit std::atomic<uint32_t> state{kAbsent};
constinit std::atomic<bool> anyBlocked{false};  // some M has been in a BlockingSection
constinit ThreadRequest request;

bool workWithoutP() {
  return sched.npidle.load(std::memory_order_seq_cst) == 0 && (workExists() || timers.pending());
}

// countAsM() keeps checkdead from taking the moment for the end in which we hold a P and no M runs.
void countAsM(int change) {
  sched.lock.lock();
  sched.mcount += change;
  if (change < 0) checkdead();
  sched.lock.unlock();
}

// retake() takes each P that is still in the section it was in at the last look.
bool retake() {
  bool any = false;
  for (uint32_t i = 0; i < sched.nprocs; ++i) {
    P* p = sched.allp[i];
    if (p->status.load(std::memory_order_relaxed) != PStatus::Syscall) continue;
    const uint32_t tick = p->syscalltick.load(std::memory_order_relaxed);
    if (p->sysmontick != tick) {
      p->sysmontick = tick;
      continue;
    }
    countAsM(1);
    PStatus blocked = PStatus::Syscall;
    if (p->status.compare_exchange_strong(blocked, PStatus::Running, std::memory_order_acq_rel)) {
      p->syscalltick.store(tick + 1, std::memory_order_relaxed);
      handoffp(p);
      any = true;
    }
    countAsM(-1);
  }
  return any;
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
  int64_t nap = kShortestNap;
  int rounds = 0;
  for (;;) {
    if (!workWithoutP()) {
      sleepUntilNeeded();
      rounds = 0;
    }
    if (rounds == 0) nap = kShortestNap;
    if (rounds > kPatientRounds) nap = std::min(2 * nap, kLongestNap);
    const timespec span{.tv_sec = 0, .tv_nsec = nap};
    nanosleep(&span, nullptr);
    rounds = retake() ? 0 : rounds + 1;
  }
}

}  // namespace

void noteBlocking(P* p) {
  const bool first = !anyBlocked.load(std::memory_order_relaxed);
  if (first) anyBlocked.store(true, std::memory_order_seq_cst);
  if (first || !p->runq.empty() || sched.runqsize.load(std::memory_order_relaxed) != 0 || timers.pending()) {
    wakeSysmonIfNeeded();
  }
}

void wakeSysmonIfNeeded() {
  uint32_t seen = state.load(std::memory_order_seq_cst);
  if (seen == kAwake || !anyBlocked.load(std::memory_order_seq_cst) || !workWithoutP()) return;
  if (!state.compare_exchange_strong(seen, kAwake)) return;
  if (seen == kAsleep) return futexWake(state);
  request = {.start = sysmon};
  newThread(request);
}

}  // namespace fairlead::runtime
