#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

using TimerTest = RuntimeTest;

TEST_F(TimerTest, SleepsAtLeastAsLongAsAsked) {
  for (const auto d : {1us, 500us, 3000us}) {
    const auto start = Clock::now();
    sleep(d);
    EXPECT_GE(Clock::now() - start, d);
  }
}

TEST_F(TimerTest, NothingAndLessReturnAtOnce) {
  sleep(0ns);
  sleep(-5s);
  sleep(std::chrono::nanoseconds::min());
  EXPECT_EQ(numGoroutine(), 1);
}

// A round counts when all were asleep before the first was due, which a busy machine may prevent.
TEST_F(TimerTest, SleepersWakeInTheOrderOfTheirTimes) {
  std::vector<int> got;
  for (auto lead = 50ms; got.empty() && lead < 5s; lead *= 2) {
    const auto base = Clock::now() + lead;
    const Chan<int> woken(5);
    WaitGroup group;
    for (const int i : {4, 1, 5, 3, 2}) {
      group.go([=] {
        sleep(base + i * lead / 10 - Clock::now());
        woken.send(i);
      });
    }
    sleep(base - lead / 5 - Clock::now());
    const bool inTime = woken.len() == 0 && Clock::now() < base;
    group.wait();
    woken.close();
    for (const int i : woken) {
      if (inTime) got.push_back(i);
    }
  }
  if (maxProcs() != 1)
    std::sort(got.begin(), got.end());  // two Ps may report in another order than they woke
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST_F(TimerTest, ThousandsSleepOnAHandfulOfThreads) {
  const size_t before = osThreads().size();
  std::atomic<int> woken{0};
  WaitGroup group;
  for (int i = 0; i < kMany; ++i) {
    group.go([&woken, i] {
      sleep(std::chrono::microseconds(1000 + i % 1000));
      ++woken;
    });
  }
  group.wait();
  EXPECT_EQ(woken, kMany);
  // One M for each P, one more that keeps the timers while the others run, sysmon.
  EXPECT_LE(osThreads().size(), before + static_cast<size_t>(maxProcs()) + 2);
}

TEST_F(TimerTest, ALockedGoroutineSleepsOnItsOwnThread) {
  WaitGroup group;
  bool same = true;
  group.go([&same] {
    lockOSThread();
    const int thread = threadId();
    for (int i = 0; i < 20; ++i) {
      sleep(200us);
      same = same && threadId() == thread;
    }
    unlockOSThread();
  });
  group.wait();
  EXPECT_TRUE(same);
}

TEST_F(TimerTest, ATimerFiresWhileAllPsAreBusyYielding) {
  std::atomic<bool> stop{false};
  WaitGroup group;
  for (int i = 0; i < maxProcs() + 1; ++i) {
    group.go([&stop] {
      while (!stop) gosched();
    });
  }
  sleep(2ms);
  stop = true;
  group.wait();
  EXPECT_TRUE(stop);
}

TEST_F(TimerTest, AWaitingProcessUsesNoProcessorTime) {
  // Bring up what there is to bring up first.
  WaitGroup group;
  for (int i = 0; i < 100; ++i) group.go([] { sleep(1ms); });
  group.wait();
  auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  const auto before = used();
  sleep(500ms);
  EXPECT_LT(used() - before, 50ms);
}

}  // namespace
}  // namespace fairlead::runtime
