#include "runtime/sync.h"

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

#include "runtime/chan.h"
#include "runtime/panic.h"
#include "runtime/runtime.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

using SyncTest = RuntimeTest;

TEST_F(SyncTest, AMutexExcludes) {
  Mutex mutex;
  int counter = 0;  // not atomic: the mutex is what makes this right
  WaitGroup group;
  for (int i = 0; i < 20; ++i) {
    group.go([&] {
      for (int k = 0; k < 1000; ++k) {
        const std::lock_guard lock(mutex);
        ++counter;
        if (k % 100 == 0) gosched();
      }
    });
  }
  group.wait();
  EXPECT_EQ(counter, 20'000);
}

TEST_F(SyncTest, AnotherGoroutineMayUnlock) {
  Mutex mutex;
  mutex.lock();
  go([&mutex] { mutex.unlock(); });
  mutex.lock();
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

// A goroutine that unlocks only to lock again at once, while it has the CPU, would keep a waiter out for ever
// if waiters were not handed the mutex after a millisecond.
TEST_F(SyncTest, AWaiterIsNotStarvedByOneThatKeepsComingBack) {
  Mutex mutex;
  std::atomic<bool> stop{false};
  WaitGroup group;
  group.go([&] {
    while (!stop) {
      const std::lock_guard lock(mutex);
      sleep(100us);
    }
  });
  for (int i = 0; i < 10; ++i) {
    sleep(100us);
    const std::lock_guard lock(mutex);
  }
  stop = true;
  group.wait();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(SyncTest, ManyWaitersAllGetTheMutex) {
  Mutex mutex;
  WaitGroup group;
  int passed = 0;
  mutex.lock();
  for (int i = 0; i < 100; ++i) {
    group.go([&] {
      const std::lock_guard lock(mutex);
      ++passed;
      if (passed % 10 == 0) sleep(200us);  // lets waits grow past the millisecond
    });
  }
  sleep(2ms);
  mutex.unlock();
  group.wait();
  EXPECT_EQ(passed, 100);
}

TEST_F(SyncTest, WaitReturnsAtOnceWhenTheCounterIsZero) {
  WaitGroup group;
  group.wait();
  group.add(1);
  group.done();
  group.wait();
  EXPECT_EQ(numGoroutine(), 1);
}

TEST_F(SyncTest, AllWaitersAreReleased) {
  WaitGroup work;
  WaitGroup waiters;
  std::atomic<int> released{0};
  work.add(1);
  for (int i = 0; i < 10; ++i) {
    waiters.go([&] {
      work.wait();
      ++released;
    });
  }
  EXPECT_EQ(released, 0);
  work.done();
  waiters.wait();
  EXPECT_EQ(released, 10);
}

TEST_F(SyncTest, AWaitGroupCanBeUsedAgain) {
  WaitGroup group;
  int sum = 0;
  for (int round = 0; round < 1000; ++round) {
    group.go([&sum] { ++sum; });
    group.wait();
  }
  EXPECT_EQ(sum, 1000);
}

TEST_F(SyncTest, AWaitGroupMayGoAsSoonAsWaitReturns) {
  for (int round = 0; round < 1000; ++round) {
    auto group = std::make_unique<WaitGroup>();
    for (int i = 0; i < 3; ++i) group->go([] {});
    group->wait();
    group.reset();
  }
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(SyncTest, ANegativeCounterPanics) {
  WaitGroup group;
  try {
    group.done();
    FAIL() << "no panic";
  } catch (const Panic& panic) {
    EXPECT_STREQ(panic.what(), "sync: negative WaitGroup counter");
  }
}

TEST_F(SyncTest, GoexitStillCountsAsDone) {
  WaitGroup group;
  group.go([] { goexit(); });
  group.wait();
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

}  // namespace
}  // namespace fairlead::runtime
