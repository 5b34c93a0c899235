// The scheduler: which goroutine runs next, and how a goroutine leaves and comes back.
//
// Goroutines (G) are run by threads (M) that hold one of a fixed number of tokens (P). Runnable goroutines
// wait in the ring of the P that made them runnable, in its runnext slot, or in the global queue. An M
// without work steals, gives its P back, and sleeps. Two things have to be right for this to work: nobody may
// resume a goroutine before its thread has left the goroutine's stack, and no goroutine may be left waiting
// while a P lies idle.
//
// Leaving a stack. gopark does not release what the goroutine waits for (a channel's lock, say) on the
// goroutine's own stack: the next one to take that lock could make the goroutine ready and run it elsewhere,
// and two threads would be on one stack. It leaves a note on its M (afterSwitch), switches, and whoever
// continues on that thread runs the note first: arrive(). Every place that continues after a switch calls it,
// the first instruction of a new goroutine included. Where the next goroutine is at hand we switch to it
// directly, else to g0, the thread's scheduler stack; searching and sleeping is done only there. A locked
// goroutine is the exception: no other thread ever runs it, so it parks by putting its thread to sleep where
// it is.
//
// Waking threads. Threads cost microseconds to put to sleep and to wake, goroutines a fraction of one, so
// threads must be neither too few nor too many. Rejected: one wake-up for each goroutine made ready (most
// such threads find nothing: the waker parks at once and its P takes the work); handing the P over at each
// wake-up (thrashes caches, and loses the locality that runnext buys); central bookkeeping of who has work (a
// lock in every operation). Instead an M that runs out of work spins for a short time, that is, searches all
// queues while counted in nmspinning, and:
//   - who makes a goroutine runnable publishes it, then, past a full fence, starts one spinning M if there is
//   an idle P
//     and nobody spins (wakep). While somebody spins, it is that one's business.
//   - an M that found work while spinning stops being counted and looks at all queues again: work for which
//   nobody was
//     woken on its account is now its to wake somebody for.
//   - who makes a P idle, spinning before or not, looks at all queues again after the P is on the idle list.
// In each pair one side writes A and reads B, the other writes B and reads A, with a full fence between: at
// least one of the two sees the other. Drop the second look, or take it before the count or the list is
// written, and a goroutine can lie in a queue with all threads asleep. Go wakes another thread whenever a
// spinner finds work, without looking; the look costs less than the thread, and a hand-off between two
// goroutines then involves two threads and not three.
//
// Time slices. A goroutine made ready goes to runnext and runs as soon as its waker parks. Two that keep
// waking each other would so exclude all others; after kMaxInherit such hand-offs runnext goes to the tail of
// the ring. Every 61st slice the global queue comes first, every 251st what waits for the network. When a
// goroutine from the ring has used up its slice and goes to the global queue, one comes from there: 61 slices
// of 10 milliseconds are most of a second, and goroutines would enter faster than they leave (in Go they do).
#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/held_locks.h"
#include "runtime/keeper.h"
#include "runtime/netpoll.h"
#include "runtime/runtime.h"
#include "runtime/timer.h"
#include "runtime/trace.h"

namespace fairlead::runtime {
namespace {

constexpr uint32_t kGlobalTick = 61;
constexpr uint32_t kNetworkTick = 251;  // a system call: a hundredth of what is done meanwhile
constexpr uint32_t kMaxInherit = 100;
constexpr uint32_t kHandoffWeight = 12;
constexpr uint32_t kLooksAtClock = 64;  // switches; for the time of a park, which need not be exact
constexpr int kStealPasses = 4;
constexpr int64_t kRunnextPatience = 3'000;  // nanoseconds before a thief takes the slot of a P that runs

struct Picked {
  G* gp = nullptr;
  bool inherit = false;  // continues the time slice of the goroutine before it
};

// oneP() holds as long as the caller keeps its P: the number changes in a stopped world only.
bool oneP() { return sched.nprocs.load(std::memory_order_relaxed) == 1; }

[[gnu::cold, gnu::noinline]] void endTurn(P* p, G* gp) { p->runq.put(gp, false, globrunqputAll); }

Picked pickLocal(P* p) {
  const bool thieves = !oneP();
  if (G* gp = p->runq.getNext(thieves)) {
    if (++p->inherited <= kMaxInherit && !p->preempt.load(std::memory_order_relaxed)) return {gp, true};
    endTurn(p, gp);
  }
  p->inherited = 0;
  return {p->runq.get(thieves), false};
}

bool globalFirst(const P* p) {
  return p->schedtick.load(std::memory_order_relaxed) - p->globaltick >= kGlobalTick &&
         sched.runqsize.load(std::memory_order_relaxed) != 0;
}

G* lookAtGlobal(P* p) {
  p->globaltick = p->schedtick.load(std::memory_order_relaxed);
  return p->fromGlobal = globrunqget(p, 1);
}

bool networkFirst(const P* p) {
  return p->schedtick.load(std::memory_order_relaxed) % kNetworkTick == 0 && netpollWaiters() != 0;
}

// pickForSwitch() is the part of the search that may run on the stack of a goroutine that is about to leave
// it. nullptr: go and search on g0.
Picked pickForSwitch(M* m) {
  P* p = m->p;
  if (p == nullptr || m->exiting || globalFirst(p) || networkFirst(p) || timers.due()) return {};
  if (sched.gcwaiting.load(std::memory_order_relaxed)) return {};
  Picked next = pickLocal(p);
  if (next.gp == nullptr && sched.runqsize.load(std::memory_order_relaxed) != 0) {
    next.gp = globrunqget(p, RunQueue::kCapacity / 2);
  }
  if (next.gp == nullptr) return {};
  if (next.gp->lockedm.load(std::memory_order_relaxed) != nullptr) {
    m->nextg = next.gp;  // its thread gets our P: not from here
    return {};
  }
  return next;
}

// progresses() watches a running P for a moment: if it changes goroutines, it will come to its runnext by
// itself.
bool progresses(const P* victim) {
  if (victim->status.load(std::memory_order_relaxed) != PStatus::Running) return false;
  const uint32_t before = victim->switches.load(std::memory_order_relaxed);
  const int64_t until = nanotime() + kRunnextPatience;
  while (nanotime() < until) {
    if (victim->switches.load(std::memory_order_relaxed) != before) return true;
    cpuRelax();
  }
  return false;
}

G* stealWork(P* p) {
  for (int pass = 0; pass < kStealPasses; ++pass) {
    const bool last = pass == kStealPasses - 1;
    for (StealOrder::Walk walk = sched.stealOrder.walk(fastrand(p)); !walk.done(); walk.next()) {
      if (sched.gcwaiting.load(std::memory_order_relaxed)) return nullptr;
      P* victim = sched.p(walk.position());
      if (victim == p || victim->status.load(std::memory_order_relaxed) == PStatus::Idle) continue;
      const bool runnextToo =
          last && victim->runq.ringEmpty() && !victim->runq.empty() && !progresses(victim);
      if (G* gp = p->runq.stealFrom(victim->runq, runnextToo)) return gp;
    }
  }
  return nullptr;
}

void becomeSpinning(M* m) {
  m->spinning = true;
  sched.nmspinning.fetch_add(1, std::memory_order_seq_cst);
}

// regainp() takes an idle P back for m, which just let go of its own and then saw work.
bool regainp(M* m) {
  sched.lock.lock();
  P* p = pidleget();
  sched.lock.unlock();
  if (p == nullptr) return false;
  acquirep(m, p);
  return true;
}

// readied() takes the first of those whom the poller has found ready; nullptr: there are none.
G* readied(GQueue& ready) {
  G* gp = ready.pop();
  if (gp != nullptr) gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
  return gp;
}

// findIdle() is where an M without work ends up: it gives up its P and, unless work turned up meanwhile,
// waits for the next timer or for somebody to wake it. On return m holds a P again.
void findIdle(M* m) {
  sched.lock.lock();
  if (sched.gcwaiting.load(std::memory_order_relaxed)) return sched.lock.unlock();
  P* p = releasep(m);
  pidleput(p);
  sched.lock.unlock();
  if (m->spinning) stopSpinning(m);
  fullFence();
  if (workExists() && regainp(m)) {
    becomeSpinning(m);
    return;
  }
  GQueue ready;
  if (keeper.keep(ready)) {
    const bool regained = regainp(m);
    if (regained) m->nextg = readied(ready);
    injectglist(ready, m->p);
    if (regained) return;
    // All Ps may be blocked in the kernel, and nobody there to run the timer.
    wakeSysmonIfNeeded(kBlockingPace);
  }
  stopm(m);
  m->search.slept();
}

G* pollNetwork(P* p) {
  GQueue ready;
  keeper.poll(ready);
  G* gp = readied(ready);
  injectglist(ready, p);
  return gp;
}

Picked findRunnable(M* m) {
  for (;;) {
    if (sched.gcwaiting.load(std::memory_order_relaxed)) gcstopm(m);
    if (G* gp = std::exchange(m->nextg, nullptr)) return {gp, false};
    P* p = m->p;
    timers.run(p);
    if (globalFirst(p)) {
      if (G* gp = lookAtGlobal(p)) return {gp, false};
    }
    if (networkFirst(p)) {
      if (G* gp = pollNetwork(p)) return {gp, false};
    }
    if (const Picked next = pickLocal(p); next.gp != nullptr) return next;
    if (sched.runqsize.load(std::memory_order_relaxed) != 0) {
      if (G* gp = globrunqget(p, RunQueue::kCapacity / 2)) return {gp, false};
    }
    if (G* gp = pollNetwork(p)) return {gp, false};
    if (sched.nprocs > 1) {
      // At most half as many search as run: more would only get in each other's way.
      const auto busy = static_cast<int32_t>(sched.nprocs - sched.npidle.load(std::memory_order_relaxed));
      if (!m->spinning && 2 * sched.nmspinning.load(std::memory_order_relaxed) < busy) becomeSpinning(m);
      if (m->spinning) {
        if (G* gp = stealWork(p)) return {gp, false};
        if (m->search.spin(queuedWorkExists)) continue;
      }
    }
    findIdle(m);
  }
}

}  // namespace

void stopSpinning(M* m) {
  m->spinning = false;
  if (sched.nmspinning.fetch_sub(1, std::memory_order_seq_cst) <= 0)
    fatal("findRunnable: negative nmspinning");
}

// A hand-off between threads takes as long as a dozen between goroutines.
G* pickForHandoff(P* p) {
  p->inherited += kHandoffWeight;
  if (globalFirst(p)) {
    if (G* gp = lookAtGlobal(p)) return gp;
  }
  return pickLocal(p).gp;
}

bool workExists() {
  if (sched.runqsize.load(std::memory_order_acquire) != 0) return true;
  for (uint32_t i = 0; i < sched.nprocs; ++i) {
    const P* p = sched.p(i);
    if (p->status.load(std::memory_order_relaxed) != PStatus::Idle && !p->runq.empty()) return true;
  }
  return false;
}

// queuedWorkExists() is workExists() but for runnext slots: mostly their Ps come to them before a thief gets
// there.
bool queuedWorkExists() {
  if (sched.runqsize.load(std::memory_order_relaxed) != 0) return true;
  for (uint32_t i = 0; i < sched.nprocs; ++i) {
    if (!sched.p(i)->runq.ringEmpty()) return true;
  }
  return false;
}

void resume(M* m, G* gp, bool inherit) {
  P* p = m->p;
  const uint32_t switches = p->switches.load(std::memory_order_relaxed) + 1;
  p->switches.store(switches, std::memory_order_relaxed);
  if (switches % kLooksAtClock == 0) p->now = nanotime();
  if (!inherit) {
    p->schedtick.store(p->schedtick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    preemptServed(p);
  }
  m->curg = gp;
  gp->m = m;
  gp->waitReason.store(WaitReason::None, std::memory_order_relaxed);
  gp->status.store(GStatus::Running, std::memory_order_relaxed);
  trace(TraceKind::Start, gp);
}

void arrive() {
  M* m = getm();
  UnlockFn after = std::exchange(m->afterSwitch, nullptr);
  if (after != nullptr) after(m->afterG, m->afterArg);
}

void switchAway(M* m, G* gp, UnlockFn after, void* arg, bool dying) {
  reportHeldLocks(*gp);
  m->afterSwitch = after;
  m->afterG = gp;
  m->afterArg = arg;
  if (const Picked next = pickForSwitch(m); next.gp != nullptr) {
    resume(m, next.gp, next.inherit);
    switchStack(gp->gobuf, next.gp->gobuf, m->thread, dying);
  } else {
    ensureg0(m);
    m->curg = nullptr;
    if (m->p != nullptr) {
      m->p->now = nanotime();
      gp->waitsince.store(m->p->now, std::memory_order_relaxed);
    }
    switchStack(gp->gobuf, m->g0, m->thread, dying);
  }
  arrive();
}

void schedule(M* m) {
  for (;;) {
    if (m->exiting) return;
    if (m->p == nullptr) stopm(m);
    const Picked next = findRunnable(m);
    if (m->spinning) {
      stopSpinning(m);
      fullFence();
      if (workExists()) wakep();
    }
    if (keeper.wanted()) wakep();
    if (next.gp->lockedm.load(std::memory_order_relaxed) != nullptr) {
      startlockedm(m, next.gp);
      continue;
    }
    if (threadBlock()->locks != 1) fatal("schedule: holding locks");
    resume(m, next.gp, next.inherit);
    switchStack(m->g0, next.gp->gobuf, m->thread, false);
    arrive();
  }
}

void gopark(UnlockFn unlock, void* arg, WaitReason reason) {
  const NoPreempt noPreempt;
  M* m = getm();
  G* gp = m->curg;
  if (m->p == nullptr) fatal("runtime: goroutine parks inside a BlockingSection");
  gp->waitReason.store(reason, std::memory_order_relaxed);
  gp->waitsince.store(m->p->now, std::memory_order_relaxed);
  gp->status.store(GStatus::Waiting, std::memory_order_relaxed);
  ++gp->parks;
  trace(TraceKind::Park, gp, static_cast<uint8_t>(reason));
  if (gp->lockedm.load(std::memory_order_relaxed) == nullptr) return switchAway(m, gp, unlock, arg, false);
  parkLocked(m, unlock, arg);
}

void goready(G* gp) {
  const NoPreempt noPreempt;
  M* m = getmOrNull();
  if (m == nullptr || m->p == nullptr) return readyWithoutP(gp);
  trace(TraceKind::Ready, gp);
  gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
  if (gp->lockedm.load(std::memory_order_relaxed) != nullptr && handToLocked(gp)) return;
  submit(m, gp);
}

void readyWithoutP(G* gp) {
  const NoPreempt noPreempt;
  trace(TraceKind::Ready, gp);
  gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
  if (gp->lockedm.load(std::memory_order_relaxed) != nullptr && handToLocked(gp)) return;
  globrunqput(gp);
  wakep();
}

// A locked M cannot run gp itself, so its own runnext is a bad place: with a P idle, gp goes straight to a
// thread that can, and that thread alone is woken.
void submit(M* m, G* gp) {
  const bool locked = m->lockedg.load(std::memory_order_relaxed) != nullptr;
  const bool spinner = sched.nmspinning.load(std::memory_order_relaxed) != 0;
  if (locked && !spinner && sched.npidle.load(std::memory_order_relaxed) != 0) {
    sched.lock.lock();
    P* p = pidleget();
    sched.lock.unlock();
    if (p != nullptr) return startm(p, false, gp);
  }
  const bool alone = oneP();
  const bool fenced = m->p->runq.put(gp, !(locked && spinner), globrunqputAll, !alone);
  wakep(fenced || alone);
}

namespace {

void putLocal(G* gp, bool next) { getm()->p->runq.put(gp, next, globrunqputAll); }

// The three places to which a goroutine goes that gives up its turn: behind all others; behind those of its
// P; or, while the world is to stop, no further than the slot that its P runs first afterwards.
void toGlobalTail(G* gp, void*) {
  globrunqput(gp);
  wakep();
}
void toLocalTail(G* gp, void*) {
  putLocal(gp, false);
  wakep(oneP());
}
void toRunnext(G* gp, void*) { putLocal(gp, true); }

void yield(M* m, UnlockFn requeue) {
  G* gp = m->curg;
  gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
  trace(TraceKind::Yield, gp);
  if (sched.gcwaiting.load(std::memory_order_relaxed)) requeue = toRunnext;
  if (gp->lockedm.load(std::memory_order_relaxed) == nullptr) {
    return switchAway(m, gp, requeue, nullptr, false);
  }
  requeue(gp, nullptr);
  stoplockedm(m);
}

}  // namespace

// With one P and nothing in the global queue, the tail of the ring is the tail of all, and costs no lock.
void gosched() {
  const NoPreempt noPreempt;
  M* m = getm();
  if (!sched.multi.load(std::memory_order_relaxed)) return;
  if (m->p == nullptr) fatal("runtime: gosched inside a BlockingSection");
  timers.run(m->p);
  const bool globalEmpty = sched.runqsize.load(std::memory_order_relaxed) == 0;
  if (globalEmpty && m->p->runq.empty() && !sched.gcwaiting.load(std::memory_order_relaxed)) {
    return;  // nobody to go first
  }
  yield(m, globalEmpty && oneP() ? toLocalTail : toGlobalTail);
}

// A goroutine that computes goes behind all others. One that has parked since its last slice ended shares its
// slices with those that wake it, and gives way by itself: it goes behind those of its P, or it would pay for
// its partners with a round of the whole queue. (Go does not tell them apart.)
void gopreempt(M* m) {
  ++m->p->preempted;
  G* gp = m->curg;
  const bool parks = gp->parks != std::exchange(gp->parksWhenPreempted, gp->parks);
  if (parks) return yield(m, toLocalTail);
  P* p = m->p;
  if (gp != p->fromGlobal) p->globaltick = p->schedtick.load(std::memory_order_relaxed) - kGlobalTick;
  yield(m, toGlobalTail);
}

}  // namespace fairlead::runtime
