// Every sentence of Go's x/sync/errgroup.
#include "runtime/errgroup.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "runtime/chan.h"
#include "runtime/context.h"
#include "runtime/runtime.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using ErrGroupTest = RuntimeTest;

std::string failureOf(ErrGroup& group) {
  try {
    group.wait();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "none";
}

TEST_F(ErrGroupTest, WaitWaitsForAll) {
  ErrGroup group;
  std::atomic<int> done{0};
  for (int i = 0; i < 20; ++i) {
    group.go([&] {
      gosched();
      ++done;
    });
  }
  group.wait();
  EXPECT_EQ(done, 20);
}

TEST_F(ErrGroupTest, TheFirstFailureIsThrown) {
  ErrGroup group;
  const Chan<bool> first;
  group.go([=] {
    first.receive();
    throw std::runtime_error("second");
  });
  group.go([] { throw std::runtime_error("first"); });
  EXPECT_TRUE(eventually([] { return numGoroutine() == 2; }));
  first.send(true);
  EXPECT_EQ(failureOf(group), "first");
}

TEST_F(ErrGroupTest, AFailureCancelsTheContextWithItsCause) {
  ErrGroup group(background());
  group.go([&] {
    group.context().done().receive();
    std::rethrow_exception(group.context().cause());
  });
  group.go([] { throw std::runtime_error("boom"); });
  EXPECT_EQ(failureOf(group), "boom");
  EXPECT_THROW(std::rethrow_exception(group.context().err()), Canceled);
  EXPECT_THROW(std::rethrow_exception(group.context().cause()), std::runtime_error);
}

TEST_F(ErrGroupTest, SuccessCancelsTheContextToo) {
  ErrGroup group(background());
  group.go([] {});
  group.wait();
  EXPECT_THROW(std::rethrow_exception(group.context().cause()), Canceled);
}

TEST_F(ErrGroupTest, ItsContextEndsWithItsParent) {
  const auto [parent, cancel] = withCancel(background());
  ErrGroup group(parent);
  group.go([&] { group.context().done().receive(); });
  cancel();
  EXPECT_EQ(failureOf(group), "none");
}

TEST_F(ErrGroupTest, TheLimitIsKept) {
  ErrGroup group;
  group.setLimit(3);
  std::atomic<int> active{0};
  for (int i = 0; i < 50; ++i) {
    group.go([&] {
      EXPECT_LE(++active, 3);
      gosched();
      --active;
    });
  }
  group.wait();
  EXPECT_EQ(active, 0);
}

TEST_F(ErrGroupTest, TryGoRefusesWhereGoWouldBlock) {
  ErrGroup group;
  group.setLimit(1);
  const Chan<bool> finish;
  EXPECT_TRUE(group.tryGo([=] { finish.receive(); }));
  EXPECT_FALSE(group.tryGo([] { FAIL() << "beyond the limit"; }));
  finish.send(true);
  group.wait();
  EXPECT_TRUE(group.tryGo([] {}));
  group.wait();
  group.setLimit(-1);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(group.tryGo([] {}));
  group.wait();
  group.setLimit(0);
  EXPECT_FALSE(group.tryGo([] {}));
}

TEST_F(ErrGroupTest, GoWaitsWhereTryGoRefuses) {
  ErrGroup group;
  group.setLimit(1);
  const Chan<bool> finish;
  const Chan<bool> second(1);
  group.go([=] { finish.receive(); });
  go([&] { group.go([=] { second.send(true); }); });
  ASSERT_TRUE(parked(1, WaitReason::ChanSend));
  EXPECT_EQ(second.len(), 0U);
  finish.send(true);
  EXPECT_EQ(second.receive(), true);
  group.wait();
}

TEST_F(ErrGroupTest, TheLimitCannotChangeWhileGoroutinesAreActive) {
  ErrGroup group;
  group.setLimit(2);
  const Chan<bool> finish;
  group.go([=] { finish.receive(); });
  EXPECT_EQ(panicOf([&] { group.setLimit(5); }),
            "errgroup: modify limit while 1 goroutines in the group are still active");
  finish.send(true);
  group.wait();
}

TEST_F(ErrGroupTest, GoexitIsNoFailure) {
  ErrGroup group;
  group.go([] { goexit(); });
  EXPECT_EQ(failureOf(group), "none");
}

}  // namespace
}  // namespace fairlead::runtime
