// Fairlead runtime: the verbs of a Go-like M:N scheduler.
//
// G is a goroutine, M an OS thread, P the token without which an M may not run goroutines. The program
// defines fairlead::goMain, which runs as goroutine 1; `int main` comes from this library. A program that
// never calls go() has one thread and pays for nothing else.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace fairlead {

// goMain is the program's main goroutine; the library's `main` calls it on the startup thread. Its return
// value is the exit status; other goroutines are not waited for (Go: returning from main.main).
int goMain(int argc, char** argv);

}  // namespace fairlead

namespace fairlead::runtime {

// go() starts f on a new goroutine and returns at once. f is moved to the goroutine; an exception that leaves
// it ends the program as a panic does in Go (exit status 2). The new goroutine does not inherit the caller's
// thread lock.
template <class F>
void go(F&& f);

// gosched() lets other goroutines run first; the caller goes to the tail of the global queue.
void gosched();

// goexit() ends the calling goroutine after unwinding its stack. Called by the main goroutine, the others go
// on and the program ends as a deadlock when none is left (Go: runtime.Goexit).
[[noreturn]] void goexit();

// exitProcess() ends the process from any goroutine, as the end of goMain does: stdio is flushed, destructors
// of statics do not run, since other threads may still use what they destroy. (Go: os.Exit.)
[[noreturn]] void exitProcess(int status);

// lockOSThread() wires the calling goroutine to its current OS thread: no other goroutine runs there, and it
// runs nowhere else, until unlockOSThread() has been called as many times. A goroutine that ends while locked
// takes its thread with it. May be called during static initialisation, from a static library too: it then
// touches constant-initialised state only, starts nothing, and wires the main goroutine to the startup
// thread.
void lockOSThread();

// unlockOSThread() undoes one lockOSThread(). Without a lock it does nothing.
void unlockOSThread();

// Init runs a function on the main goroutine before goMain (Go: func init), in the order of construction. The
// main goroutine is wired to the startup thread meanwhile; an initialiser that calls lockOSThread() keeps it
// there. Only for objects of static storage duration:
//     const runtime::Init init([] { runtime::lockOSThread(); });
class Init {
 public:
  explicit Init(void (*f)());
  Init(const Init&) = delete;
  Init& operator=(const Init&) = delete;

  static void runAll();  // runMain() calls it

 private:
  static inline constinit Init* first = nullptr;
  static inline constinit Init* last = nullptr;
  void (*f_)();
  Init* next_ = nullptr;
};

// startTemplateThread() makes sure that new threads can be made although the calling thread is about to
// change its kernel state (its network namespace, its working directory). Call it on a locked goroutine
// before such a change, unless nothing that runs until the change is undone can start a goroutine or block.
// Cheap when already started: lockOSThread() does it as soon as there is a second goroutine.
void startTemplateThread();

// sleep() parks the calling goroutine for at least d; no thread is held. d <= 0 returns at once.
void sleep(std::chrono::nanoseconds d);

// checkpoint() is a poll point for loops that compute for long: the goroutine yields when its time slice of
// 10 milliseconds is over and others wait, or when the world is to stop. Else it costs one load. Operations
// of channels and locks are poll points too.
void checkpoint();

// BlockingSection marks a stretch in which the calling thread may block in the kernel (Go:
// entersyscall/exitsyscall). Its P stays reserved for it and is taken by sysmon when others need it. Nothing
// inside may call into the runtime.
class BlockingSection {
 public:
  BlockingSection();
  ~BlockingSection();
  BlockingSection(const BlockingSection&) = delete;
  BlockingSection& operator=(const BlockingSection&) = delete;
};

// goid() is the calling goroutine's number; main's is 1. Unique for the life of the process.
uint64_t goid();

// threadId() is the OS thread (gettid) that runs the calling goroutine now; after a park it may be another
// one.
int threadId();

// numGoroutine() counts the goroutines that exist.
int numGoroutine();

// maxProcs() is the number of Ps: FAIRLEAD_MAXPROCS from the environment, else the CPUs this process may run
// on.
int maxProcs();

// setMaxProcs() changes the number of Ps, at most 1024, and returns what it was; n < 1 changes nothing. Stops
// the world: every P has to come to a poll point. (Go: runtime.GOMAXPROCS.)
int setMaxProcs(int n);

// setMaxThreads() limits the threads that run goroutines, 10,000 at first, and returns the limit that was.
// Needing more ends the program: "thread exhaustion". (Go: debug.SetMaxThreads.)
int setMaxThreads(int n);

// runMain() is what the library's `main` calls, for a program that must have a main of its own: it runs
// goMain as goroutine 1 and ends the process.
[[noreturn]] void runMain(int argc, char** argv);

// ---- implementation -----------------------------------------------------------------------------------

struct G;

namespace detail {

[[noreturn]] void goNil();

extern constinit std::atomic<uint32_t> preemptWanted;  // Ps that shall yield; read at every poll point
void preemptSlow();

// Spawn is a goroutine that is being made: the closure is built at the top of its stack, then it is started.
// Destroyed before that, when the closure's constructor throws, it is given back.
class Spawn {
 public:
  Spawn(std::size_t size, std::size_t align);
  ~Spawn();
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;

  [[nodiscard]] void* closure() const { return closure_; }
  void start(void (*entry)(void*));

 private:
  G* gp_ = nullptr;
  void* closure_ = nullptr;
};

}  // namespace detail

inline void checkpoint() {
  if (detail::preemptWanted.load(std::memory_order_relaxed) != 0) [[unlikely]]
    detail::preemptSlow();
}

// Always inlined, so that what Spawn::start() returns to is in the function that called go(): traces say so.
template <class F>
[[gnu::always_inline]] inline void go(F&& f) {
  using Fn = std::decay_t<F>;
  static_assert(sizeof(Fn) <= 16UL * 1024,
                "the closure lives on the goroutine's stack: capture something smaller");
  if constexpr (std::is_constructible_v<Fn, std::nullptr_t>) {
    if (f == nullptr) detail::goNil();
  }
  detail::Spawn spawn(sizeof(Fn), alignof(Fn));
  ::new (spawn.closure()) Fn(std::forward<F>(f));
  spawn.start([](void* closure) {
    std::unique_ptr<Fn, void (*)(Fn*)> fn(static_cast<Fn*>(closure), [](Fn* p) { p->~Fn(); });
    std::invoke(*fn);
  });
  checkpoint();  // one that starts goroutines in a loop lets them run, too
}

}  // namespace fairlead::runtime
