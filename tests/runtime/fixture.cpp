#include "tests/runtime/fixture.h"

#include <atomic>
#include <filesystem>
#include <iterator>
#include <string>

#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"

namespace fairlead::runtime {

using namespace std::chrono_literals;

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    sleep(1ms);
  }
  return true;
}

std::set<int> osThreads() {
  std::set<int> threads;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    threads.insert(std::stoi(entry.path().filename().string()));
  }
  return threads;
}

int openFiles() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<int>(std::distance(begin(files), end(files)));
}

void runInParallel(int n) {
  std::atomic<int> turn{0};
  WaitGroup group;
  for (int i = 0; i < n; ++i) {
    group.go([&turn, i, n] {
      for (int k = 0; k < 3; ++k) {
        while (turn.load(std::memory_order_acquire) != k * n + i) cpuRelax();
        turn.store(k * n + i + 1, std::memory_order_release);
      }
    });
  }
  group.wait();
  EXPECT_EQ(turn.load(), 3 * n);
}

void RuntimeTest::SetUp() {
  goroutines_ = numGoroutine();
  files_ = openFiles();
}

// Idle threads stay for good, so threads are compared with the scheduler's own count: Ms, sysmon, template
// thread.
void RuntimeTest::TearDown() {
  EXPECT_TRUE(eventually([&] { return numGoroutine() == goroutines_; })) << numGoroutine() << " goroutines";
  // Fewer is no leak: a thread of the test before may have had /proc open when this one began.
  EXPECT_TRUE(eventually([&] { return openFiles() <= files_; })) << openFiles() << " files";
  constexpr size_t kHelpers = 4;
  EXPECT_TRUE(eventually([] {
    sched.lock.lock();
    const auto ms = static_cast<size_t>(sched.mcount);
    sched.lock.unlock();
    const size_t threads = osThreads().size();
    return threads >= ms && threads <= ms + kHelpers;
  })) << osThreads().size()
      << " threads";
}

}  // namespace fairlead::runtime
