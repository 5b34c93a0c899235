// Goroutines wired to their thread.
//
// Between a goroutine and the thread it has locked there are two pointers, G::lockedm and M::lockedg, and a
// count on the M. A locked goroutine that parks puts its own thread to sleep where it is (stoplockedm); who
// makes it ready wakes that thread with an idle P (handToLocked) or, when there is none, queues it like any
// other, and the M that then picks it from the queue gives away its own P (startlockedm).
//
// A locked thread may be in another network namespace or working directory, and the kernel gives a new thread
// whatever its creator has. So a locked thread never makes one: the template thread does, which is started
// before the first such need, while by the contract of startTemplateThread() its creator is still clean, and
// which else only makes processes, for the same reason.
#include <unistd.h>

#include <limits>
#include <utility>

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/panic.h"
#include "runtime/runtime.h"
#include "runtime/trace.h"

namespace fairlead::runtime {
namespace {

struct Template {
  Lock lock;
  ThreadRequest* requests = nullptr;  // under lock
  bool waiting = false;               // under lock: the note must be set
  Note note;
  std::atomic<bool> started{false};
  ThreadRequest self;
};

constinit Template templateThread;

void* templateLoop(void*) {
  registerHelperThread();
  for (;;) {
    templateThread.lock.lock();
    ThreadRequest* requests = std::exchange(templateThread.requests, nullptr);
    templateThread.waiting = requests == nullptr;
    templateThread.lock.unlock();
    if (requests == nullptr) templateThread.note.sleep();
    while (requests != nullptr) {
      ThreadRequest& request = *std::exchange(requests, requests->next);
      if (request.onTemplate)
        request.start(request.arg);
      else
        startThread(request);
    }
  }
}

// dolockOSThread() links both; before main there is no goroutine yet, and runMain makes the link.
void dolockOSThread(M* m, G* gp) {
  m->lockedg.store(gp, std::memory_order_relaxed);
  gp->lockedm.store(m, std::memory_order_relaxed);
}

void dounlockOSThread(M* m, G* gp) {
  m->lockedg.store(nullptr, std::memory_order_relaxed);
  gp->lockedm.store(nullptr, std::memory_order_relaxed);
}

// lockTarget() is the M that a lock of the caller concerns: during static initialisation the startup
// thread's.
[[gnu::cold, gnu::noinline]] M* startupTarget() {
  if (mainG.status.load(std::memory_order_relaxed) != GStatus::Dead || gettid() != getpid()) {
    fatal("lockOSThread: called on a thread that is not the runtime's");
  }
  return &m0;
}

M* lockTarget() {
  M* m = getmOrNull();
  return m != nullptr ? m : startupTarget();
}

// The first lock starts the template thread, as in Go, while the caller is still clean. In a program without
// a second goroutine that can wait: schedinit() does it.
bool templateThreadMissing() {
  return sched.multi.load(std::memory_order_relaxed) &&
         !templateThread.started.load(std::memory_order_relaxed);
}

[[noreturn, gnu::cold, gnu::noinline]] void tooManyLocks() { throw Panic("LockOSThread nesting overflow"); }

[[gnu::always_inline]] inline void countLock(M* m) {
  const uint32_t count = m->lockedExt.load(std::memory_order_relaxed);
  if (count == std::numeric_limits<uint32_t>::max()) tooManyLocks();
  m->lockedExt.store(count + 1, std::memory_order_relaxed);
  if (m->curg != nullptr) dolockOSThread(m, m->curg);
}

[[gnu::cold, gnu::noinline]] void lockFirst() {
  M* m = lockTarget();
  if (templateThreadMissing()) startTemplateThread();
  countLock(m);
}

// spareable() tells whether m's P may stay with its thread for a while though it runs nobody: the world goes
// on, and no work is queued but what a spinner is about to take.
bool spareable() {
  if (sched.gcwaiting.load(std::memory_order_relaxed)) return false;
  return sched.nmspinning.load(std::memory_order_relaxed) != 0 || !queuedWorkExists();
}

}  // namespace

// What follows is flat, its rare parts elsewhere: registers saved for those would be half of its time.
void lockOSThread() {
  M* m = getmOrNull();
  if (m == nullptr || templateThreadMissing()) return lockFirst();
  countLock(m);
}

void unlockOSThread() {
  M* m = lockTarget();
  const uint32_t count = m->lockedExt.load(std::memory_order_relaxed);
  if (count == 0) return;
  m->lockedExt.store(count - 1, std::memory_order_relaxed);
  if (count > 1 || m->lockedInt.load(std::memory_order_relaxed) != 0 || m->curg == nullptr) return;
  dounlockOSThread(m, m->curg);
}

void lockInternal(M* m, G* gp) {
  m->lockedInt.store(m->lockedInt.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  dolockOSThread(m, gp);
}

void unlockInternal(M* m, G* gp) {
  const uint32_t count = m->lockedInt.load(std::memory_order_relaxed);
  if (count == 0) fatal("runtime: internal error: misuse of lockOSThread/unlockOSThread");
  m->lockedInt.store(count - 1, std::memory_order_relaxed);
  if (count > 1 || m->lockedExt.load(std::memory_order_relaxed) != 0) return;
  dounlockOSThread(m, gp);
}

void startTemplateThread() {
  if (templateThread.started.load(std::memory_order_relaxed) || templateThread.started.exchange(true)) return;
  templateThread.self = {.start = templateLoop};
  expectHelperThread();
  startThread(templateThread.self);
}

void newThreadFromTemplate(ThreadRequest& request) {
  startTemplateThread();
  templateThread.lock.lock();
  request.next = std::exchange(templateThread.requests, &request);
  const bool wake = std::exchange(templateThread.waiting, false);
  templateThread.lock.unlock();
  if (wake && !templateThread.note.wake()) fatal("template thread woken twice");
}

void runOnTemplateThread(void (*f)(void*), void* arg) {
  struct Job {
    void (*f)(void*);
    void* arg;
    Note done;
  } job{f, arg, {}};
  ThreadRequest request{.start = [](void* p) -> void* {
                          auto* job = static_cast<Job*>(p);
                          job->f(job->arg);
                          if (!job->done.wake()) fatal("template thread: job done twice");
                          return nullptr;
                        },
                        .arg = &job,
                        .onTemplate = true};
  newThreadFromTemplate(request);
  job.done.sleep();
}

// parkLocked() is the end of gopark() for a locked goroutine. As long as its waits are short the thread keeps
// its P over them, and counts as running: a P that goes from CPU to CPU and back takes two dozen cache lines
// along.
void parkLocked(M* m, UnlockFn unlock, void* arg) {
  G* gp = m->curg;
  const bool lingers = sched.nprocs.load(std::memory_order_relaxed) > 1 && m->note.mayLinger() &&
                       m->p->runq.nextEmpty() && spareable();
  if (lingers) m->note.announceLinger();
  if (unlock != nullptr) unlock(gp, arg);
  if (!lingers || !m->note.linger(spareable)) return stoplockedm(m);
  if (gp->status.load(std::memory_order_relaxed) != GStatus::Runnable) fatal("parkLocked: not runnable");
  resume(m, gp, false);
}

// stoplockedm() sleeps until m's goroutine may run again, on the stack of that goroutine.
void stoplockedm(M* m) {
  G* gp = m->curg;
  if (m->lockedg.load(std::memory_order_relaxed) != gp || gp->lockedm.load(std::memory_order_relaxed) != m) {
    fatal("stoplockedm: inconsistent locking");
  }
  if (m->p != nullptr) handoffp(releasep(m));
  sched.nmidlelocked.fetch_add(1, std::memory_order_seq_cst);
  // Whoever has a P calls checkdead() itself when it finds no work, after us.
  if (sched.npidle.load(std::memory_order_seq_cst) == sched.nprocs.load(std::memory_order_relaxed)) {
    sched.lock.lock();
    checkdead();
    sched.lock.unlock();
  }
  m->note.sleep();
  if (gp->status.load(std::memory_order_relaxed) != GStatus::Runnable) fatal("stoplockedm: not runnable");
  acquirep(m, std::exchange(m->nextp, nullptr));
  resume(m, gp, false);
}

// runLocked() wakes the thread of gp with `p`.
void runLocked(G* gp, P* p) {
  M* locked = gp->lockedm.load(std::memory_order_relaxed);
  sched.nmidlelocked.fetch_sub(1, std::memory_order_relaxed);
  trace(TraceKind::HandOff, gp);
  locked->nextp = p;
  if (!locked->note.wake()) fatal("runLocked: m has p");
}

// wakeLingering() wakes the thread of gp if it has kept its P.
bool wakeLingering(G* gp) {
  if (!gp->lockedm.load(std::memory_order_relaxed)->note.wakeLingering()) return false;
  trace(TraceKind::HandOff, gp);
  return true;
}

// startlockedm() gives m's P to the thread of gp, which m picked from a queue but must not run, unless that
// has one.
void startlockedm(M* m, G* gp) {
  if (gp->lockedm.load(std::memory_order_relaxed) == m) fatal("startlockedm: locked to me");
  if (wakeLingering(gp)) return;
  runLocked(gp, releasep(m));
}

// handToLocked() wakes the thread of gp, with an idle P if it has not kept its own. Returns false when there
// is none.
bool handToLocked(G* gp) {
  if (wakeLingering(gp)) return true;
  if (sched.npidle.load(std::memory_order_relaxed) == 0) return false;
  sched.lock.lock();
  P* p = pidleget();
  sched.lock.unlock();
  if (p == nullptr) return false;
  runLocked(gp, p);
  return true;
}

}  // namespace fairlead::runtime
