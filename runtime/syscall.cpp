// Stretches in which a thread may block in the kernel.
//
// The M leaves its P with status Syscall: an exchange of the status decides whether the M gets it back or
// somebody else has taken it meanwhile. The usual way in and out is one store and one exchange.
#include <utility>

#include "runtime/blocking.h"
#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/trace.h"

namespace fairlead::runtime {
namespace {

// requeue() gives gp a P, if one has become idle, or puts it on the global queue: in one step under the lock,
// so that whoever makes a P idle either leaves it to us or finds gp.
P* requeue(G* gp) {
  gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
  sched.lock.lock();
  P* p = pidleget();
  if (p == nullptr) {
    sched.runq.push(gp);
    sched.runqsize.store(sched.runq.size(), std::memory_order_seq_cst);
  }
  sched.lock.unlock();
  if (p == nullptr) wakeSysmonIfNeeded(kPreemptionPace);
  return p;
}

void requeueOffStack(G* gp, void*) {
  M* m = getm();
  P* p = requeue(gp);
  if (p == nullptr) return;
  acquirep(m, p);
  m->nextg = gp;
}

void leaveSection() {
  if (!sched.multi.load(std::memory_order_relaxed)) return;
  const int error = *getm()->thread.error;  // what the caller came for
  exitsyscall();
  *getm()->thread.error = error;
}

}  // namespace

void entersyscall() {
  const NoPreempt noPreempt;
  M* m = getm();
  if (m->syscallDepth++ > 0) return;
  trace(TraceKind::SyscallEnter, m->curg);
  P* p = std::exchange(m->p, nullptr);
  m->oldp = p;
  p->m.store(nullptr, std::memory_order_relaxed);
  m->curg->status.store(GStatus::Syscall, std::memory_order_relaxed);
  p->syscalltick.store(p->syscalltick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  p->status.store(PStatus::Syscall, std::memory_order_release);  // from here on p may be another's
  noteBlocking(p);
}

void entersyscallblock() {
  const NoPreempt noPreempt;
  M* m = getm();
  if (m->syscallDepth++ > 0) return;
  trace(TraceKind::SyscallEnter, m->curg);
  m->oldp = nullptr;
  m->curg->status.store(GStatus::Syscall, std::memory_order_relaxed);
  handoffp(releasep(m));
}

void exitsyscall() {
  const NoPreempt noPreempt;
  M* m = getm();
  if (--m->syscallDepth > 0) return;
  G* gp = m->curg;
  P* p = std::exchange(m->oldp, nullptr);
  PStatus left = PStatus::Syscall;
  if (p != nullptr && p->status.compare_exchange_strong(left, PStatus::Running, std::memory_order_acquire)) {
    m->p = p;
    p->m.store(m, std::memory_order_release);
    gp->status.store(GStatus::Running, std::memory_order_relaxed);
    trace(TraceKind::SyscallExit, gp);
    if (p->preempt.load(std::memory_order_relaxed)) gopreempt(m);
    return;
  }
  trace(TraceKind::SyscallWait, gp);
  if (gp->lockedm.load(std::memory_order_relaxed) == nullptr) {
    return switchAway(m, gp, requeueOffStack, nullptr, false);
  }
  p = requeue(gp);
  if (p == nullptr) return stoplockedm(m);
  acquirep(m, p);
  resume(m, gp, false);
}

BlockingSection::BlockingSection() {
  if (sched.multi.load(std::memory_order_relaxed)) entersyscall();
}

BlockingSection::~BlockingSection() { leaveSection(); }

namespace detail {

LongBlockingSection::LongBlockingSection() {
  if (sched.multi.load(std::memory_order_relaxed)) entersyscallblock();
}

LongBlockingSection::~LongBlockingSection() { leaveSection(); }

}  // namespace detail

}  // namespace fairlead::runtime
