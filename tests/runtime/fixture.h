// RuntimeTest: a fixture that proves that a test left no goroutine, thread or file descriptor behind.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <set>

namespace fairlead::runtime {

// kMany is "many goroutines at once"; ThreadSanitizer dies of 8,000.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
inline constexpr int kMany = kThreadSanitizer ? 500 : 5000;

// eventually() looks at `condition` until it holds, and gives up after ten seconds. For what the kernel does
// in its own time and tells nobody, such as the end of a thread.
bool eventually(const std::function<bool()>& condition);

// osThreads() are the thread ids of this process, from /proc.
std::set<int> osThreads();

// runInParallel() has `n` goroutines hand a counter round by spinning, which ends only if all of them run at
// the same time.
void runInParallel(int n);

// openFiles() counts the file descriptors of this process.
int openFiles();

class RuntimeTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

 private:
  int goroutines_ = 0;
  int files_ = 0;
};

}  // namespace fairlead::runtime
