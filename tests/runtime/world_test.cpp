// Stopping the world, and changing the number of Ps.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>
#include <vector>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

class WorldTest : public RuntimeTest {
 protected:
  void TearDown() override {
    setMaxProcs(procs_);
    RuntimeTest::TearDown();
  }

 private:
  int procs_ = maxProcs();
};

// A goroutine that starts its own successor until told to stop.
void respawn(std::atomic<bool>* stop, WaitGroup* group) {
  if (!*stop) group->go([=] { respawn(stop, group); });
}

// A 1, Go's TestStopTheWorldDeadlock.
TEST_F(WorldTest, StoppingAndResizingDoNotDeadlockWithSpawning) {
  constexpr int kRounds = kThreadSanitizer ? 200 : 1000;
  std::atomic<bool> stop{false};
  WaitGroup group;
  group.go([&] { respawn(&stop, &group); });
  group.go([&] {
    for (int i = 0; i < kRounds; ++i) {
      setMaxProcs(3);
      gosched();
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    stopTheWorld();
    startTheWorld();
    gosched();
  }
  stop = true;
  group.wait();
  EXPECT_EQ(maxProcs(), 3);
}

// A 13 and 15, Go's TestPreemptionGC and TestGCFairness: the one who stops the world gets its way.
TEST_F(WorldTest, SpinnersThatPollAreStopped) {
  const int n = maxProcs();
  setMaxProcs(n + 1);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> turns{0};
  WaitGroup spinners;
  for (int i = 0; i < n; ++i) {
    spinners.go([&] {
      while (!stop) {
        turns.fetch_add(1, std::memory_order_relaxed);
        checkpoint();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    gosched();
    stopTheWorld();
    const uint64_t before = turns;
    for (int k = 0; k < 1000; ++k) cpuRelax();
    EXPECT_EQ(turns, before) << "somebody ran while the world was stopped";
    startTheWorld();
  }
  stop = true;
  spinners.wait();
}

// A 19, Go's TestPreemptionAfterSyscall.
TEST_F(WorldTest, GoroutinesThatComeFromTheKernelAreStopped) {
  for (const auto length : {10us, 100us, 1000us}) {
    setMaxProcs(2);
    std::atomic<bool> stop{false};
    WaitGroup group;
    for (int i = 0; i < 8; ++i) {
      group.go([&] {
        while (!stop) {
          const BlockingSection blocking;
          const timespec span{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(length).count()};
          nanosleep(&span, nullptr);
        }
      });
    }
    for (int i = 0; i < 20; ++i) {
      stopTheWorld();
      startTheWorld();
      gosched();
    }
    stop = true;
    group.wait();
  }
  EXPECT_EQ(maxProcs(), 2);
}

// A 21, Go's TestBigGOMAXPROCS.
TEST_F(WorldTest, AThousandPsRunAndGoAgain) {
  EXPECT_GE(setMaxProcs(1024), 1);
  EXPECT_EQ(maxProcs(), 1024);
  EXPECT_EQ(setMaxProcs(5000), 1024);
  EXPECT_EQ(maxProcs(), 1024);
  WaitGroup group;
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) group.go([&] { ++ran; });
  group.wait();
  EXPECT_EQ(ran, 100);
  EXPECT_EQ(setMaxProcs(0), 1024) << "asking changes nothing";
}

// What waits in the queue of a P that goes is run by the others, the oldest first.
TEST_F(WorldTest, NothingIsLostWhenPsGo) {
  for (int round = 0; round < 20; ++round) {
    setMaxProcs(8);
    WaitGroup group;
    std::atomic<int> ran{0};
    for (int i = 0; i < kMany; ++i) group.go([&] { ++ran; });
    setMaxProcs(1);
    group.wait();
    EXPECT_EQ(ran, kMany);
  }
  EXPECT_EQ(numGoroutine(), 1);
}

// Whoever stops the world asks every P to yield; a P that goes takes its request along.
TEST_F(WorldTest, NoRequestToYieldOutlivesItsP) {
  for (int round = 0; round < 20; ++round) {
    setMaxProcs(8);
    std::atomic<bool> stop{false};
    WaitGroup group;
    for (int i = 0; i < 8; ++i) {
      group.go([&] {
        while (!stop) checkpoint();
      });
    }
    gosched();
    setMaxProcs(1);
    stop = true;
    group.wait();
  }
  for (uint32_t i = 1; i < sched.allpcount; ++i) EXPECT_FALSE(sched.p(i)->preempt) << i;
}

TEST_F(WorldTest, TheCallerMayBeLocked) {
  lockOSThread();
  const int thread = threadId();
  for (const int n : {4, 1, 8, 2}) {
    setMaxProcs(n);
    EXPECT_EQ(maxProcs(), n);
    EXPECT_EQ(threadId(), thread);
  }
  unlockOSThread();
}

TEST_F(WorldTest, SleepersWakeAfterTheWorldWasStopped) {
  std::atomic<int> woken{0};
  WaitGroup group;
  for (int i = 0; i < 50; ++i) {
    group.go([&, i] {
      sleep(std::chrono::microseconds(100 * i));
      ++woken;
    });
  }
  for (int i = 0; i < 50; ++i) {
    stopTheWorld();
    startTheWorld();
    sleep(50us);
  }
  group.wait();
  EXPECT_EQ(woken, 50);
}

// A 23, Go's TestMexitSTW: threads that end while the world is being stopped.
TEST_F(WorldTest, LockedExitsDoNotHoldTheStopUp) {
  lockOSThread();
  std::atomic<bool> stop{false};
  std::atomic<int> ended{0};
  WaitGroup group;
  for (int i = 0; i < 4; ++i) {
    group.go([&] {
      while (!stop) {
        WaitGroup one;
        one.go([] { lockOSThread(); });
        one.wait();
        ++ended;
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    stopTheWorld();
    startTheWorld();
    gosched();
  }
  stop = true;
  group.wait();
  unlockOSThread();
  EXPECT_GE(ended, 4);
}

// A 25, Go's TestStealOrder.
TEST(StealOrderTest, EveryWalkVisitsEachPOnce) {
  StealOrder order;
  for (uint32_t n = 1; n <= 64; ++n) {
    order.reset(n);
    EXPECT_GE(order.coprimes(), n >= 3 ? 2U : 1U) << n;
    std::set<std::pair<uint32_t, uint32_t>> walks;
    for (uint32_t r = 0; r < n * order.coprimes(); ++r) {
      std::vector<bool> seen(n);
      StealOrder::Walk walk = order.walk(r);
      walks.insert({walk.position(), walk.step() % n});
      for (; !walk.done(); walk.next()) {
        ASSERT_FALSE(seen[walk.position()]) << n << " " << r;
        seen[walk.position()] = true;
      }
      ASSERT_EQ(std::count(seen.begin(), seen.end(), true), n) << r;
    }
    ASSERT_EQ(walks.size(), n * order.coprimes());
  }
}

}  // namespace
}  // namespace fairlead::runtime
