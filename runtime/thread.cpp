// Birth and death of Ms.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <mutex>
#include <utility>

#include "runtime/arena.h"
#include "runtime/fatal.h"
#include "runtime/fork.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/stack.h"

namespace fairlead::runtime {
namespace {

// Scheduler threads run only the scheduler on their own stack; glibc puts the program's thread_locals there
// too.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kThreadStack = 8UL * 1024 * 1024;
#else
constexpr size_t kThreadStack = 256UL * 1024;
#endif

sigset_t initialSignals;  // what main's thread let through when the second thread was made

M* allocm() {
  sched.lock.lock();
  M* m = sched.mfree;
  if (m != nullptr) sched.mfree = m->schedlink;
  sched.lock.unlock();
  if (m != nullptr) return m;
  m = newRecord<M>();
  const std::lock_guard lock(sched.lock);
  registerM(m);
  return m;
}

// mexit() ends the thread of a goroutine that ended locked. The record goes back last: from then on it may
// serve another thread. Until then lockedExt stays, so that handoffp does not make a thread in the image of
// this one.
void mexit(M* m) {
  handoffp(releasep(m));
  sched.lock.lock();
  --sched.mcount;
  checkdead();
  sched.lock.unlock();
  if (m == &m0) {
    // A process whose first thread has exited is a zombie to everybody who looks at /proc/self.
    m->note.sleep();
    fatal("locked m0 woke up");
  }
  removeAltStack();
  setm(nullptr);
  sched.lock.lock();
  m->schedlink = std::exchange(sched.mfree, m);
  sched.lock.unlock();
}

const char* lowEndOfStack() {
  pthread_attr_t attributes;
  void* low = nullptr;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return nullptr;
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  return static_cast<const char*>(low);
}

void* mstart(void* arg) {
  acquirem();  // for good: the scheduler loop is never preempted
  M* m = static_cast<M*>(arg);
  setm(m);
  m->procid.store(gettid(), std::memory_order_relaxed);
  m->thread = adoptThread(m->g0);
  m->altStack = installAltStack(m->altStack);
  m->g0Low = lowEndOfStack();
  pthread_sigmask(SIG_SETMASK, &initialSignals, nullptr);
  acquirep(m, std::exchange(m->nextp, nullptr));
  schedule(m);
  mexit(m);
  return nullptr;
}

void m0Loop() {
  enteredStack();
  arrive();
  schedule(&m0);
  mexit(&m0);
}

}  // namespace

// newm() makes a thread that runs `p`. The caller has counted it in Sched::mcount.
void newm(P* p, bool spinning, G* gp) {
  M* m = allocm();
  m->exiting = false;
  m->hasg0 = true;
  m->lockedExt.store(0, std::memory_order_relaxed);
  m->lockedInt.store(0, std::memory_order_relaxed);
  m->spinning = spinning;
  m->nextp = p;
  m->nextg = gp;
  m->request = {.start = mstart, .arg = m};
  newThread(m->request);
}

// newThread() makes a thread from a clean one: not from one that a goroutine has locked, and may have
// changed, nor from a foreign one. (Go: newm.)
void newThread(ThreadRequest& request) {
  const M* m = getmOrNull();
  if (m == nullptr || m->lockedExt.load(std::memory_order_relaxed) != 0 ||
      m->lockedInt.load(std::memory_order_relaxed) != 0) {
    return newThreadFromTemplate(request);
  }
  startThread(request);
}

void startThread(ThreadRequest& request) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kThreadStack);
  // A thread begins with its creator's signal mask: none gets through until it knows who it is.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  int error = 0;
  {
    const NoFork guard;
    error = pthread_create(&thread, &attributes, request.start, request.arg);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) return;
  std::array<char, 128> text;
  std::snprintf(text.data(), text.size(),
                "runtime: failed to create new OS thread (have %d already; errno=%d)\n", sched.mcount, error);
  fatal("newosproc", text.data());
}

void registerM(M* m) {
  m->alllink = sched.allm.load(std::memory_order_relaxed);
  sched.allm.store(m, std::memory_order_release);
}

void rememberSignals() { pthread_sigmask(SIG_SETMASK, nullptr, &initialSignals); }

int setMaxThreads(int n) {
  const std::lock_guard lock(sched.lock);
  return std::exchange(sched.maxmcount, n);
}

void ensureg0(M* m) {
  if (m->hasg0 || m != &m0) return;
  const G* holder = newStack();  // of a goroutine that never runs; m may hold no P here
  prepareGobuf(m->g0, holder->stackLow, holder->stackHigh(), m0Loop);
  m->hasg0 = true;
}

}  // namespace fairlead::runtime
