// Every sentence of Go's x/sync/semaphore.
#include "runtime/semaphore.h"

#include <gtest/gtest.h>

#include <atomic>

#include "runtime/chan.h"
#include "runtime/context.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using SemaphoreTest = RuntimeTest;

TEST_F(SemaphoreTest, UnitsAreTakenAndGivenBack) {
  Semaphore semaphore(3);
  semaphore.acquire(2);
  EXPECT_FALSE(semaphore.tryAcquire(2));
  EXPECT_TRUE(semaphore.tryAcquire());
  EXPECT_FALSE(semaphore.tryAcquire());
  semaphore.release(3);
  EXPECT_TRUE(semaphore.tryAcquire(3));
  semaphore.release(3);
  EXPECT_TRUE(semaphore.tryAcquire(0));
}

TEST_F(SemaphoreTest, ReleasingMoreThanHeldPanics) {
  Semaphore semaphore(2);
  EXPECT_EQ(panicOf([&] { semaphore.release(); }), "semaphore: released more than held");
  semaphore.acquire();
  EXPECT_EQ(panicOf([&] { semaphore.release(2); }), "semaphore: released more than held");
  semaphore.release();
}

TEST_F(SemaphoreTest, RequestsAreServedFirstComeFirstServed) {
  Semaphore semaphore(1);
  semaphore.acquire();
  const Chan<int> order(3);
  for (int i = 0; i < 3; ++i) {
    go([&, order, i] {
      semaphore.acquire();
      order.send(i);
      semaphore.release();
    });
    ASSERT_TRUE(parked(i + 1, WaitReason::Select));
  }
  semaphore.release();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(order.receive(), i);
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
  EXPECT_TRUE(semaphore.tryAcquire());
}

// Go's TestLargeAcquireDoesntStarve, step by step.
TEST_F(SemaphoreTest, ALargeRequestIsNotOvertaken) {
  Semaphore semaphore(3);
  semaphore.acquire(2);
  const Chan<int> order(2);
  go([&, order] {
    semaphore.acquire(3);
    order.send(3);
    semaphore.release(3);
  });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  EXPECT_FALSE(semaphore.tryAcquire(1));
  go([&, order] {
    semaphore.acquire(1);
    order.send(1);
    semaphore.release(1);
  });
  ASSERT_TRUE(parked(2, WaitReason::Select));
  semaphore.release(2);
  EXPECT_EQ(order.receive(), 3);
  EXPECT_EQ(order.receive(), 1);
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
  EXPECT_TRUE(semaphore.tryAcquire(3));
}

TEST_F(SemaphoreTest, ADoneContextGetsNothingThoughUnitsAreThere) {
  Semaphore semaphore(1);
  const auto [context, cancel] = withCancel(background());
  cancel();
  EXPECT_THROW(semaphore.acquire(context), Canceled);
  EXPECT_TRUE(semaphore.tryAcquire());
}

TEST_F(SemaphoreTest, MoreThanThereIsWaitsForTheContextAlone) {
  Semaphore semaphore(2);
  const auto [context, cancel] = withCancel(background());
  const Chan<bool> canceled(1);
  go([&, context = context, canceled] {
    try {
      semaphore.acquire(context, 3);
    } catch (const Canceled&) {
      canceled.send(true);
    }
  });
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  EXPECT_TRUE(semaphore.tryAcquire(2));  // it is in nobody's way
  cancel();
  EXPECT_EQ(canceled.receive(), true);
}

// The first of the queue gives up: those it held back get what there is.
TEST_F(SemaphoreTest, WhoGivesUpLetsOthersThrough) {
  Semaphore semaphore(2);
  semaphore.acquire(1);
  const auto [context, cancel] = withCancel(background());
  const Chan<int> order(2);
  go([&, context = context, order] {
    try {
      semaphore.acquire(context, 2);
    } catch (const Canceled&) {
      order.send(2);
    }
  });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  go([&, order] {
    semaphore.acquire(1);
    order.send(1);
  });
  ASSERT_TRUE(parked(2, WaitReason::Select));
  cancel();
  EXPECT_EQ(*order.receive() + *order.receive(), 3);
  EXPECT_FALSE(semaphore.tryAcquire());
  semaphore.release(2);
}

TEST_F(SemaphoreTest, NeverMoreThanItsSizeIsHeld) {
  constexpr int kSize = 4;
  Semaphore semaphore(kSize);
  std::atomic<int> held{0};
  WaitGroup group;
  for (int g = 0; g < 8; ++g) {
    group.go([&, g] {
      const int n = 1 + g % kSize;
      for (int i = 0; i < 200; ++i) {
        const auto [context, cancel] = withCancel(background());
        if (i % 5 == 0) go([cancel = cancel] { cancel(); });
        try {
          semaphore.acquire(context, n);
        } catch (const Canceled&) {
          continue;
        }
        EXPECT_LE(held += n, kSize);
        if (i % 3 == 0) gosched();
        held -= n;
        semaphore.release(n);
      }
    });
  }
  group.wait();
  EXPECT_TRUE(semaphore.tryAcquire(kSize));
}

}  // namespace
}  // namespace fairlead::runtime
