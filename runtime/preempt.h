// Preemption by signal, for programs whose goroutines compute for long without calling the runtime.
//
// Without it preemption is cooperative: a goroutine whose time slice of 10 milliseconds is over, while others
// wait, yields at the next operation that is a poll point: checkpoint(), or an operation of a channel or a
// lock. C++ has no safe points, so a goroutine cannot be taken off its thread at any instruction: it may be
// inside malloc. What can be taken is its P. The interrupted goroutine stays on its thread, which sleeps in
// the signal handler as if the goroutine had locked it, and another thread goes on with the P. Its
// thread_locals, held mutexes and half-done malloc stay right. The price is one thread for each goroutine
// that is preempted at the moment.
#pragma once

#include <csignal>

namespace fairlead::runtime {

struct AsyncPreemption {
  int signal = SIGURG;  // ignored by default, so a stray one harms nobody
  // Goroutines preempted at a time, each with its thread. Beyond, preemption is cooperative; but whenever all
  // Ps have been stuck for 100 ms, one more is allowed: they may wait for a mutex that a preempted one holds.
  int maxThreads = 1000;
};

// enableAsyncPreemption() preempts by signal from now on. FAIRLEAD_ASYNCPREEMPT=1 in the environment does the
// same for a program that does not ask for it. Call it on a thread that is clean (see startTemplateThread()).
// Returns false where it is not possible: in a statically linked program, where the C library's code cannot
// be told from the program's own, and under ThreadSanitizer, which delays signals. System calls that a signal
// interrupts are restarted, except for those that never are (nanosleep, poll, epoll_wait): they fail with
// EINTR.
bool enableAsyncPreemption(const AsyncPreemption& how = {});

}  // namespace fairlead::runtime
