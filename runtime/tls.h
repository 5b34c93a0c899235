// Internal: what a thread knows about itself. Used by lock.h, so it depends on nothing.
//
// The block is reached through the thread pointer by inline assembly, each time anew. A compiler may keep the
// address of a thread_local over a call, and after a park that address is another thread's (GCC bug 26461);
// volatile and barriers do not forbid it, and a function that is not inlined costs a call in every operation.
#pragma once

#include <cstdint>

namespace fairlead::runtime {

struct M;

struct ThreadBlock {
  M* m;            // nullptr: not a thread of the scheduler's
  uint32_t locks;  // not 0: the thread is inside the runtime and must not be preempted there
};

extern "C" {
extern thread_local constinit ThreadBlock fairleadThread [[gnu::tls_model("initial-exec")]];
}

// threadBlock() is the calling thread's. Never keep the result over anything that may park.
inline ThreadBlock* threadBlock() {
  ThreadBlock* block = nullptr;
#if defined(__x86_64__)
  asm volatile(
      "movq fairleadThread@gottpoff(%%rip), %0\n\t"
      "addq %%fs:0, %0"
      : "=r"(block)
      :
      : "cc", "memory");
#elif defined(__aarch64__)
  uint64_t offset = 0;
  asm volatile(
      "adrp %1, :gottprel:fairleadThread\n\t"
      "ldr %1, [%1, #:gottprel_lo12:fairleadThread]\n\t"
      "mrs %0, tpidr_el0\n\t"
      "add %0, %0, %1"
      : "=&r"(block), "=&r"(offset)
      :
      : "memory");
#else
#error "runtime: write threadBlock() for this machine"
#endif
  return block;
}

inline M* getmOrNull() { return threadBlock()->m; }
inline void setm(M* m) { threadBlock()->m = m; }

[[noreturn]] void noM();

// getm() is the calling thread's M. Fatal on a thread that the runtime did not make, and before main.
inline M* getm() {
  M* m = getmOrNull();
  if (m == nullptr) [[unlikely]]
    noM();
  return m;
}

// acquirem() and releasem() enclose what preemption would break: while a runtime lock is held, a P's own
// fields are changed, or one goroutine has been left and the next not yet entered. The count belongs to the
// thread: who is switched away from inside leaves it to who is switched to, so it always balances. (Go:
// m.locks.)
inline void acquirem() { ++threadBlock()->locks; }
inline void releasem() { --threadBlock()->locks; }

// NoPreempt is acquirem() for a scope.
class NoPreempt {
 public:
  NoPreempt() { acquirem(); }
  ~NoPreempt() { releasem(); }
  NoPreempt(const NoPreempt&) = delete;
  NoPreempt& operator=(const NoPreempt&) = delete;
};

}  // namespace fairlead::runtime
