// The world stopped, and the number of Ps, which changes only then.
//
// Stopping means to own every P. Idle ones and those of threads in a BlockingSection are taken; a running one
// is given up by its M at the next place where it looks for work, or parks, or polls: gcstopm(), or stopP()
// where no M is left. The last one wakes the stopper, who meanwhile looks again every 100 microseconds for Ps
// that have gone into a section, and repeats its request to the others.
#include <algorithm>
#include <utility>

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "runtime/timer.h"
#include "runtime/trace.h"

namespace fairlead::runtime {
namespace {

constexpr int64_t kLookAgain = 100'000;  // nanoseconds

constinit Mutex worldsema;  // held while the world is stopped or about to be

// takeSyscallPs() takes the Ps whose Ms are in a BlockingSection. sched.lock held.
void takeSyscallPs() {
  for (uint32_t i = 0; i < sched.nprocs; ++i) {
    P* p = sched.p(i);
    PStatus blocked = PStatus::Syscall;
    if (p->status.compare_exchange_strong(blocked, PStatus::GcStop, std::memory_order_acq_rel)) {
      p->syscalltick.store(p->syscalltick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      sched.stopwait.fetch_sub(1, std::memory_order_acq_rel);
    }
  }
}

void waitForOthers() {
  for (uint32_t left = 0; (left = sched.stopwait.load(std::memory_order_acquire)) != 0;) {
    preemptall();
    futexSleep(sched.stopwait, left, nanotime() + kLookAgain);
    sched.lock.lock();
    takeSyscallPs();
    sched.lock.unlock();
  }
}

// retire() moves what a P holds that is to be no more: its queue goes to the head of the global one.
void retire(P* p) {
  const uint32_t others = sched.runq.size();
  p->runq.drain([](G* gp) { sched.runq.push(gp); });
  sched.runq.rotate(others);
  sched.runqsize.store(sched.runq.size(), std::memory_order_seq_cst);
  while (p->gfreeCount > 0) sched.gfree.push(p->gfree[--p->gfreeCount]);
  preemptServed(p);  // a request nobody serves any more would keep every poll point slow
  p->status.store(PStatus::Dead, std::memory_order_relaxed);
}

// procresize() makes n Ps of which the caller's M keeps one. World stopped, sched.lock held, and all Ps made.
void procresize(M* m, uint32_t n) {
  const uint32_t old = sched.nprocs.load(std::memory_order_relaxed);
  if (n == old) return;
  if (m->p->id >= n) {
    P* mine = releasep(m);
    mine->status.store(PStatus::GcStop, std::memory_order_relaxed);
    sched.p(0)->status.store(PStatus::Running, std::memory_order_relaxed);
    acquirep(m, sched.p(0));
  }
  for (uint32_t i = n; i < old; ++i) retire(sched.p(i));
  for (uint32_t i = old; i < n; ++i) sched.p(i)->status.store(PStatus::GcStop, std::memory_order_relaxed);
  sched.nprocs.store(n, std::memory_order_relaxed);
  sched.stealOrder.reset(n);
}

// releaseWorld() makes every other P idle, or returns it in the list of those that have work.
P* releaseWorld(const P* mine) {
  P* runnable = nullptr;
  for (uint32_t i = 0; i < sched.nprocs; ++i) {
    P* p = sched.p(i);
    if (p == mine) continue;
    if (p->runq.empty()) {
      pidleput(p);
    } else {
      p->status.store(PStatus::Running, std::memory_order_relaxed);
      p->link = std::exchange(runnable, p);
    }
  }
  return runnable;
}

}  // namespace

void stopTheWorld() {
  worldsema.lock();
  acquirem();
  M* m = getm();
  if (m->p == nullptr) fatal("stopTheWorld: inside a BlockingSection");
  trace(TraceKind::StopWorld, m->curg);
  sched.lock.lock();
  sched.stopwait.store(sched.nprocs - 1, std::memory_order_relaxed);
  sched.gcwaiting.store(true, std::memory_order_seq_cst);
  takeSyscallPs();
  while (P* p = pidleget()) {
    p->status.store(PStatus::GcStop, std::memory_order_relaxed);
    sched.stopwait.fetch_sub(1, std::memory_order_acq_rel);
  }
  sched.lock.unlock();
  waitForOthers();
}

void startTheWorld() {
  M* m = getm();
  sched.lock.lock();
  P* runnable = releaseWorld(m->p);
  sched.gcwaiting.store(false, std::memory_order_seq_cst);
  sched.lock.unlock();
  while (runnable != nullptr) startm(std::exchange(runnable, runnable->link), false, nullptr);
  // The others may have left work in the global queue, or timers that nobody keeps.
  wakep();
  trace(TraceKind::StartWorld, m->curg);
  releasem();
  worldsema.unlock();
}

void stopP(P* p) {
  p->status.store(PStatus::GcStop, std::memory_order_relaxed);
  if (sched.stopwait.fetch_sub(1, std::memory_order_acq_rel) == 1) futexWake(sched.stopwait);
}

void gcstopm(M* m) {
  if (m->spinning) stopSpinning(m);
  if (G* gp = std::exchange(m->nextg, nullptr)) {
    m->p->runq.put(gp, true, globrunqputAll);
  }
  sched.lock.lock();
  if (!sched.gcwaiting.load(std::memory_order_relaxed)) return sched.lock.unlock();
  stopP(releasep(m));
  sched.lock.unlock();
  stopm(m);
}

int setMaxProcs(int n) {
  if (!sched.multi.load(std::memory_order_relaxed)) schedinit();
  stopTheWorld();
  const uint32_t before = sched.nprocs.load(std::memory_order_relaxed);
  if (n > 0) {
    const uint32_t wanted = std::min(static_cast<uint32_t>(n), Sched::kMaxProcs);
    for (uint32_t i = sched.allpcount; i < wanted; ++i) sched.allp[i] = newP(i);
    sched.allpcount.store(std::max(sched.allpcount.load(), wanted), std::memory_order_release);
    sched.lock.lock();
    procresize(getm(), wanted);
    sched.lock.unlock();
  }
  startTheWorld();
  return static_cast<int>(before);
}

}  // namespace fairlead::runtime
