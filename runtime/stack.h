// Internal: the stacks of goroutines, in slabs, each with its G at the top and a guard below.
#pragma once

#include <cstddef>

#include "runtime/g.h"

namespace fairlead::runtime {

// kStackSize is one stack's share of address space, a quarter of that from the 262,145th on; memory is taken
// page by page as it is touched. Sanitizers
// need two to four times the frame.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr size_t kStackSize = 1024UL * 1024;
#else
inline constexpr size_t kStackSize = 256UL * 1024;
#endif
inline constexpr size_t kGuardSize = 16UL * 1024;  // frames larger than a page could jump a single one

// newStack() returns a dead goroutine with a stack of its own, for good. Fatal when the kernel gives no
// memory.
G* newStack();

// forEachG() calls f for every goroutine record there is, the dead ones too, main's first. Safe at any time.
void forEachG(void (*f)(G*, void*), void* arg);

// installFaultHandler() makes an overflow of a goroutine's stack end the program with "stack overflow" and
// the goroutine's number; any other fault goes where it went before. Once, and then each thread needs an
// alternate stack.
void installFaultHandler();

// installAltStack() gives the calling thread a signal stack: a handler cannot run on the stack that has just
// overflowed. `memory` is what it returned for a thread that has gone, or nullptr for a new one.
void* installAltStack(void* memory);
void removeAltStack();

}  // namespace fairlead::runtime
