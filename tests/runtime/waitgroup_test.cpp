// Every sentence of Go's sync.WaitGroup.
#include "runtime/waitgroup.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using WaitGroupTest = RuntimeTest;

TEST_F(WaitGroupTest, WaitReturnsAtOnceWhenTheCounterIsZero) {
  WaitGroup group;
  group.wait();
  group.add(1);
  group.done();
  group.wait();
  EXPECT_EQ(numGoroutine(), 1);
}

TEST_F(WaitGroupTest, AllWaitersAreReleased) {
  WaitGroup work;
  WaitGroup waiters;
  std::atomic<int> released{0};
  work.add(1);
  for (int i = 0; i < 10; ++i) {
    waiters.go([&] {
      work.wait();
      ++released;
    });
  }
  EXPECT_EQ(released, 0);
  work.done();
  waiters.wait();
  EXPECT_EQ(released, 10);
}

TEST_F(WaitGroupTest, AWaitGroupCanBeUsedAgain) {
  WaitGroup group;
  int sum = 0;
  for (int round = 0; round < 1000; ++round) {
    group.go([&sum] { ++sum; });
    group.wait();
  }
  EXPECT_EQ(sum, 1000);
}

TEST_F(WaitGroupTest, AWaitGroupMayGoAsSoonAsWaitReturns) {
  for (int round = 0; round < 1000; ++round) {
    auto group = std::make_unique<WaitGroup>();
    for (int i = 0; i < 3; ++i) group->go([] {});
    group->wait();
    group.reset();
  }
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(WaitGroupTest, ANegativeCounterPanics) {
  WaitGroup group;
  try {
    group.done();
    FAIL() << "no panic";
  } catch (const Panic& panic) {
    EXPECT_STREQ(panic.what(), "sync: negative WaitGroup counter");
  }
}

TEST_F(WaitGroupTest, GoexitStillCountsAsDone) {
  WaitGroup group;
  group.go([] { goexit(); });
  group.wait();
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(WaitGroupTest, UseBeforeTheWaitersAreBackPanics) {
  WaitGroup group;
  const Chan<std::string> released(1);
  group.add(1);
  go([&group, released] { released.send(panicOf([&] { group.wait(); })); });
  ASSERT_TRUE(parked(1, WaitReason::WaitGroupWait));
  group.done();
  group.add(1);
  const std::string text = *released.receive();  // with a second P the waiter may have been back in time
  EXPECT_TRUE(text == "sync: WaitGroup is reused before previous Wait has returned" || text == "no panic")
      << text;
  EXPECT_FALSE(maxProcs() == 1 && text == "no panic");
  group.done();
}

// An add() that comes between the last done() and the release of the waiters is found by both. Many waiters
// make that time long; whether the add() does come then is for the threads to say.
TEST_F(WaitGroupTest, AnAddWhileWaitersAreReleasedPanics) {
  constexpr int kWaiters = kMany / 5;
  for (int round = 0; round < 20; ++round) {
    WaitGroup group;
    WaitGroup all;
    std::atomic<bool> ready{false};
    std::atomic<bool> go{false};
    std::atomic<int> strange{0};
    std::string adding;
    group.add(1);
    for (int i = 0; i < kWaiters; ++i) {
      all.go([&] {
        const std::string text = panicOf([&] { group.wait(); });
        if (text != "no panic" && text != "sync: WaitGroup is reused before previous Wait has returned") {
          ++strange;
        }
      });
    }
    ASSERT_TRUE(parked(kWaiters, WaitReason::WaitGroupWait));
    all.go([&] {
      ready = true;
      while (!go) gosched();
      adding = panicOf([&] { group.add(1); });
      if (adding == "no panic") group.done();
    });
    while (!ready) gosched();
    go = true;
    const std::string finishing = panicOf([&] { group.done(); });
    all.wait();
    EXPECT_EQ(adding, finishing);
    EXPECT_TRUE(adding == "no panic" || adding == "sync: WaitGroup misuse: Add called concurrently with Wait")
        << adding;
    EXPECT_EQ(strange, 0);
  }
}

TEST_F(WaitGroupTest, AddMayCountSeveralAtOnce) {
  WaitGroup group;
  group.add(3);
  for (int i = 0; i < 3; ++i) go([&group] { group.done(); });
  group.wait();
  group.add(5);
  group.add(-5);
  group.wait();
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(WaitGroupTest, ManyWaitWhileManyCount) {
  for (int round = 0; round < 50; ++round) {
    WaitGroup work;
    WaitGroup waiters;
    std::atomic<int> done{0};
    work.add(20);
    for (int i = 0; i < 10; ++i) {
      waiters.go([&] {
        work.wait();
        EXPECT_EQ(done, 20);
      });
    }
    for (int i = 0; i < 20; ++i) {
      go([&] {
        ++done;
        work.done();
      });
    }
    waiters.wait();
  }
}

}  // namespace
}  // namespace fairlead::runtime
