// Birth and death of goroutines, and of the process.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "runtime/arena.h"
#include "runtime/debugvars.h"
#include "runtime/fatal.h"
#include "runtime/fork.h"
#include "runtime/gmp.h"
#include "runtime/goexit.h"
#include "runtime/preempt.h"
#include "runtime/runtime.h"
#include "runtime/schedtrace.h"
#include "runtime/stack.h"
#include "runtime/stall.h"
#include "runtime/trace.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace fairlead::runtime {

constinit Sched sched;
constinit M m0;
constinit G mainG;

namespace {

constexpr uint32_t kSeed = 0x9E3779B9U;  // of each P's random numbers, times its number

constinit P p0;

uint32_t procsWanted() {
  if (const char* text = std::getenv("FAIRLEAD_MAXPROCS")) {
    uint32_t n = 0;
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, n);
    if (error == std::errc{} && rest == end && n > 0) return std::min(n, Sched::kMaxProcs);
  }
  return 0;
}

uint32_t cpusAllowed() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return std::clamp(static_cast<uint32_t>(CPU_COUNT(&cpus)), 1U, Sched::kMaxProcs);
}

uint64_t nextGoid(P* p) {
  if (p->goid == p->goidEnd) {
    p->goid = sched.goidgen.fetch_add(P::kGoidBatch, std::memory_order_relaxed) + 1;
    p->goidEnd = p->goid + P::kGoidBatch;
  }
  return p->goid++;
}

void countAlive(P* p, int32_t change) {
  p->alive.store(p->alive.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
}

// bury() is what is left to do for a goroutine once its stack has been left for good.
void bury(G* gp, void*) {
  M* m = getm();
  if (m->lockedInt.load(std::memory_order_relaxed) != 0) {
    fatal("exited a goroutine internally locked to the OS thread");
  }
  gp->status.store(GStatus::Dead, std::memory_order_relaxed);
  if (gp->lockedm.load(std::memory_order_relaxed) != nullptr) {
    gp->lockedm.store(nullptr, std::memory_order_relaxed);
    m->lockedg.store(nullptr, std::memory_order_relaxed);
  }
  countAlive(m->p, -1);
  if (gp == &mainG) return;
  retireGobuf(gp->gobuf);
  gput(m->p, gp);
}

#if defined(__SANITIZE_ADDRESS__)
// checkLeaks() shows LeakSanitizer the stacks of the goroutines that still live, which it takes for data.
void checkLeaks() {
  forEachG(
      [](G* gp, void*) {
        const GStatus status = gp->status.load(std::memory_order_relaxed);
        if (gp == &mainG || status == GStatus::Dead) return;
        const bool parked = status == GStatus::Waiting || status == GStatus::Runnable;
        const char* low = parked && gp->gobuf.sp != nullptr ? static_cast<char*>(gp->gobuf.sp) : gp->stackLow;
        __lsan_register_root_region(low, static_cast<size_t>(reinterpret_cast<char*>(gp + 1) - low));
      },
      nullptr);
  __lsan_do_leak_check();
}
#endif

[[noreturn]] void die() {
  acquirem();
  M* m = getm();
  trace(TraceKind::End, m->curg);
  m->exiting = m->lockedExt.load(std::memory_order_relaxed) != 0;
  switchAway(m, m->curg, bury, nullptr, true);
  fatal("goexit: dead goroutine runs");
}

}  // namespace

// schedinit() prepares for a second goroutine; until then a program pays for none of it.
void schedinit() {
  const auto n = static_cast<uint32_t>(maxProcs());
  for (uint32_t i = 1; i < n; ++i) sched.allp[i].store(newP(i), std::memory_order_release);
  RunQueue::shuffled = debugVar("shuffle") != 0;
  sched.lock.lock();
  for (uint32_t i = n - 1; i > 0; --i) pidleput(sched.p(i));
  sched.allpcount.store(n, std::memory_order_relaxed);
  sched.nprocs.store(n, std::memory_order_relaxed);
  sched.stealOrder.reset(n);
  sched.lock.unlock();
  SpinBudget::allow(cpusAllowed() > 1);
  rememberSignals();
  installFaultHandler();
  installQuitHandler();
  installForkHandlers();
  m0.altStack = installAltStack(nullptr);
  ensureg0(&m0);  // here, as main may first need it with a lock to release
  sched.multi.store(true, std::memory_order_release);
  if (m0.lockedExt.load(std::memory_order_relaxed) != 0) startTemplateThread();
  const char* preempt = std::getenv("FAIRLEAD_ASYNCPREEMPT");
  if (preempt != nullptr && std::strcmp(preempt, "1") == 0) enableAsyncPreemption();
  startTrace();
  startSchedtrace();
  startStallWatch();
}

P* newP(uint32_t id) {
  P* p = newRecord<P>();
  p->id = id;
  p->random = kSeed * (id + 1);
  return p;
}

// Half of what a P may keep comes when it has none, and goes when it has all.
G* gget(P* p) {
  if (p->gfreeCount == 0 && sched.multi.load(std::memory_order_relaxed)) {
    sched.lock.lock();
    while (p->gfreeCount < P::kGfreeMax / 2 && !sched.gfree.empty()) {
      p->gfree[p->gfreeCount++] = sched.gfree.popLast();
    }
    sched.lock.unlock();
  }
  if (p->gfreeCount == 0) return newStack();
  G* gp = p->gfree[--p->gfreeCount];
  if (p->gfreeCount > 0) prefetch(p->gfree[p->gfreeCount - 1]);
  return gp;
}

void gput(P* p, G* gp) {
  p->gfree[p->gfreeCount++] = gp;
  if (p->gfreeCount < P::kGfreeMax) return;
  sched.lock.lock();
  while (p->gfreeCount > P::kGfreeMax / 2) sched.gfree.push(p->gfree[--p->gfreeCount]);
  sched.lock.unlock();
}

void goroutineEntry() {
  enteredStack();
  arrive();
  G* gp = getm()->curg;
  releasem();
  try {
    gp->entry(gp->closure);
  } catch (Goexit& exit) {
    exit.arrive();
  }
  die();
}

Init::Init(void (*f)()) : f_(f) {
  (last != nullptr ? last->next_ : first) = this;
  last = this;
}

void Init::runAll() {
  for (const Init* init = first; init != nullptr; init = init->next_) init->f_();
}

namespace detail {

void goNil() { fatal("go of nil func value"); }

Spawn::Spawn(size_t size, size_t align) {
  if (!sched.multi.load(std::memory_order_relaxed)) {
    getm();
    schedinit();
  }
  const NoPreempt noPreempt;
  M* m = getm();
  if (m->p == nullptr) fatal("runtime: go inside a BlockingSection");
  gp_ = gget(m->p);
  char* top = gp_->stackHigh() - size;
  closure_ = top - reinterpret_cast<uintptr_t>(top) % align;
}

Spawn::~Spawn() {
  if (gp_ == nullptr) return;
  const NoPreempt noPreempt;
  gput(getm()->p, gp_);
}

[[gnu::noinline]] void Spawn::start(void (*entry)(void*)) {
  const NoPreempt noPreempt;
  M* m = getm();
  G* gp = std::exchange(gp_, nullptr);
  gp->entry = entry;
  gp->closure = closure_;
  gp->goid.store(nextGoid(m->p), std::memory_order_relaxed);
  // On g0 it is a timer that starts one.
  gp->parent = m->curg != nullptr ? m->curg->goid.load(std::memory_order_relaxed) : 0;
  gp->parksWhenPreempted = gp->parks;  // those of the goroutine before it do not count
  gp->createdAt = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  prepareGobuf(gp->gobuf, gp->stackLow, closure_, goroutineEntry);
  gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
  countAlive(m->p, 1);
  trace(TraceKind::Create, gp);
  submit(m, gp);
}

}  // namespace detail

void goexit() { throw Goexit(); }

uint64_t goid() { return getm()->curg->goid.load(std::memory_order_relaxed); }

int threadId() { return gettid(); }

int numGoroutine() {
  int n = 0;
  const uint32_t count = sched.allpcount.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; ++i) n += sched.p(i)->alive.load(std::memory_order_relaxed);
  return n;
}

int maxProcs() {
  if (sched.multi.load(std::memory_order_relaxed)) return static_cast<int>(sched.nprocs);
  const uint32_t wanted = procsWanted();
  return static_cast<int>(wanted != 0 ? wanted : cpusAllowed());
}

void exitProcess(int status) {
  waitIfDying();
  std::fflush(nullptr);
  writeTrace(true);
#if defined(__SANITIZE_ADDRESS__)
  checkLeaks();
#endif
  // Not exit(): other threads still run goroutines, and destructors of statics would pull the rug from under
  // them.
  _exit(status);
}

void runMain(int argc, char** argv) {
  setm(&m0);
  m0.thread = adoptThread(mainG.gobuf);
  m0.curg = &mainG;
  m0.p = &p0;
  p0.random = kSeed;
  p0.status.store(PStatus::Running, std::memory_order_relaxed);
  registerM(&m0);
  p0.m.store(&m0, std::memory_order_relaxed);
  sched.allp[0].store(&p0, std::memory_order_relaxed);
  m0.procid.store(gettid(), std::memory_order_relaxed);
  mainG.m = &m0;
  mainG.goid.store(1, std::memory_order_relaxed);
  mainG.status.store(GStatus::Running, std::memory_order_relaxed);
  countAlive(&p0, 1);
  installPanicHandler();
  // Main belongs to the startup thread while initialisers run, whatever they lock and unlock (Go: doInit).
  lockInternal(&m0, &mainG);
  try {
    Init::runAll();
    unlockInternal(getm(), &mainG);
    exitProcess(goMain(argc, argv));
  } catch (Goexit& exit) {
    exit.arrive();
    if (getm()->lockedInt.load(std::memory_order_relaxed) != 0) unlockInternal(getm(), &mainG);
  }
  die();
}

}  // namespace fairlead::runtime
