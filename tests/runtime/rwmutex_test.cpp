// Every sentence of Go's sync.RWMutex.
#include "runtime/rwmutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <shared_mutex>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using RWMutexTest = RuntimeTest;

// Go's TestParallelReaders.
TEST_F(RWMutexTest, ReadersHoldItTogether) {
  for (const int readers : {1, 3, 8}) {
    RWMutex mutex;
    WaitGroup group;
    const Chan<bool> reading(readers);
    const Chan<bool> leave;
    for (int i = 0; i < readers; ++i) {
      group.go([=, &mutex] {
        const std::shared_lock lock(mutex);
        reading.send(true);
        leave.receive();
      });
    }
    for (int i = 0; i < readers; ++i) reading.receive();
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_TRUE(mutex.try_lock_shared());
    mutex.unlock_shared();
    leave.close();
    group.wait();
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
  }
}

TEST_F(RWMutexTest, AWriterIsAlone) {
  RWMutex mutex;
  mutex.lock();
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock_shared());
  WaitGroup group;
  group.go([&] { const std::shared_lock lock(mutex); });
  ASSERT_TRUE(parked(1, WaitReason::RWMutexRLock));
  group.go([&] { const std::unique_lock lock(mutex); });
  ASSERT_TRUE(parked(1, WaitReason::MutexLock));
  mutex.unlock();
  group.wait();
}

TEST_F(RWMutexTest, AWaitingWriterKeepsNewReadersOut) {
  RWMutex mutex;
  const Chan<int> order(2);
  mutex.lock_shared();
  go([&, order] {
    mutex.lock();
    order.send(1);
    mutex.unlock();
  });
  ASSERT_TRUE(parked(1, WaitReason::RWMutexLock));
  EXPECT_FALSE(mutex.try_lock_shared());
  go([&, order] {
    mutex.lock_shared();
    order.send(2);
    mutex.unlock_shared();
  });
  ASSERT_TRUE(parked(1, WaitReason::RWMutexRLock));
  mutex.unlock_shared();
  EXPECT_EQ(order.receive(), 1);
  EXPECT_EQ(order.receive(), 2);
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

// Readers that came while one writer wrote go before the next writer.
TEST_F(RWMutexTest, WaitingReadersGoBeforeTheNextWriter) {
  RWMutex mutex;
  const Chan<int> order(3);
  WaitGroup group;
  mutex.lock();
  group.go([&, order] {
    mutex.lock();
    order.send(0);
    mutex.unlock();
  });
  ASSERT_TRUE(parked(1, WaitReason::MutexLock));
  for (int i = 1; i <= 2; ++i) {
    group.go([&, order, i] {
      mutex.lock_shared();
      order.send(i);
      mutex.unlock_shared();
    });
    ASSERT_TRUE(parked(i, WaitReason::RWMutexRLock));
  }
  mutex.unlock();
  group.wait();
  EXPECT_NE(order.receive(), 0);
  EXPECT_NE(order.receive(), 0);
  EXPECT_EQ(order.receive(), 0);
}

TEST_F(RWMutexTest, AnotherGoroutineMayUnlock) {
  RWMutex mutex;
  mutex.lock();
  go([&] { mutex.unlock(); });
  mutex.lock_shared();
  go([&] { mutex.unlock_shared(); });
  mutex.lock();
  mutex.unlock();
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(RWMutexTest, TheReadingSideIsALockOfItsOwn) {
  RWMutex mutex;
  RWMutex::RLocker reading = mutex.rlocker();
  {
    const std::lock_guard lock(reading);
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_TRUE(mutex.try_lock_shared());
    mutex.unlock_shared();
  }
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

// Go's HammerRWMutex: `activity` is the number of readers, or 10,000 while there is a writer.
TEST_F(RWMutexTest, ReadersAndWritersNeverMeet) {
  for (const int readers : {1, 3, 10}) {
    RWMutex mutex;
    std::atomic<int> activity{0};
    WaitGroup group;
    const auto write = [&](int n) {
      for (int i = 0; i < n; ++i) {
        const std::unique_lock lock(mutex);
        EXPECT_EQ(activity.fetch_add(10'000), 0);
        if (i % 16 == 0) gosched();
        activity -= 10'000;
      }
    };
    const auto read = [&](int n) {
      for (int i = 0; i < n; ++i) {
        const std::shared_lock lock(mutex);
        const int now = ++activity;
        EXPECT_TRUE(now >= 1 && now < 10'000) << now;
        if (i % 16 == 0) gosched();
        --activity;
      }
    };
    constexpr int kEach = 500;
    for (int i = 0; i < 2; ++i) group.go([&] { write(kEach); });
    for (int i = 0; i < readers; ++i) group.go([&] { read(kEach); });
    group.wait();
    EXPECT_EQ(activity, 0);
  }
}

}  // namespace
}  // namespace fairlead::runtime
