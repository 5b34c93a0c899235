#include "runtime/time.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "runtime/blocking.h"
#include "runtime/panic.h"
#include "runtime/runtime.h"
#include "runtime/select.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

using TimeTest = RuntimeTest;

std::string panicOf(auto&& f) {
  try {
    f();
  } catch (const Panic& panic) {
    return panic.what();
  }
  return "no panic";
}

TEST_F(TimeTest, AfterFuncRunsItsFunctionOnAGoroutineOfItsOwn) {
  const Chan<uint64_t> ran;
  const auto start = Clock::now();
  afterFunc(2ms, [ran] { ran.send(goid()); });
  EXPECT_NE(*ran.receive(), goid());
  EXPECT_GE(Clock::now() - start, 2ms);
}

TEST_F(TimeTest, AfterFuncRunsAtOnceForNothingAndLess) {
  for (const auto d : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
    const Chan<int> ran;
    afterFunc(d, [ran] { ran.send(1); });
    EXPECT_EQ(*ran.receive(), 1);
  }
}

TEST_F(TimeTest, AFunctionThatBlocksHoldsUpNoOther) {
  const Chan<int> blocked;
  const Chan<int> ran;
  afterFunc(0ns, [blocked] { blocked.receive(); });
  afterFunc(1ms, [ran] { ran.send(1); });
  EXPECT_EQ(*ran.receive(), 1);
  blocked.send(1);
}

TEST_F(TimeTest, StopPreventsTheFunctionAndSaysSo) {
  std::atomic<int> calls{0};
  const Timer timer = afterFunc(1h, [&calls] { ++calls; });
  EXPECT_TRUE(timer.stop());
  EXPECT_FALSE(timer.stop());
  EXPECT_TRUE(timer.channel() == Chan<Time>(nullptr));
  EXPECT_EQ(calls, 0);
}

TEST_F(TimeTest, StopIsTooLateWhenTheFunctionHasStarted) {
  const Chan<int> ran;
  const Timer timer = afterFunc(0ns, [ran] { ran.send(1); });
  ran.receive();
  EXPECT_FALSE(timer.stop());
  EXPECT_FALSE(timer.reset(0ns));
  EXPECT_EQ(*ran.receive(), 1);
}

TEST_F(TimeTest, EveryFunctionRunsOrIsStoppedButNeverBoth) {
  std::atomic<int> ran{0};
  int stopped = 0;
  constexpr int kTimers = 2000;
  std::vector<Timer> timers;
  timers.reserve(kTimers);
  for (int i = 0; i < kTimers; ++i) timers.push_back(afterFunc(1us * (i % 100), [&ran] { ++ran; }));
  for (const Timer& timer : timers) stopped += timer.stop() ? 1 : 0;
  EXPECT_TRUE(eventually([&] { return ran + stopped == kTimers; })) << ran << " + " << stopped;
}

TEST_F(TimeTest, WhatAFunctionHoldsIsFreedByStopAndByTheCall) {
  const auto held = std::make_shared<int>(1);
  {
    const Timer timer = afterFunc(1h, [held] {});
    EXPECT_EQ(held.use_count(), 2);
    timer.stop();
  }
  EXPECT_EQ(held.use_count(), 1);
  afterFunc(0ns, [held] {});
  EXPECT_TRUE(eventually([&] { return held.use_count() == 1; }));
}

TEST_F(TimeTest, AChainOfTimersStartsEachFromTheOneBefore) {
  const Chan<int> done;
  std::move_only_function<void(int)> next;
  next = [&](int left) {
    if (left == 0) return done.send(1);
    afterFunc(0ns, [&next, left] { next(left - 1); });
  };
  next(1000);
  EXPECT_EQ(*done.receive(), 1);
}

TEST_F(TimeTest, ATimerSendsTheTimeOnce) {
  const auto start = Clock::now();
  const Timer timer = newTimer(1ms);
  const Time at = *timer.channel().receive();
  EXPECT_GE(at - start, 1ms);
  EXPECT_LE(at, Clock::now());
  EXPECT_FALSE(timer.stop());
  EXPECT_FALSE(timer.channel().tryReceive().ready);
}

TEST_F(TimeTest, TheChannelShowsNoBuffer) {
  const Timer timer = newTimer(0ns);
  EXPECT_EQ(timer.channel().cap(), 0U);
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(timer.channel().len(), 0U);
    return timer.channel().tryReceive().ready;
  }));
}

// Who waits for what comes later is told. The thread that sets the timer has no time for it.
TEST_F(TimeTest, AnEarlierTimerIsNotKeptWaitingByALaterOne) {
  const Timer later = newTimer(1h);
  std::counting_semaphore fired{0};
  for (int i = 0; i < 20; ++i) {
    afterFunc(100us, [&fired] { fired.release(); });
    const bool inTime = blocking([&fired] { return fired.try_acquire_for(1min); });
    ASSERT_TRUE(inTime);
  }
  EXPECT_TRUE(later.stop());
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));  // none is in release() still
}

TEST_F(TimeTest, ASelectReceivesFromATimer) {
  const Chan<int> never;
  bool fired = false;
  select(receive(never, [](std::optional<int>) { FAIL(); }),
         receive(after(1ms), [&fired](std::optional<Time>) { fired = true; }));
  EXPECT_TRUE(fired);
}

TEST_F(TimeTest, AfterSendsTheTime) {
  const auto start = Clock::now();
  EXPECT_GE(*after(1ms).receive() - start, 1ms);
  EXPECT_TRUE(after(-1s).receive().has_value());
}

TEST_F(TimeTest, AfterStopNothingStaleIsReceived) {
  for (int i = 0; i < 1000; ++i) {
    const Timer timer = newTimer(std::chrono::microseconds(i % 20));
    gosched();
    const bool received = timer.channel().tryReceive().ready;
    EXPECT_EQ(timer.stop(), !received);
    EXPECT_FALSE(timer.channel().tryReceive().ready);
  }
}

TEST_F(TimeTest, AfterResetNothingStaleIsReceived) {
  for (int i = 0; i < 1000; ++i) {
    const Timer timer = newTimer(std::chrono::microseconds(i % 20));
    gosched();
    const auto reset = Clock::now();
    EXPECT_TRUE(timer.reset(10us));
    EXPECT_GE(*timer.channel().receive() - reset, 10us);
    EXPECT_FALSE(timer.reset(1h));
    EXPECT_TRUE(timer.stop());
  }
}

TEST_F(TimeTest, StopAndResetFromManyGoroutinesAgree) {
  const Timer timer = newTimer(1h);
  WaitGroup group;
  for (int i = 0; i < 8; ++i) {
    group.go([timer, i] {
      for (int k = 0; k < 200; ++k) {
        timer.reset(std::chrono::microseconds(i));
        timer.channel().tryReceive();
        if (k % 3 == 0) timer.stop();
      }
    });
  }
  group.wait();
  timer.stop();
  EXPECT_FALSE(timer.stop());
  EXPECT_FALSE(timer.channel().tryReceive().ready);
}

TEST_F(TimeTest, TimesBeyondTheEndNeverCome) {
  const Timer timer = newTimer(std::chrono::nanoseconds::max());
  const Timer func = afterFunc(std::chrono::nanoseconds::max(), [] { FAIL(); });
  sleep(1ms);
  EXPECT_FALSE(timer.channel().tryReceive().ready);
  EXPECT_TRUE(timer.reset(std::chrono::nanoseconds::max() - 1ns));
  EXPECT_TRUE(timer.stop());
  EXPECT_TRUE(func.stop());
}

TEST_F(TimeTest, ATickerKeepsItsPhaseAndLeavesOutWhatWasMissed) {
  const auto start = Clock::now();
  Ticker ticker(2ms);
  ticker.channel().receive();
  sleep(9ms);
  const Time late = *ticker.channel().receive();  // sent while we slept: the one tick that there is room for
  const Time next = *ticker.channel().receive();
  EXPECT_GE(late - start, 4ms);
  EXPECT_GE(next - start, 10ms);
  ticker.stop();
  EXPECT_FALSE(ticker.channel().tryReceive().ready);
}

TEST_F(TimeTest, ATickerTicksOnAfterReset) {
  Ticker ticker(1h);
  const auto reset = Clock::now();
  ticker.reset(1ms);
  for (int i = 1; i <= 3; ++i) EXPECT_GE(*ticker.channel().receive() - reset, i * 1ms);
  ticker.reset(1h);
  EXPECT_FALSE(ticker.channel().tryReceive().ready);
  ticker.stop();
  ticker.reset(1us);
  EXPECT_TRUE(ticker.channel().receive().has_value());
}

TEST_F(TimeTest, TickersAreMovedAndEndWithTheirOwner) {
  Chan<Time> channel(nullptr);
  {
    Ticker ticker(1h);
    ticker = Ticker(1ms);
    Ticker other = std::move(ticker);
    channel = other.channel();
    channel.receive();
  }
  EXPECT_FALSE(channel.tryReceive().ready);
}

TEST_F(TimeTest, MisuseHasGosWords) {
  EXPECT_EQ(panicOf([] { Timer().stop(); }), "time: Stop called on uninitialized Timer");
  EXPECT_EQ(panicOf([] { Timer().reset(1s); }), "time: Reset called on uninitialized Timer");
  EXPECT_EQ(panicOf([] { Ticker(0ns); }), "non-positive interval for NewTicker");
  Ticker ticker(1h);
  EXPECT_EQ(panicOf([&] { ticker.reset(-1ns); }), "non-positive interval for Ticker.Reset");
}

}  // namespace
}  // namespace fairlead::runtime
