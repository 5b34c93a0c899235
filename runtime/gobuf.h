// Internal: a suspended line of execution, and the switch from one to another.
//
// The switch saves what the C++ ABI calls callee-saved, except the floating-point control words (a goroutine
// must not change rounding modes over a park). With it travels the state that C++ and libc keep per thread
// and that belongs to the goroutine: the exception globals (a goroutine may park inside a catch block or a
// destructor) and errno. AddressSanitizer and ThreadSanitizer are told of every switch. The assembly is in
// gobuf_<architecture>.S, what it leaves on a stack is described at the top of gobuf.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// Saves the callee-saved registers on the current stack and its pointer in *from, then continues at `to`.
extern "C" void fairleadSwitch(void** from, void* to);
// The first instruction of a new stack: calls the function in the register that firstFrame() filled. It is
// marked as the end of the stack for unwinders, so that an exception nobody catches terminates on the stack
// that threw it.
extern "C" void fairleadEntry();

namespace fairlead::runtime {

// What libstdc++ keeps per thread about exceptions being handled (abi::__cxa_eh_globals).
struct ExceptionState {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

// The addresses, fixed for the life of a thread, of its C++ and libc state. Taken once by the thread itself:
// a compiler may cache such an address over a call that comes back on another thread.
struct ThreadState {
  ExceptionState* exceptions = nullptr;
  int* error = nullptr;
};

struct Gobuf {
  void* sp = nullptr;
  ExceptionState exceptions;
  int error = 0;
#if defined(__SANITIZE_ADDRESS__)
  void* fakeStack = nullptr;
  const void* stackLow = nullptr;
  size_t stackSize = 0;
#endif
#if defined(__SANITIZE_THREAD__)
  void* fiber = nullptr;
#endif
};

// prepareGobuf() makes `c` begin in entry() when it is first switched to, on the stack [low, high).
void prepareGobuf(Gobuf& c, void* low, void* high, void (*entry)());
// adoptThread() makes `c` stand for the calling thread's own stack and returns the addresses of its state.
ThreadState adoptThread(Gobuf& c);
// retireGobuf() releases what prepareGobuf() took. `c` must not be the running one.
void retireGobuf(Gobuf& c);

// switchStack() leaves `from` and continues in `to`, on the same thread. It returns when somebody switches
// back to `from`, perhaps on another thread. `dying`: nobody will.
void switchStack(Gobuf& from, Gobuf& to, const ThreadState& here, bool dying);

// ParkedFrame is where a stack was left: the address it continues at, and the frame pointer there.
struct ParkedFrame {
  uintptr_t pc = 0;
  uintptr_t fp = 0;
};
// parkedFrame() reads it from the stack; `c` must be one that was prepared or left.
ParkedFrame parkedFrame(const Gobuf& c);

// enteredStack() is the first thing a new stack calls.
inline void enteredStack() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace fairlead::runtime
