// Nobody is kept out: goroutines that poll, pairs that wake each other, timers among busy goroutines.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <optional>

#include "runtime/chan.h"
#include "runtime/debug.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/select.h"
#include "runtime/sync.h"
#include "runtime/time.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

using FairnessTest = RuntimeTest;

// A 7, Go's TestGoroutineParallelism2: after a load that let all threads go to sleep again, and from a
// goroutine within a goroutine.
TEST_F(FairnessTest, AllPsRunAtTheSameTimeAfterAnEarlierLoad) {
  for (int round = 0; round < 10; ++round) {
    WaitGroup load;
    for (int i = 0; i < 100; ++i) load.go([] { gosched(); });
    load.wait();
    sleep(1ms);
    WaitGroup nested;
    nested.go([] { runInParallel(maxProcs()); });
    nested.wait();
  }
}

// pass() hammers a pair of channels until `stop`.
void pass(const Chan<int>& a, const Chan<int>& b, const std::atomic<bool>& stop) {
  while (!stop) {
    select(receive(a), send(b, 1), otherwise());
  }
}

// A 10, Go's TestTimerFairness.
TEST_F(FairnessTest, ATimerFiresWhileTwoGoroutinesHammerASelect) {
  const Chan<int> a;
  const Chan<int> b;
  std::atomic<bool> stop{false};
  WaitGroup group;
  group.go([&] { pass(a, b, stop); });
  group.go([&] { pass(b, a, stop); });
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(after(20ms).receive().has_value());
  EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
  stop = true;
  group.wait();
}

// A 11, Go's TestTimerFairness2.
TEST_F(FairnessTest, ATimerFiresAmongShortSystemCalls) {
  const Chan<int> a(1);
  std::atomic<bool> stop{false};
  WaitGroup group;
  for (int i = 0; i < 2; ++i) {
    group.go([&] {
      while (!stop) {
        {
          const BlockingSection blocking;
          const timespec span{.tv_sec = 0, .tv_nsec = 1000};
          nanosleep(&span, nullptr);
        }
        select(send(a, 1), receive(a), otherwise());
      }
    });
  }
  EXPECT_TRUE(after(20ms).receive().has_value());
  stop = true;
  group.wait();
}

// A 16, Go's TestNumGoroutine.
TEST_F(FairnessTest, TheCountOfGoroutinesIsThatOfTheDump) {
  EXPECT_EQ(goroutines().size(), 1U);
  const Chan<int> gate;
  WaitGroup group;
  for (int i = 0; i < 9; ++i) group.go([gate] { gate.receive(); });
  gosched();
  EXPECT_EQ(numGoroutine(), 10);
  EXPECT_EQ(goroutines().size(), 10U);
  gate.close();
  group.wait();
}

// A pair of goroutines over an unbuffered channel; counts its round trips.
void pingPong(std::atomic<uint64_t>& count, const std::atomic<bool>& stop, bool hog, WaitGroup& group) {
  const Chan<bool> ball;
  for (int side = 0; side < 2; ++side) {
    group.go([&count, &stop, hog, ball, side] {
      for (;;) {
        if (side == 0 && stop) return ball.close();
        if (side == 0) {
          ball.send(true);
        } else if (!ball.receive().has_value()) {
          return;
        }
        if (hog) {
          for (int i = 0; i < 10'000; ++i) asm volatile("" : "+r"(i));
        }
        ++count;
      }
    });
  }
}

// A 17, Go's TestPingPongHog: pairs that keep waking each other count as one, so a heavy pair and a light one
// get about the same time.
TEST_F(FairnessTest, PairsThatHogAndPairsThatDoNotShareTheTime) {
  const int procs = setMaxProcs(1);
  std::atomic<uint64_t> hogs{0};
  std::atomic<uint64_t> lights{0};
  std::atomic<bool> stop{false};
  WaitGroup group;
  pingPong(hogs, stop, true, group);
  pingPong(lights, stop, false, group);
  sleep(200ms);
  stop = true;
  group.wait();
  EXPECT_GT(hogs, 0U) << "kept out by the light pair";
  EXPECT_GT(lights, 0U) << "kept out by the hogs";
  setMaxProcs(procs);
}

// Each makes its successor and then uses up its slice. Whoever has only its end to come must get to it while
// ever new ones come from the local queue, or they would pile up. A slice that ends on top of those, on a
// machine that is busy with something else, may leave one more behind.
TEST_F(FairnessTest, WhoseSliceEndedComesBackWhileNewOnesAreBorn) {
  const int procs = setMaxProcs(1);
  struct Chain {
    WaitGroup group;
    int unended = 0;
    int most = 0;
    void link(int left) {
      most = std::max(most, ++unended);
      if (left > 0) group.go([this, left] { link(left - 1); });
      preemptone(getm()->p);
      checkpoint();
      --unended;
    }
  } chain;
  constexpr int kLinks = 200;
  const P* p = getm()->p;
  const uint64_t before = p->preempted;
  chain.group.go([&chain] { chain.link(kLinks); });
  chain.group.wait();
  EXPECT_EQ(chain.unended, 0);
  EXPECT_LE(chain.most, 4 + static_cast<int>(p->preempted - before) - kLinks);
  setMaxProcs(procs);
}

// A 18, Go's TestPreemptSplitBig: frames of many kilobytes are no hindrance to stopping.
TEST_F(FairnessTest, LoopsWithBigFramesAreStopped) {
  std::atomic<bool> stop{false};
  WaitGroup group;
  group.go([&stop] {
    while (!stop) {
      std::array<volatile char, 32UL * 1024> big;
      big[big.size() - 1] = 1;
      checkpoint();
    }
  });
  for (int i = 0; i < 10; ++i) {
    stopTheWorld();
    startTheWorld();
    gosched();
  }
  stop = true;
  group.wait();
  EXPECT_TRUE(stop);
}

// Of three goroutines that yield all the time each gets a third of the turns, whatever the number of Ps.
TEST_F(FairnessTest, ThreeThatYieldGetAThirdEach) {
  const int procs = setMaxProcs(1);
  constexpr uint64_t kTurns = 30'000;
  std::atomic<uint64_t> total{0};
  std::array<uint64_t, 3> turns{};
  WaitGroup group;
  for (uint64_t& mine : turns) {
    group.go([&] {
      while (++total <= kTurns) {
        ++mine;
        gosched();
      }
    });
  }
  group.wait();
  for (const uint64_t mine : turns) EXPECT_NEAR(static_cast<double>(mine), kTurns / 3.0, kTurns / 30.0);
  setMaxProcs(procs);
}

}  // namespace
}  // namespace fairlead::runtime
