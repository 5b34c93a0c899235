// Fairlead runtime: the verbs of a Go-like M:N scheduler.
//
// G is a goroutine, M an OS thread, P the token without which an M may not run goroutines. The program
// defines fairlead::goMain, which runs as goroutine 1; `int main` comes from this library. A program that
// never calls go() has one thread and pays for nothing else.
#pragma once

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

// lockOSThread() wires the calling goroutine to its current OS thread: no other goroutine runs there, and it
// runs nowhere else, until unlockOSThread() has been called as many times. A goroutine that ends while locked
// takes its thread with it. May be called during static initialisation, from a static library too: it then
// touches constant-initialised state only, starts nothing, and wires the main goroutine to the startup
// thread.
void lockOSThread();

// unlockOSThread() undoes one lockOSThread(). Without a lock it does nothing.
void unlockOSThread();

// startTemplateThread() makes sure that new threads can be made although the calling thread is about to
// change its kernel state (its network namespace, its working directory). Call it on a locked goroutine
// before such a change, unless nothing that runs until the change is undone can start a goroutine or block.
// Cheap when already started.
void startTemplateThread();

// sleep() parks the calling goroutine for at least d; no thread is held. d <= 0 returns at once.
void sleep(std::chrono::nanoseconds d);

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

// runMain() is what the library's `main` calls, for a program that must have a main of its own: it runs
// goMain as goroutine 1 and ends the process.
[[noreturn]] void runMain(int argc, char** argv);

// ---- implementation of go()
// --------------------------------------------------------------------------------------

struct G;

namespace detail {

[[noreturn]] void goNil();

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

template <class F>
void go(F&& f) {
  using Fn = std::decay_t<F>;
  static_assert(sizeof(Fn) <= 16 * 1024,
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
}

}  // namespace fairlead::runtime
