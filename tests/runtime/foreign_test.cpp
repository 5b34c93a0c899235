// Threads that the runtime did not make: std::thread, a library's pool, a signal handler's.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using ForeignTest = RuntimeTest;

TEST_F(ForeignTest, AForeignThreadSendsToAChannel) {
  const Chan<int> values(1);
  constexpr int kValues = 2000;
  std::thread stranger([values] {
    for (int i = 0; i < kValues;) i += values.trySend(int{i}) ? 1 : 0;
  });
  int64_t sum = 0;
  for (int i = 0; i < kValues; ++i) sum += *values.receive();
  stranger.join();
  EXPECT_EQ(sum, int64_t{kValues} * (kValues - 1) / 2);
}

TEST_F(ForeignTest, AForeignThreadClosesAChannelThatManyWaitFor) {
  const Chan<int> closed;
  WaitGroup group;
  std::atomic<int> woken{0};
  for (int i = 0; i < 100; ++i) {
    group.go([&] { woken += closed.receive().has_value() ? 0 : 1; });
  }
  std::thread stranger([&] { closed.close(); });
  group.wait();
  stranger.join();
  EXPECT_EQ(woken, 100);
}

TEST_F(ForeignTest, AForeignThreadEndsAWaitGroupsWait) {
  for (int round = 0; round < 50; ++round) {
    WaitGroup group;
    group.add(4);
    std::vector<std::thread> strangers;
    for (int i = 0; i < 4; ++i) strangers.emplace_back([&] { group.done(); });
    group.wait();
    for (std::thread& stranger : strangers) stranger.join();
  }
  EXPECT_EQ(numGoroutine(), 1);
}

TEST_F(ForeignTest, AForeignThreadUnlocksAMutexThatIsWaitedFor) {
  Mutex mutex;
  mutex.lock();
  std::atomic<bool> got{false};
  WaitGroup group;
  group.go([&] {
    const std::lock_guard lock(mutex);
    got = true;
  });
  gosched();
  std::thread stranger([&] { mutex.unlock(); });
  group.wait();
  stranger.join();
  EXPECT_TRUE(got);
}

TEST_F(ForeignTest, AForeignThreadWakesALockedGoroutine) {
  lockOSThread();
  const int thread = threadId();
  const Chan<int> values;
  for (int i = 0; i < 200; ++i) {
    std::thread stranger([&] {
      while (!values.trySend(int{i})) std::this_thread::yield();
    });
    EXPECT_EQ(values.receive(), i);
    EXPECT_EQ(threadId(), thread);
    stranger.join();
  }
  unlockOSThread();
}

}  // namespace
}  // namespace fairlead::runtime
