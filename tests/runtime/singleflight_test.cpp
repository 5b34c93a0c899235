// Every sentence of Go's x/sync/singleflight.
#include "runtime/singleflight.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using SingleflightTest = RuntimeTest;

TEST_F(SingleflightTest, ACallAloneIsNotShared) {
  Singleflight<std::string, int> flight;
  const auto result = flight.run("key", [] { return 5; });
  EXPECT_EQ(result.value, 5);
  EXPECT_FALSE(result.shared);
  EXPECT_EQ(flight.run("key", [] { return 6; }).value, 6);
}

TEST_F(SingleflightTest, CallsAtTheSameTimeShareOneResult) {
  Singleflight<std::string, int> flight;
  const Chan<int> result;
  std::atomic<int> runs{0};
  std::atomic<int> shared{0};
  WaitGroup group;
  const auto call = [&] {
    const auto got = flight.run("key", [&] {
      ++runs;
      return *result.receive();
    });
    EXPECT_EQ(got.value, 42);
    shared += got.shared ? 1 : 0;
  };
  group.go(call);
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  for (int i = 0; i < 9; ++i) group.go(call);
  ASSERT_TRUE(parked(9, WaitReason::WaitGroupWait));
  result.send(42);
  group.wait();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(shared, 10);
}

TEST_F(SingleflightTest, OtherKeysAreOtherCalls) {
  Singleflight<int, int> flight;
  EXPECT_EQ(flight.run(1, [&] { return flight.run(2, [] { return 2; }).value + 1; }).value, 3);
}

// The test has a reference of its own to what is thrown: ThreadSanitizer does not see how libstdc++ counts
// them, and takes the end of the last for a race.
TEST_F(SingleflightTest, AFailureIsEverybodys) {
  const auto failure = std::make_exception_ptr(std::runtime_error("failed"));
  Singleflight<int, int> flight;
  const Chan<int> fail;
  std::atomic<int> failures{0};
  WaitGroup group;
  const auto call = [&] {
    try {
      flight.run(1, [&]() -> int {
        fail.receive();
        std::rethrow_exception(failure);
      });
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "failed");
      ++failures;
    }
  };
  group.go(call);
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  for (int i = 0; i < 4; ++i) group.go(call);
  ASSERT_TRUE(parked(4, WaitReason::WaitGroupWait));
  fail.send(0);
  group.wait();
  EXPECT_EQ(failures, 5);
}

TEST_F(SingleflightTest, APanicIsEverybodys) {
  const auto panic = std::make_exception_ptr(Panic("boom"));
  Singleflight<int, int> flight;
  const Chan<int> fail;
  std::array<std::string, 3> panics;
  WaitGroup group;
  const auto call = [&](std::string& text) {
    text = panicOf([&] {
      flight.run(1, [&]() -> int {
        fail.receive();
        std::rethrow_exception(panic);
      });
    });
  };
  group.go([&] { call(panics[0]); });
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  for (size_t i = 1; i < panics.size(); ++i) group.go([&, i] { call(panics.at(i)); });
  ASSERT_TRUE(parked(2, WaitReason::WaitGroupWait));
  fail.send(0);
  group.wait();
  for (const auto& text : panics) EXPECT_EQ(text, "boom");
  EXPECT_EQ(flight.run(1, [] { return 2; }).value, 2);
}

TEST_F(SingleflightTest, GoexitEndsEveryCaller) {
  Singleflight<int, int> flight;
  const Chan<int> end;
  std::atomic<int> returned{0};
  WaitGroup group;
  const auto call = [&] {
    flight.run(1, [&]() -> int {
      end.receive();
      goexit();
    });
    ++returned;
  };
  group.go(call);
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  for (int i = 0; i < 4; ++i) group.go(call);
  ASSERT_TRUE(parked(4, WaitReason::WaitGroupWait));
  end.send(0);
  group.wait();
  EXPECT_EQ(returned, 0);
}

TEST_F(SingleflightTest, AChannelGetsTheOutcomeAndStaysOpen) {
  Singleflight<int, std::string> flight;
  const Chan<std::string> result;
  const auto first = flight.runChan(1, [=] { return *result.receive(); });
  const auto second = flight.runChan(1, [] { return std::string("never run"); });
  result.send("once");
  for (const auto& channel : {first, second}) {
    const auto outcome = channel.receive();
    EXPECT_EQ(outcome->value, "once");
    EXPECT_TRUE(outcome->shared);
    EXPECT_EQ(outcome->error, nullptr);
    EXPECT_FALSE(channel.tryReceive().ready);
    EXPECT_EQ(channel.cap(), 1U);
  }
  const auto failing = flight.runChan(1, []() -> std::string { throw std::runtime_error("failed"); });
  const auto outcome = failing.receive();
  EXPECT_EQ(outcome->value, std::nullopt);
  EXPECT_FALSE(outcome->shared);
  EXPECT_THROW(std::rethrow_exception(outcome->error), std::runtime_error);
}

TEST_F(SingleflightTest, GoexitLeavesAChannelWithNothing) {
  Singleflight<int, int> flight;
  const auto channel = flight.runChan(1, []() -> int { goexit(); });
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
  EXPECT_FALSE(channel.tryReceive().ready);
}

// A call that was forgotten goes on for those who wait for it, and leaves the one that took its place alone.
TEST_F(SingleflightTest, AfterForgettingTheNextCallIsANewOne) {
  Singleflight<int, int> flight;
  const Chan<int> old;
  const Chan<int> anew;
  const auto first = flight.runChan(1, [=] { return *old.receive(); });
  flight.forget(1);
  const auto second = flight.runChan(1, [=] { return *anew.receive(); });
  old.send(1);
  EXPECT_EQ(first.receive()->value, 1);
  const auto third = flight.runChan(1, [] { return 3; });  // joins the second
  anew.send(2);
  EXPECT_EQ(second.receive()->value, 2);
  EXPECT_EQ(third.receive()->value, 2);
}

}  // namespace
}  // namespace fairlead::runtime
