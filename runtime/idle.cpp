// Idle threads and idle Ps, the global queue, and the question whether anything can still happen.
#include <array>
#include <cstdio>
#include <utility>

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/keeper.h"
#include "runtime/netpoll.h"
#include "runtime/runtime.h"
#include "runtime/timer.h"

namespace fairlead::runtime {
namespace {

[[noreturn]] void fatalThreads() {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "runtime: program exceeds %d-thread limit\n", sched.maxmcount);
  fatal("thread exhaustion", text.data());
}

void mput(M* m) {
  m->schedlink = std::exchange(sched.midle, m);
  ++sched.nmidle;
  checkdead();
}

// globrunqChanged() follows every change of the global queue, under Sched::lock.
void globrunqChanged() { sched.runqsize.store(sched.runq.size(), std::memory_order_seq_cst); }

}  // namespace

M* mget() {
  M* m = sched.midle;
  if (m == nullptr) return nullptr;
  sched.midle = m->schedlink;
  --sched.nmidle;
  return m;
}

P* pidleget() {
  P* p = sched.pidle;
  if (p == nullptr) return nullptr;
  sched.pidle = p->link;
  p->status.store(PStatus::Running, std::memory_order_relaxed);
  sched.npidle.fetch_sub(1, std::memory_order_seq_cst);
  return p;
}

void pidleput(P* p) {
  if (!p->runq.empty()) fatal("pidleput: P has non-empty run queue");
  preemptServed(p);
  p->status.store(PStatus::Idle, std::memory_order_relaxed);
  p->link = std::exchange(sched.pidle, p);
  sched.npidle.fetch_add(1, std::memory_order_seq_cst);
}

void acquirep(M* m, P* p) {
  if (p == nullptr || m->p != nullptr || p->status.load(std::memory_order_relaxed) != PStatus::Running) {
    fatal("acquirep: inconsistent P");
  }
  m->p = p;
  p->m.store(m, std::memory_order_release);
}

P* releasep(M* m) {
  P* p = std::exchange(m->p, nullptr);
  if (p == nullptr || p->status.load(std::memory_order_relaxed) != PStatus::Running)
    fatal("releasep: inconsistent P");
  p->m.store(nullptr, std::memory_order_relaxed);
  return p;
}

void globrunqput(G* gp) { globrunqputAll({&gp, 1}); }

void globrunqputAll(std::span<G* const> gs) {
  sched.lock.lock();
  for (G* gp : gs) sched.runq.push(gp);
  globrunqChanged();
  sched.lock.unlock();
}

// injectglist() makes goroutines runnable that the poller has found ready: on `p`, which the caller owns, or
// with nullptr on the global queue.
void injectglist(GQueue& ready, P* p) {
  if (ready.empty()) return;
  while (G* gp = ready.pop()) {
    gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
    p != nullptr ? void(p->runq.put(gp, false, globrunqputAll)) : globrunqput(gp);
  }
  wakep();
}

// globrunqget() takes p's share of the global queue, at most `limit`: returns the first and puts the rest on
// p's ring, in which there is room: it was empty, or n is 1.
G* globrunqget(P* p, uint32_t limit) {
  sched.lock.lock();
  uint32_t n = std::min(
      {limit, sched.runq.size(), sched.runq.size() / sched.nprocs.load(std::memory_order_relaxed) + 1});
  G* gp = sched.runq.pop();
  for (; n > 1; --n) {
    p->runq.put(sched.runq.pop(), false, [](auto) { fatal("globrunqget: no room"); });
  }
  globrunqChanged();
  sched.lock.unlock();
  return gp;
}

// startm() has `p` run by an idle M, or by a new one: spinning, which the caller has counted, or with gp
// first. Whoever has a P in hand, or has counted a spinner that is not there yet, must not be preempted: all
// others may rely on it and sleep, and nobody would run it again.
void startm(P* p, bool spinning, G* gp) {
  if (getmOrNull() != nullptr && threadBlock()->locks == 0) fatal("startm: could be preempted");
  sched.lock.lock();
  M* m = mget();
  // Counted before the lock is let go: checkdead must not take the moment until it runs for the end of all
  // things.
  if (m == nullptr) ++sched.mcount;
  const bool tooMany = m == nullptr && sched.mcount > sched.maxmcount;
  sched.lock.unlock();
  if (tooMany) fatalThreads();
  if (m == nullptr) return newm(p, spinning, gp);
  m->spinning = spinning;
  m->nextp = p;
  m->nextg = gp;
  if (!m->note.wake()) fatal("startm: m has p");
}

// stopm() puts the thread to sleep until somebody has given it a P.
void stopm(M* m) {
  sched.lock.lock();
  mput(m);
  sched.lock.unlock();
  m->note.sleep();
  acquirep(m, std::exchange(m->nextp, nullptr));
}

// handoffp() finds a use for the P of an M that is about to block. Its first goroutine runs next, on its own
// thread when it has one. While somebody spins, that one will find the work: starting another thread for it
// would make three of two.
void handoffp(P* p) {
  const bool stopping = sched.gcwaiting.load(std::memory_order_relaxed);
  if (!stopping && sched.nmspinning.load(std::memory_order_relaxed) == 0) {
    G* gp = pickForHandoff(p);
    if (gp != nullptr && gp->lockedm.load(std::memory_order_relaxed) != nullptr) {
      return wakeLingering(gp) ? handoffp(p) : runLocked(gp, p);
    }
    if (gp != nullptr) return startm(p, false, gp);
  }
  sched.lock.lock();  // once: a spinner may be after that work already
  if (!stopping) {
    p->runq.drain([](G* gp) { sched.runq.push(gp); });
    globrunqChanged();
  }
  const bool stopped = sched.gcwaiting.load(std::memory_order_relaxed);
  if (!stopped && !p->runq.empty()) {  // the world has started again meanwhile
    sched.lock.unlock();
    return startm(p, false, nullptr);
  }
  stopped ? stopP(p) : pidleput(p);
  sched.lock.unlock();
  if (stopped) return;
  fullFence();
  if (workExists() || keeper.wanted()) wakep();
}

// wakepSlow() starts one spinning M if a P is idle and nobody spins: see the protocol in sched.cpp. The loop
// covers those who saw our count, relied on us, and published after we had looked for a P in vain.
void wakepSlow() {
  for (;;) {
    if (sched.npidle.load(std::memory_order_seq_cst) == 0) return wakeSysmonIfNeeded(kPreemptionPace);
    int32_t none = 0;
    if (!sched.nmspinning.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) return;
    sched.lock.lock();
    P* p = pidleget();
    sched.lock.unlock();
    if (p != nullptr) return startm(p, true, nullptr);
    sched.nmspinning.fetch_sub(1, std::memory_order_seq_cst);
    fullFence();
    if (!workExists()) return;
  }
}

// checkdead() ends the program when no M runs or ever will. Called whenever one more has gone to sleep.
void checkdead() {
  const int running = sched.mcount - sched.nmidle - sched.nmidlelocked.load(std::memory_order_seq_cst);
  // The last one awake keeps a timer that was stopped: it has to come here itself.
  if (running == 1 && keeper.useless()) keeper.wake();
  if (running > 0 || timers.pending() || netpollWaiters() != 0 || sched.foreign) return;
  if (running < 0) fatal("checkdead: inconsistent counts");
  sched.foreign = foreignThreadsExist();
  if (sched.foreign) return;
  if (numGoroutine() == 0) fatalDeadlock("no goroutines (main called runtime.Goexit) - deadlock!");
  fatalDeadlock("all goroutines are asleep - deadlock!");
}

}  // namespace fairlead::runtime
