// Every sentence of Go's sync.Mutex.
#include "runtime/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

using MutexTest = RuntimeTest;

TEST_F(MutexTest, AMutexExcludes) {
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

TEST_F(MutexTest, AnotherGoroutineMayUnlock) {
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
TEST_F(MutexTest, AWaiterIsNotStarvedByOneThatKeepsComingBack) {
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

TEST_F(MutexTest, ManyWaitersAllGetTheMutex) {
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
  ASSERT_TRUE(parked(100, WaitReason::MutexLock));
  mutex.unlock();
  group.wait();
  EXPECT_EQ(passed, 100);
}

TEST_F(MutexTest, TryLockFailsWhileItIsHeldAndOnlyThen) {
  Mutex mutex;
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

// Those who have not waited long take the mutex in the order in which they came.
TEST_F(MutexTest, WaitersAreWokenFirstComeFirstServed) {
  Mutex mutex;
  mutex.lock();
  std::vector<int> order;
  WaitGroup group;
  for (int i = 0; i < 5; ++i) {
    group.go([&, i] {
      const std::lock_guard lock(mutex);
      order.push_back(i);
    });
    ASSERT_TRUE(parked(i + 1, WaitReason::MutexLock));
  }
  mutex.unlock();
  group.wait();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

// One that was woken and found the mutex taken waits before those that came after it.
TEST_F(MutexTest, AWaiterThatWasOvertakenStaysTheFirst) {
  Mutex mutex;
  mutex.lock();
  std::vector<int> order;
  WaitGroup group;
  for (int i = 0; i < 2; ++i) {
    group.go([&, i] {
      const std::lock_guard lock(mutex);
      order.push_back(i);
    });
    ASSERT_TRUE(parked(i + 1, WaitReason::MutexLock));
  }
  mutex.unlock();
  const bool again = mutex.try_lock();
  const bool overtook = again && order.empty();
  EXPECT_TRUE(overtook || maxProcs() > 1);
  if (overtook) {
    EXPECT_TRUE(parked(2, WaitReason::MutexLock));
  }
  if (again) mutex.unlock();
  group.wait();
  EXPECT_EQ(order, (std::vector<int>{0, 1}));
}

// Starvation: one that waited for more than a millisecond and was overtaken goes back to the front, and then
// gets the mutex from the hand of its owner: that one cannot have it again first, and neither can try_lock().
TEST_F(MutexTest, AStarvingWaiterIsHandedTheMutex) {
  Mutex mutex;
  mutex.lock();
  std::atomic<bool> got{false};
  WaitGroup group;
  group.go([&] {
    const std::lock_guard lock(mutex);
    got = true;
  });
  ASSERT_TRUE(parked(1, WaitReason::MutexLock));
  // Each time round the waiter is made ready, overtaken, and kept waiting for longer than it will stand.
  for (int turns = 0;; ++turns) {
    sleep(1100us);
    mutex.unlock();
    if (!mutex.try_lock()) break;
    if (got) {
      mutex.unlock();
      break;
    }
    ASSERT_LT(turns, 1000);
  }
  group.wait();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

// The last one out of the object that the mutex protects destroys both: unlock() must not touch the mutex
// once another can have it.
TEST_F(MutexTest, TheLastUserMayDestroyTheMutex) {
  struct Shared {
    Mutex mutex;
    int users = 4;
  };
  for (int round = 0; round < kMany / 5; ++round) {
    auto* shared = new Shared;
    WaitGroup group;
    for (int i = 0; i < 4; ++i) {
      group.go([shared] {
        shared->mutex.lock();
        const bool last = --shared->users == 0;
        shared->mutex.unlock();
        if (last) delete shared;
      });
    }
    group.wait();
  }
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

// Go's HammerMutex, with one in three attempts by try_lock().
TEST_F(MutexTest, ManyGoroutinesHammerIt) {
  Mutex mutex;
  int counter = 0;
  std::atomic<int> entered{0};
  WaitGroup group;
  for (int g = 0; g < 10; ++g) {
    group.go([&] {
      for (int i = 0; i < kMany; ++i) {
        if (i % 3 == 0) {
          if (!mutex.try_lock()) continue;
        } else {
          mutex.lock();
        }
        ++counter;
        ++entered;
        mutex.unlock();
      }
    });
  }
  group.wait();
  EXPECT_EQ(counter, entered);
}

}  // namespace
}  // namespace fairlead::runtime
