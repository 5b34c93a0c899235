// Goroutines that do not park by themselves.
#include "runtime/preempt.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

using PreemptTest = RuntimeTest;

// A 12, Go's TestPreemption: two goroutines hand a flag to each other by spinning, with poll points.
TEST_F(PreemptTest, SpinnersThatPollMakeProgressOnOneP) {
  const int procs = setMaxProcs(1);
  std::atomic<int> turn{0};
  WaitGroup group;
  for (int me = 0; me < 2; ++me) {
    group.go([&, me] {
      for (int i = 0; i < 5; ++i) {
        while (turn != me) checkpoint();
        turn = 1 - me;
      }
    });
  }
  group.wait();
  EXPECT_EQ(turn, 0);
  setMaxProcs(procs);
}

// A 2, Go's TestYieldProgress, and A 3, locked.
TEST_F(PreemptTest, APollerOfAChannelSeesTheValue) {
  for (const bool locked : {false, true}) {
    const Chan<int> values;
    const Chan<bool> seen(1);
    go([=] {
      if (locked) lockOSThread();
      while (!values.tryReceive().ready) gosched();
      seen.send(true);
      if (locked) unlockOSThread();
    });
    values.send(1);
    EXPECT_EQ(seen.receive(), true);
  }
}

// A timer fires although every P is busy, and a goroutine made ready gets its turn.
TEST_F(PreemptTest, SleepersWakeWhileEveryPIsBusy) {
  std::atomic<bool> stop{false};
  WaitGroup group;
  for (int i = 0; i < maxProcs(); ++i) {
    group.go([&] {
      while (!stop) checkpoint();
    });
  }
  for (int i = 0; i < 5; ++i) sleep(1ms);
  stop = true;
  group.wait();
  EXPECT_TRUE(stop);
}

#if !defined(__SANITIZE_THREAD__)  // it delays signals until the program calls the C library

class AsyncPreemptTest : public RuntimeTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(enableAsyncPreemption());
    RuntimeTest::SetUp();
  }
};

[[gnu::noinline]] void emptyLoop(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
}

[[gnu::noinline]] void framelessArithmetic(const std::atomic<bool>& stop) {
  for (uint64_t x = 1; !stop.load(std::memory_order_relaxed); x = x * 3 + 1) asm volatile("" : "+r"(x));
}

[[gnu::noinline]] void floatingPoint(const std::atomic<bool>& stop) {
  double x = 1;
  while (!stop.load(std::memory_order_relaxed)) x = std::sqrt(x + 2) * 1.000001;
  EXPECT_GT(x, 0);
}

[[gnu::noinline]] void allocations(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    void* volatile p = std::malloc(100);
    std::free(p);
  }
}

[[gnu::noinline]] void exceptions(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    try {
      throw 1;
    } catch (int i) {
      EXPECT_EQ(i, 1);
    }
  }
}

// A 14, Go's TestAsyncPreempt: loops without a call on one P do not stop the others, nor the world's
// stopping.
TEST_F(AsyncPreemptTest, LoopsWithoutACallDoNotStopTheOthers) {
  const int procs = setMaxProcs(1);
  for (const auto& loop : {emptyLoop, framelessArithmetic, floatingPoint, allocations, exceptions}) {
    std::atomic<bool> stop{false};
    WaitGroup group;
    group.go([&] { loop(stop); });
    for (int i = 0; i < 3; ++i) {
      gosched();
      stopTheWorld();
      startTheWorld();
    }
    stop = true;
    group.wait();
    EXPECT_TRUE(stop);
  }
  setMaxProcs(procs);
}

TEST_F(AsyncPreemptTest, APreemptedGoroutineKeepsItsThreadAndItsLockCount) {
  const int procs = setMaxProcs(1);
  std::atomic<bool> stop{false};
  std::atomic<int> strayed{0};
  WaitGroup group;
  for (const bool locked : {false, true}) {
    group.go([&, locked] {
      if (locked) lockOSThread();
      const int thread = threadId();
      emptyLoop(stop);
      strayed += thread != threadId();
      EXPECT_EQ(getm()->lockedExt, locked ? 1U : 0U);
      EXPECT_EQ(getm()->lockedInt, 0U);
      EXPECT_EQ(getm()->lockedg != nullptr, locked);
      if (locked) unlockOSThread();
    });
  }
  for (int i = 0; i < 5; ++i) gosched();
  stop = true;
  group.wait();
  EXPECT_EQ(strayed, 0);
  setMaxProcs(procs);
}

// The one that holds the mutex is preempted; those that wait for it block their threads inside pthread, and
// have to let it go on.
TEST_F(AsyncPreemptTest, WaitersForAStdMutexLetItsPreemptedHolderGoOn) {
  std::mutex mutex;
  uint64_t guarded = 0;
  const int n = maxProcs() + 2;
  WaitGroup group;
  for (int i = 0; i < n; ++i) {
    group.go([&] {
      for (int k = 0; k < 3; ++k) {
        const std::lock_guard lock(mutex);
        const int64_t until = nanotime() + 15'000'000;
        while (nanotime() < until) ++guarded;
      }
    });
  }
  group.wait();
  EXPECT_GT(guarded, 0U);
}

// A 68 in part: every spinner gets its slices, and each takes one thread.
TEST_F(AsyncPreemptTest, EachOfManySpinnersRuns) {
  constexpr int kSpinners = 20;
  std::atomic<bool> stop{false};
  std::atomic<int> begun{0};
  WaitGroup group;
  for (int i = 0; i < kSpinners; ++i) {
    group.go([&] {
      ++begun;
      emptyLoop(stop);
    });
  }
  while (begun != kSpinners) gosched();
  stop = true;
  group.wait();
  EXPECT_EQ(begun, kSpinners);
}

#endif

}  // namespace
}  // namespace fairlead::runtime
