// Every sentence of Go's sync.Cond.
#include "runtime/cond.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <type_traits>

#include "runtime/chan.h"
#include "runtime/mutex.h"
#include "runtime/runtime.h"
#include "runtime/rwmutex.h"
#include "runtime/waitgroup.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using CondTest = RuntimeTest;

// Go: "sync.Cond is copied".
template <class... T>
constexpr bool kNobodyCopies = ((!std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>)&&...);
static_assert(kNobodyCopies<Cond, Mutex, RWMutex, WaitGroup>);

// Go's TestCondSignal.
TEST_F(CondTest, ASignalWakesOne) {
  Mutex mutex;
  Cond cond;
  const Chan<bool> awake(3);
  for (int i = 0; i < 3; ++i) {
    go([&, awake] {
      const std::lock_guard lock(mutex);
      cond.wait(mutex);
      awake.send(true);
    });
  }
  ASSERT_TRUE(parked(3, WaitReason::CondWait));
  for (int left = 2; left >= 0; --left) {
    EXPECT_FALSE(awake.tryReceive().ready);
    mutex.lock();
    cond.signal();
    mutex.unlock();
    awake.receive();
    ASSERT_TRUE(parked(left, WaitReason::CondWait));
  }
  cond.signal();  // nobody waits: nothing is remembered
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(CondTest, WhoWaitedLongestIsWokenFirst) {
  Mutex mutex;
  Cond cond;
  const Chan<int> awake;
  for (int i = 0; i < 5; ++i) {
    go([&, awake, i] {
      {
        const std::lock_guard lock(mutex);
        cond.wait(mutex);
      }
      awake.send(i);
    });
    ASSERT_TRUE(parked(i + 1, WaitReason::CondWait));
  }
  for (int i = 0; i < 5; ++i) {
    cond.signal();  // without the lock: allowed
    EXPECT_EQ(awake.receive(), i);
  }
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

// Go's TestCondBroadcast.
TEST_F(CondTest, ABroadcastWakesAll) {
  Mutex mutex;
  Cond cond;
  WaitGroup group;
  int generation = 0;
  std::atomic<int> passed{0};
  for (int i = 0; i < 20; ++i) {
    group.go([&] {
      std::unique_lock lock(mutex);
      for (int round = 1; round <= 3; ++round) {
        cond.wait(lock, [&] { return generation >= round; });
        ++passed;
      }
    });
  }
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(parked(20, WaitReason::CondWait));
    EXPECT_EQ(passed, 20 * (round - 1));
    const std::lock_guard lock(mutex);
    generation = round;
    cond.broadcast();
  }
  group.wait();
  EXPECT_EQ(passed, 60);
}

// Go's TestRace: the wait begins before the lock is given up, so a signal sent under the lock is not lost.
TEST_F(CondTest, NoSignalIsLost) {
  constexpr int kItems = 2000;
  Mutex mutex;
  Cond changed;
  std::deque<int> queue;
  WaitGroup group;
  std::atomic<int> sum{0};
  for (int c = 0; c < 4; ++c) {
    group.go([&] {
      for (;;) {
        std::unique_lock lock(mutex);
        while (queue.empty()) changed.wait(lock);
        const int item = queue.front();
        queue.pop_front();
        lock.unlock();
        if (item == 0) return;
        sum += item;
      }
    });
  }
  for (int i = 0; i < kItems + 4; ++i) {
    const std::lock_guard lock(mutex);
    queue.push_back(i < kItems ? 1 : 0);
    changed.signal();
  }
  group.wait();
  EXPECT_EQ(sum, kItems);
}

// Interlude is a lock for what happens between the beginning of a wait and the moment in which it parks.
struct Interlude {
  std::function<void()> then;
  void lock() {}
  void unlock() { then(); }
};

TEST_F(CondTest, ASignalReachesOneThatHasNotParkedYet) {
  Cond cond;
  int waits = 0;
  for (const auto& call : {&Cond::signal, &Cond::broadcast}) {
    Interlude lock{[&] { (cond.*call)(); }};
    cond.wait(lock);
    ++waits;
  }
  EXPECT_EQ(waits, 2);
}

// The first is who began to wait first, though the second may have parked before.
TEST_F(CondTest, TheOrderIsThatOfTheBeginnings) {
  Cond cond;
  const Chan<Nothing> begun;
  const Chan<Nothing> park;
  const Chan<int> awake(2);
  go([&] {
    Interlude lock{[&] {
      begun.send({});
      park.receive();
    }};
    cond.wait(lock);
    awake.send(1);
  });
  begun.receive();
  go([&] {
    Interlude lock{[] {}};
    cond.wait(lock);
    awake.send(2);
  });
  ASSERT_TRUE(parked(1, WaitReason::CondWait));
  cond.signal();
  park.send({});
  EXPECT_EQ(awake.receive(), 1);
  ASSERT_TRUE(parked(1, WaitReason::CondWait));
  cond.signal();
  EXPECT_EQ(awake.receive(), 2);
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(CondTest, AnyLockWillDo) {
  RWMutex mutex;
  RWMutex::RLocker reading = mutex.rlocker();
  Cond cond;
  WaitGroup group;
  std::atomic<bool> go{false};
  for (int i = 0; i < 3; ++i) {
    group.go([&] {
      reading.lock();
      cond.wait(reading, [&] { return go.load(); });
      EXPECT_FALSE(mutex.try_lock());
      reading.unlock();
    });
  }
  ASSERT_TRUE(parked(3, WaitReason::CondWait));
  mutex.lock();
  go = true;
  cond.broadcast();
  mutex.unlock();
  group.wait();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

}  // namespace
}  // namespace fairlead::runtime
