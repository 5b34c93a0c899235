// Internal: fork() in a process with goroutines.
//
// The child of a fork() has one thread, and every lock and queue of the runtime as they happened to be:
// nobody is left to release or to run anything. What follows may only be exec, _exit or return from goMain.
// The first use of the scheduler there ends the child with a fatal error that says so.
#pragma once

#include "runtime/lock.h"

namespace fairlead::runtime {

// installForkHandlers() is called once, when the second goroutine is made.
void installForkHandlers();

// inForkedChild() tells that this process is such a child.
bool inForkedChild();

// NoFork keeps fork() of other threads waiting while a thread is being made: a thread that exists half would
// leave its half stack, and what libc notes of it, in the child. Held for one pthread_create.
class NoFork {
 public:
  NoFork();
  ~NoFork();
  NoFork(const NoFork&) = delete;
  NoFork& operator=(const NoFork&) = delete;
};

}  // namespace fairlead::runtime
