// Fairlead runtime: the verbs of a Go-like M:N scheduler.
//
// G is a goroutine, M an OS thread, P the token without which an M may not run goroutines. The program defines
// fairlead::goMain, which runs as goroutine 1; `int main` comes from this library. A program that never calls go()
// has one thread and pays for nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace fairlead {

// goMain is the program's main goroutine; the library's `main` calls it on the startup thread. Its return value is the
// exit status; other goroutines are not waited for (Go: returning from main.main).
int goMain(int argc, char** argv);

}  // namespace fairlead

namespace fairlead::runtime {

// go() starts f on a new goroutine and returns at once. f is moved to the goroutine; an exception that leaves it ends
// the program as a panic does in Go (exit status 2). The new goroutine does not inherit the caller's thread lock.
template <class F>
void go(F&& f);

// gosched() lets other goroutines run first; the caller goes to the tail of the global queue.
void gosched();

// goexit() ends the calling goroutine after unwinding its stack. Called by the main goroutine, the others go on and the
// program ends as a deadlock when none is left (Go: runtime.Goexit).
[[noreturn]] void goexit();

// lockOSThread() wires the calling goroutine to its current OS thread: no other goroutine runs there, and it runs
// nowhere else, until unlockOSThread() has been called as many times. A goroutine that ends while locked takes its
// thread with it. May be called during static initialisation, from a static library too: it then touches
// constant-initialised state only, starts nothing, and wires the main goroutine to the startup thread.
void lockOSThread();

// unlockOSThread() undoes one lockOSThread(). Without a lock it does nothing.
void unlockOSThread();

// startTemplateThread() makes sure that new threads can be made although the calling thread is about to change its
// kernel state (its network namespace, its working directory). Call it on a locked goroutine before such a change,
// unless nothing that runs until the change is undone can start a goroutine or block. Cheap when already started.
void startTemplateThread();

// sleep() parks the calling goroutine for at least d; no thread is held. d <= 0 returns at once.
void sleep(std::chrono::nanoseconds d);

// BlockingSection marks a stretch in which the calling thread may block in the kernel (Go: entersyscall/exitsyscall).
// Its P stays reserved for it and is taken by sysmon when others need it. Nothing inside may call into the runtime.
class BlockingSection {
 public:
  BlockingSection();
  ~BlockingSection();
  BlockingSection(const BlockingSection&) = delete;
  BlockingSection& operator=(const BlockingSection&) = delete;
};

// goid() is the calling goroutine's number; main's is 1. Unique for the life of the process.
uint64_t goid();

// numGoroutine() counts the goroutines that exist.
int numGoroutine();

// maxProcs() is the number of Ps: FAIRLEAD_MAXPROCS from the environment, else the CPUs this process may run on.
int maxProcs();

}  // namespace fairlead::runtime
