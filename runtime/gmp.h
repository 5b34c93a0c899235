// Internal: M, P and the scheduler's state; G is in g.h. The functions are grouped by the file that defines
// them.
//
// Lock order: every lock of the runtime is a leaf (none is taken while another is held), with one exception:
// checkdead runs under Sched::lock and ends the process. gopark's unlock callback releases the lock of what
// is waited for after the goroutine has left its stack.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/g.h"
#include "runtime/lock.h"
#include "runtime/note.h"
#include "runtime/runq.h"
#include "runtime/runtime.h"
#include "runtime/spin.h"
#include "runtime/steal_order.h"
#include "runtime/tls.h"

namespace fairlead::runtime {

struct Backtrace;
struct P;
struct TraceChunk;

// ThreadRequest asks for a new OS thread that runs start(arg). Lives until the thread has begun.
struct ThreadRequest {
  void* (*start)(void*) = nullptr;
  void* arg = nullptr;
  bool onTemplate = false;        // no new thread: the template thread itself is to run it
  ThreadRequest* next = nullptr;  // in the template thread's list
};

// UnlockFn is what gopark runs once the goroutine has left its stack and may be made ready by others.
using UnlockFn = void (*)(G*, void*);

// M is an OS thread that runs goroutines. Fields are its own thread's unless they say otherwise. Records are
// reused and never freed: a waker may still look at the note of a thread that has just gone.
struct M {
  Gobuf g0;  // the scheduler loop, on the thread's own stack; m0's is elsewhere, and made on first need
  ThreadState thread;
  std::atomic<pid_t> procid{0};  // the thread's id; 0: not begun
  G* curg = nullptr;             // the goroutine on this thread, nullptr in the scheduler loop
  P* p = nullptr;                // nullptr: idle, or inside a BlockingSection
  P* oldp = nullptr;             // inside a BlockingSection: the P to come back to
  P* nextp = nullptr;            // written by the waker before it wakes `note`
  G* nextg = nullptr;            // likewise: the goroutine to run first
  bool spinning = false;         // counted in Sched::nmspinning; written by the waker before it wakes `note`
  bool exiting = false;          // its goroutine ended locked: the thread ends
  bool hasg0 = false;            // false only for m0 until it needs one
  uint32_t syscallDepth = 0;
  uint32_t polls = 0;  // poll points passed, while there is no sysmon
  SpinBudget search;   // how long to look for work before giving up the P
  Note note;           // sleeps here when idle and when its locked goroutine cannot run
  std::atomic<G*> lockedg{nullptr};
  // lockOSThread calls not yet undone, by the program and by the runtime itself (while it runs the program's
  // initialisers, and while the goroutine is preempted). Either keeps the two pointers; lockedExt stays
  // non-zero until the thread is gone.
  std::atomic<uint32_t> lockedExt{0};
  std::atomic<uint32_t> lockedInt{0};
  UnlockFn afterSwitch = nullptr;  // to be run by whoever continues on this thread after a switch
  G* afterG = nullptr;
  void* afterArg = nullptr;
  M* schedlink = nullptr;  // in Sched::midle or Sched::mfree
  M* alllink = nullptr;    // in Sched::allm, written before the record is published there
  ThreadRequest request;
  void* altStack = nullptr;                         // stays with the record
  const char* g0Low = nullptr;                      // lowest address of the thread's own stack; nullptr: m0
  TraceChunk* traceChunk = nullptr;                 // trace.cpp's: where the next event goes
  std::atomic<uint32_t> haltedIn{0};                // halt.cpp's: the round in which the thread halted last,
  std::atomic<const Backtrace*> haltedAt{nullptr};  // what it was doing, while that round lasts,
  std::atomic<uintptr_t> haltedOn{0};               // and its stack pointer
};

enum class PStatus : uint8_t {
  Idle,     // in Sched::pidle, its queue empty: the one state in which thieves and sysmon need not look
  Running,  // owned: by the M that has it in M::p, or by whoever takes it from one M to the next
  Syscall,  // the M that left it may have it back, anyone who wins the exchange to another status may have
            // it instead
  GcStop,   // stopped with the world: who stopped the world owns it
  Dead,     // beyond the number of Ps that setMaxProcs asked for
};

// P is the right to run goroutines and the queue of those that wait for it. Fields are the owner's unless
// atomic.
struct alignas(64) P {
  static constexpr uint32_t kGoidBatch = 16;
  static constexpr uint32_t kGfreeMax = 64;

  uint32_t id = 0;
  std::atomic<PStatus> status{PStatus::Idle};
  std::atomic<M*> m{nullptr};            // Running: its M; nullptr on the way from one to the next
  std::atomic<bool> preempt{false};      // its goroutine shall yield at the next poll point
  std::atomic<uint32_t> syscalltick{0};  // BlockingSections entered
  uint32_t sysmontick = 0;               // sysmon's: syscalltick when it last looked,
  uint32_t sysmonslice = 0;              // schedtick when it last looked,
  int64_t sysmonwhen = 0;                // and when that was
  uint64_t preempted = 0;                // goroutines whose slice was ended
  // From here on what changes with every goroutine: thieves and searchers read what is above all the time.
  alignas(64) std::atomic<uint32_t> switches{0};  // goroutines run; thieves compare it
  std::atomic<int32_t> alive{0};                  // goroutines born here less those that died here
  std::atomic<uint32_t> schedtick{0};             // time slices begun
  uint32_t globaltick = 0;                        // schedtick when the global queue came first last,
  G* fromGlobal = nullptr;                        // and who came from it
  int64_t now = 0;                                // nanotime(), looked up once in a while
  uint32_t inherited = 0;                         // goroutines taken from runnext one after another
  uint32_t random = 0;
  uint64_t goid = 0;  // goids reserved for this P: [goid, goidEnd)
  uint64_t goidEnd = 0;
  std::array<G*, kGfreeMax> gfree{};  // dead goroutines: the first gfreeCount, the last to die at the end
  uint32_t gfreeCount = 0;
  P* link = nullptr;  // in Sched::pidle
  RunQueue runq;
};

// Sched is what all Ms share. `lock` guards what has no note of its own.
struct Sched {
  Lock lock;
  M* midle = nullptr;  // last in, first out: the warmest thread first
  int nmidle = 0;
  int mcount = 1;  // Ms that can run goroutines, also those being started
  M* mfree = nullptr;
  P* pidle = nullptr;  // last in, first out
  GRing gfree;         // dead goroutines
  GRing runq;
  int maxmcount = 10'000;
  bool foreign = false;           // threads that are not ours have been seen: never call it a deadlock
  std::atomic<M*> allm{nullptr};  // every record there is, also those of threads that ended

  // Stopping the world: see world.cpp. Both written under lock.
  std::atomic<bool> gcwaiting{false};
  std::atomic<uint32_t> stopwait{0};  // Ps that have not stopped yet

  // Ms whose locked goroutine waits. Added to by the M itself, before it asks whether somebody runs; taken
  // from by the waker, which runs, so that checkdead cannot be misled. May be -1 for a moment, when the waker
  // is quicker.
  std::atomic<int> nmidlelocked{0};
  std::atomic<uint32_t> npidle{0};     // written under lock
  std::atomic<uint32_t> runqsize{0};   // written under lock
  std::atomic<int32_t> nmspinning{0};  // see the protocol in sched.cpp
  std::atomic<uint64_t> goidgen{1};    // last goid given out; main has 1
  std::atomic<bool> multi{false};  // a second goroutine has been made: set once, by the only thread there is

  // Ps are made on first need and never freed: the first `nprocs` of them count, and those up to `allpcount`
  // may be looked at. Both counts are written with the world stopped.
  static constexpr uint32_t kMaxProcs = 1024;
  std::array<std::atomic<P*>, kMaxProcs> allp{};
  std::atomic<uint32_t> nprocs{1};
  std::atomic<uint32_t> allpcount{1};
  StealOrder stealOrder;  // for nprocs; likewise

  [[nodiscard]] P* p(uint32_t i) const { return allp[i].load(std::memory_order_acquire); }
};

extern Sched sched;
extern M m0;
extern G mainG;

// ---- sched.cpp
void gopark(UnlockFn unlock, void* arg, WaitReason reason);
void goready(G* gp);
void readyWithoutP(G* gp);  // goready() for a caller without a P: a foreign thread, a poller, sysmon
void submit(M* m, G* gp);   // puts a goroutine that has become runnable where it will run soonest
void switchAway(M* m, G* gp, UnlockFn after, void* arg,
                bool dying);  // leaves gp's stack; returns when it runs again
void arrive();                // first thing after every switch
G* pickForHandoff(P* p);      // what p is to run next; the caller owns p
void stopSpinning(M* m);
void schedule(M* m);                     // the loop on g0; returns when the thread must end
void resume(M* m, G* gp, bool inherit);  // books gp as what m runs now
bool workExists();
bool queuedWorkExists();
inline uint32_t fastrand(P* p) {
  p->random ^= p->random << 13;
  p->random ^= p->random >> 17;
  p->random ^= p->random << 5;
  return p->random;
}
void gopreempt(M* m);  // gosched() for one whose slice is over; between acquirem() and releasem()

// ---- idle.cpp: Ms and Ps that have nothing to do, and how they get something
void startm(P* p, bool spinning, G* gp);
void stopm(M* m);
void handoffp(P* p);
void acquirep(M* m, P* p);
P* releasep(M* m);
P* pidleget();        // sched.lock held
void pidleput(P* p);  // sched.lock held
M* mget();            // sched.lock held
void globrunqput(G* gp);
void globrunqputAll(std::span<G* const> gs);
G* globrunqget(P* p, uint32_t limit);
void injectglist(GQueue& ready, P* p);
void checkdead();  // sched.lock held

// ---- proc.cpp: birth and death of goroutines and of the process
void schedinit();
P* newP(uint32_t id);
G* gget(P* p);
void gput(P* p, G* gp);
[[noreturn]] void goroutineEntry();

// ---- thread.cpp: birth and death of Ms
void newm(P* p, bool spinning, G* gp);
void newThread(ThreadRequest& request);
void startThread(ThreadRequest& request);  // on a clean thread only: the new one copies what its creator is
void ensureg0(M* m);
void registerM(M* m);    // into Sched::allm; sched.lock held
void rememberSignals();  // the mask that new threads begin with

// ---- foreign.cpp: threads that run no goroutines
void expectHelperThread();    // before a thread of the runtime is made that is no M
void registerHelperThread();  // by that thread, when it begins
bool foreignThreadsExist();   // others than ours; slow. sched.lock held

// ---- lockthread.cpp
void stoplockedm(M* m);
void parkLocked(M* m, UnlockFn unlock, void* arg);
void runLocked(G* gp, P* p);
void startlockedm(M* m, G* gp);
bool handToLocked(G* gp);
bool wakeLingering(G* gp);
void newThreadFromTemplate(ThreadRequest& request);
// Has the template thread call f(arg), and waits for that in the BlockingSection that the caller is in.
void runOnTemplateThread(void (*f)(void*), void* arg);
void lockInternal(M* m, G* gp);  // the runtime's own lockOSThread
void unlockInternal(M* m, G* gp);

// ---- world.cpp: all Ps stopped at once, and their number
void stopTheWorld();
void startTheWorld();
void gcstopm(M* m);  // gives m's P to who stops the world, and sleeps until there is a P again
void stopP(P* p);    // the same for a P without an M; sched.lock held

// ---- preempt.cpp: goroutines that do not park by themselves
void preemptone(P* p);  // asks p's goroutine to yield
void preemptall();
void preemptServed(P* p);  // p's goroutine has yielded
void allowOneMorePreempted();
bool preemptionPending();  // a signal has met its goroutine where it may not be stopped

// ---- syscall.cpp
void entersyscall();
void entersyscallblock();
void exitsyscall();

// ---- sysmon.cpp
void noteBlocking(P* p);                             // p's M is about to block and keeps p reserved
enum SysmonPace { kBlockingPace, kPreemptionPace };  // within 20 microseconds, or a time slice
struct SysmonState {
  enum Life : uint32_t { kAbsent, kAsleep, kAwake };
  std::atomic<uint32_t> state{kAbsent};
  std::atomic<bool> anyBlocked{false};  // some M has been in a BlockingSection

  // wakeable() is false where nobody has to ask whether it is needed.
  [[nodiscard]] bool wakeable() const {
    const uint32_t now = state.load(std::memory_order_seq_cst);
    return now == kAsleep || (now == kAbsent && anyBlocked.load(std::memory_order_seq_cst));
  }
};
extern SysmonState sysmonState;
void wakeSysmonIfNeeded(SysmonPace pace);
// While there is no sysmon each poll point is counted, for a program that gives no other reason to start it:
// pollCounted() tells that this was all there is to do.
inline constexpr uint32_t kPollsBeforeStart = 512;
inline bool pollCounted(M* m) {
  return sysmonState.state.load(std::memory_order_relaxed) == SysmonState::kAbsent &&
         detail::preemptWanted.load(std::memory_order_relaxed) == 1 && ++m->polls < kPollsBeforeStart;
}
void pollWithoutSysmon(M* m);
void startSysmon();

// wakep() follows when work has been published: it makes sure that somebody will find it. `fenced`: a full
// fence has published it.
void wakepSlow();
inline void wakep(bool fenced = false) {
  if (!fenced) fullFence();
  if (sched.npidle.load(std::memory_order_seq_cst) != 0 || sysmonState.wakeable()) wakepSlow();
}

}  // namespace fairlead::runtime
