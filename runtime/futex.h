// Internal: the kernel's futex, and the two processor hints that everything which spins needs.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

namespace fairlead::runtime {

// nanotime() is CLOCK_MONOTONIC in nanoseconds.
inline int64_t nanotime() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// futexSleep() blocks the thread while word == expected, until a wake or `deadline` (nanotime; negative:
// none). It may return early for no reason: callers loop. Neither it nor futexWake() changes errno: the
// goroutine in whose name they are called has one of its own.
void futexSleep(std::atomic<uint32_t>& word, uint32_t expected, int64_t deadline = -1);

// futexWake() wakes one thread that sleeps on word. The word may already be gone: the kernel uses its address
// only, and a stranger that is woken by mistake loops.
void futexWake(std::atomic<uint32_t>& word);
void futexWakeAll(std::atomic<uint32_t>& word);

// cpuRelax() tells the processor that this is a spin loop.
inline void cpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

// fullFence() orders everything before it against everything after it, stores against later loads too.
// ThreadSanitizer does not model fences, so there a read-modify-write, which is one on every machine we build
// for, takes its place.
inline void fullFence() {
#if defined(__SANITIZE_THREAD__)
  std::atomic<int> barrier{0};
  barrier.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace fairlead::runtime
