// Threads that the runtime did not make. They may wake goroutines, so while there is one, a process in which
// every goroutine waits is not dead.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "runtime/gmp.h"

namespace fairlead::runtime {
namespace {

constexpr int kLooks = 10;  // a thread of ours that has just ended may be listed for a moment
constexpr timespec kBetweenLooks{.tv_sec = 0, .tv_nsec = 1'000'000};

// Threads of a tool that every process has under it: ThreadSanitizer's own, and qemu's.
#if defined(__SANITIZE_THREAD__) || defined(FAIRLEAD_UNDER_QEMU)
constexpr int kToolThreads = 1;
#else
constexpr int kToolThreads = 0;
#endif

// The runtime's threads that are no Ms: template thread, sysmon, and the like.
constinit std::array<std::atomic<pid_t>, 8> helpers{};
constinit std::atomic<int> expected{0};  // of them, made and not begun

bool isOurs(pid_t thread) {
  for (const M* m = sched.allm; m != nullptr; m = m->alllink) {
    if (m->procid.load(std::memory_order_relaxed) == thread) return true;
  }
  return std::any_of(helpers.begin(), helpers.end(), [&](const auto& helper) { return helper == thread; });
}

int countForeign() {
  const int directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return 0;
  int count = -kToolThreads;
  alignas(dirent64) std::array<char, 4096> buffer;
  for (ssize_t n = 0; (n = getdents64(directory, buffer.data(), buffer.size())) > 0;) {
    for (ssize_t at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      pid_t thread = 0;
      std::from_chars(entry->d_name, entry->d_name + std::strlen(entry->d_name), thread);
      if (thread != 0 && !isOurs(thread)) ++count;
      at += entry->d_reclen;
    }
  }
  close(directory);
  return count;
}

}  // namespace

void expectHelperThread() { expected.fetch_add(1); }

void registerHelperThread() {
  for (auto& helper : helpers) {
    pid_t none = 0;
    if (helper.compare_exchange_strong(none, gettid())) break;
  }
  expected.fetch_sub(1);
}

// One that has not begun is listed all the same, and is no stranger.
bool foreignThreadsExist() {
  while (expected.load() != 0) nanosleep(&kBetweenLooks, nullptr);
  for (int i = 0; i < kLooks; ++i) {
    if (countForeign() <= 0) return false;
    nanosleep(&kBetweenLooks, nullptr);
  }
  return true;
}

}  // namespace fairlead::runtime
