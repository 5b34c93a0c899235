#include "runtime/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

namespace fairlead::runtime {

// Never inlined: the address of errno, which a compiler takes once per function, is another one after a park.
[[gnu::noinline]] void futexSleep(std::atomic<uint32_t>& word, uint32_t expected, int64_t deadline) {
  const int error = errno;
  timespec at{.tv_sec = deadline / 1'000'000'000, .tv_nsec = deadline % 1'000'000'000};
  // FUTEX_WAIT_BITSET takes an absolute time, so a loop never drifts.
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline < 0 ? nullptr : &at, nullptr,
          FUTEX_BITSET_MATCH_ANY);
  errno = error;
}

namespace {

[[gnu::noinline]] void wake(std::atomic<uint32_t>& word, int most) {
  const int error = errno;
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, most);
  errno = error;
}

}  // namespace

void futexWake(std::atomic<uint32_t>& word) { wake(word, 1); }
void futexWakeAll(std::atomic<uint32_t>& word) { wake(word, std::numeric_limits<int>::max()); }

}  // namespace fairlead::runtime
