// Every sentence of Go's sync.Once, OnceFunc and OnceValue.
#include "runtime/once.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using OnceTest = RuntimeTest;

TEST_F(OnceTest, OnlyTheFirstCallRuns) {
  Once once;
  int value = 0;
  once.call([&] { value = 1; });
  once.call([&] { value = 2; });
  EXPECT_EQ(value, 1);
}

TEST_F(OnceTest, OthersWaitUntilItIsDone) {
  Once once;
  const Chan<bool> begun;
  const Chan<bool> finish;
  int value = 0;
  WaitGroup group;
  group.go([&] {
    once.call([&] {
      begun.send(true);
      finish.receive();
      value = 7;
    });
  });
  begun.receive();
  for (int i = 0; i < 4; ++i) {
    group.go([&] {
      once.call([&] { value = -1; });
      EXPECT_EQ(value, 7);
    });
  }
  ASSERT_TRUE(parked(4, WaitReason::MutexLock));
  finish.send(true);
  group.wait();
}

TEST_F(OnceTest, ACallThatThrewCountsAsDone) {
  Once once;
  EXPECT_EQ(panicOf([&] { once.call([] { throw Panic("failed"); }); }), "failed");
  bool again = false;
  once.call([&] { again = true; });
  EXPECT_FALSE(again);
}

TEST_F(OnceTest, ACallThatEndedItsGoroutineCountsAsDone) {
  Once once;
  WaitGroup group;
  group.go([&] { once.call([] { goexit(); }); });
  group.wait();
  bool again = false;
  once.call([&] { again = true; });
  EXPECT_FALSE(again);
}

TEST_F(OnceTest, OnceFuncRunsOnce) {
  std::atomic<int> runs{0};
  const auto f = onceFunc([&] { ++runs; });
  WaitGroup group;
  for (int i = 0; i < 10; ++i) group.go([f] { f(); });
  group.wait();
  EXPECT_EQ(runs, 1);
}

TEST_F(OnceTest, OnceValueKeepsTheValue) {
  int runs = 0;
  const auto f = onceValue([&] {
    ++runs;
    return std::make_unique<std::string>("kept");
  });
  const auto copy = f;
  EXPECT_EQ(*f(), "kept");
  EXPECT_EQ(&f(), &copy());
  EXPECT_EQ(runs, 1);
}

TEST_F(OnceTest, EveryCallThrowsWhatTheFirstThrew) {
  int runs = 0;
  const auto f = onceValue([&]() -> int {
    ++runs;
    throw Panic("no value");
  });
  const auto g = onceFunc([&] { throw Panic("no luck"); });
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(panicOf([&] { f(); }), "no value");
    EXPECT_EQ(panicOf([&] { g(); }), "no luck");
  }
  EXPECT_EQ(runs, 1);
}

// What the function holds on to is let go once it has run.
TEST_F(OnceTest, TheFunctionIsDestroyedAfterItsCall) {
  const auto held = std::make_shared<int>(3);
  const auto f = onceValue([held] { return *held; });
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_EQ(f(), 3);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace fairlead::runtime
