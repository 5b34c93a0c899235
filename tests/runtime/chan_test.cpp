// Every sentence of Go's channel semantics.
#include "runtime/chan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using ChanTest = RuntimeTest;

TEST_F(ChanTest, ASizeOutOfRangePanics) {
  EXPECT_EQ(panicOf([] { Chan<int>(-1); }), "makechan: size out of range");
  EXPECT_EQ(panicOf([] { Chan<int64_t>{std::numeric_limits<std::ptrdiff_t>::max()}; }),
            "makechan: size out of range");
}

// What has no size needs no ring, but is counted all the same.
TEST_F(ChanTest, ElementsOfSizeZeroAreCounted) {
  const Chan<Nothing> c(std::numeric_limits<std::ptrdiff_t>::max());
  EXPECT_EQ(c.cap(), static_cast<size_t>(std::numeric_limits<std::ptrdiff_t>::max()));
  c.send({});
  c.send({});
  EXPECT_EQ(c.len(), 2U);
  EXPECT_TRUE(c.receive().has_value());
  c.close();
  EXPECT_TRUE(c.receive().has_value());
  EXPECT_FALSE(c.receive().has_value());

  const Chan<Nothing> full(1);
  EXPECT_TRUE(full.trySend({}));
  EXPECT_FALSE(full.trySend({}));

  const Chan<Nothing> unbuffered;
  go([unbuffered] { unbuffered.send({}); });
  EXPECT_TRUE(unbuffered.receive().has_value());
}

TEST_F(ChanTest, ValuesAreAlignedAsTheirTypeAsks) {
  struct alignas(128) Wide {
    int value = 0;
  };
  const Chan<Wide> c(3);
  for (int i = 0; i < 10; ++i) {
    c.send({.value = i});
    const auto got = c.receive();
    EXPECT_EQ(got->value, i);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&*got) % alignof(Wide), 0U);
  }
}

TEST_F(ChanTest, LenAndCapCountTheBuffer) {
  const Chan<int> c(3);
  EXPECT_EQ(c.cap(), 3U);
  EXPECT_EQ(c.len(), 0U);
  c.send(1);
  c.send(2);
  EXPECT_EQ(c.len(), 2U);
  c.receive();
  EXPECT_EQ(c.len(), 1U);
  EXPECT_EQ(Chan<int>().cap(), 0U);
}

TEST_F(ChanTest, ValuesComeInTheOrderTheyWereSent) {
  for (const int capacity : {0, 1, 7, 100}) {
    const Chan<int> c(capacity);
    go([c] {
      for (int i = 0; i < 1000; ++i) c.send(i);
      c.close();
    });
    std::vector<int> got;
    for (const int value : c) got.push_back(value);
    std::vector<int> want(1000);
    std::iota(want.begin(), want.end(), 0);
    EXPECT_EQ(got, want) << "capacity " << capacity;
  }
}

TEST_F(ChanTest, AnUnbufferedSendWaitsForItsReceiver) {
  const Chan<int> c;
  EXPECT_FALSE(c.trySend(1));
  go([c] { c.send(2); });
  ASSERT_TRUE(parked(1, WaitReason::ChanSend));
  EXPECT_EQ(c.len(), 0U);
  EXPECT_EQ(c.receive(), 2);
}

TEST_F(ChanTest, AFullBufferBlocksAndItsSenderTakesThePlaceThatBecomesFree) {
  const Chan<int> c(2);
  c.send(1);
  c.send(2);
  EXPECT_FALSE(c.trySend(99));
  go([c] { c.send(3); });
  ASSERT_TRUE(parked(1, WaitReason::ChanSend));
  EXPECT_EQ(c.receive(), 1);
  EXPECT_EQ(c.len(), 2U);
  EXPECT_EQ(c.receive(), 2);
  EXPECT_EQ(c.receive(), 3);
}

TEST_F(ChanTest, WaitersAreServedFirstComeFirstServed) {
  const Chan<int> c;
  const Chan<int> order(3);
  for (int i = 0; i < 3; ++i) {
    go([=] {
      c.receive();
      order.send(i);
    });
    ASSERT_TRUE(parked(i + 1, WaitReason::ChanReceive));
  }
  for (int i = 0; i < 3; ++i) {
    c.send(0);
    EXPECT_EQ(order.receive(), i);
  }
}

TEST_F(ChanTest, WaitingSendersAreServedFirstComeFirstServed) {
  for (const int capacity : {0, 1, 2}) {
    const Chan<int> c(capacity);
    for (int i = 0; i < capacity; ++i) c.send(i);
    for (int i = 0; i < 3; ++i) {
      go([=] { c.send(capacity + i); });
      ASSERT_TRUE(parked(i + 1, WaitReason::ChanSend));
    }
    for (int i = 0; i < capacity + 3; ++i) EXPECT_EQ(c.receive(), i);
  }
}

// Who comes later cannot have a value before one who waits: it went to the waiter when it was sent.
TEST_F(ChanTest, NobodyOvertakesAWaiter) {
  const Chan<int> c(1);
  const Chan<int> got(1);
  go([=] { got.send(*c.receive()); });
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  c.send(1);
  EXPECT_EQ(c.len(), 0U);
  EXPECT_FALSE(c.tryReceive().ready);
  EXPECT_EQ(got.receive(), 1);
}

TEST_F(ChanTest, AnAttemptMeetsAWaiter) {
  const Chan<int> c;
  const Chan<int> got(1);
  go([=] { got.send(*c.receive()); });
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  EXPECT_TRUE(c.trySend(5));
  EXPECT_EQ(got.receive(), 5);
  go([=] { c.send(6); });
  ASSERT_TRUE(parked(1, WaitReason::ChanSend));
  EXPECT_EQ(c.tryReceive().value, 6);
}

// The value goes from stack to stack: one move, though there may be a ring.
TEST_F(ChanTest, AWaiterIsHandedTheValueItself) {
  struct Traveller {
    Traveller() = default;
    Traveller(Traveller&& other) noexcept : moves(other.moves + 1) {}
    int moves = 0;
  };
  for (const int capacity : {0, 1}) {
    const Chan<Traveller> c(capacity);
    const Chan<int> moves;
    go([=] { moves.send(c.receive()->moves); });
    ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
    EXPECT_TRUE(c.trySend(Traveller()));
    EXPECT_EQ(moves.receive(), 1);
  }
}

TEST_F(ChanTest, CloseReleasesAllReceiversWithNothing) {
  const Chan<int> c;
  WaitGroup group;
  std::atomic<int> empty{0};
  for (int i = 0; i < 5; ++i) group.go([&, c] { empty += c.receive().has_value() ? 0 : 1; });
  ASSERT_TRUE(parked(5, WaitReason::ChanReceive));
  c.close();
  group.wait();
  EXPECT_EQ(empty, 5);
}

TEST_F(ChanTest, CloseMakesWaitingSendersPanic) {
  const Chan<int> c;
  WaitGroup group;
  std::vector<std::string> panics(3);
  for (auto& text : panics) group.go([&text, c] { text = panicOf([c] { c.send(1); }); });
  ASSERT_TRUE(parked(3, WaitReason::ChanSend));
  c.close();
  group.wait();
  for (const auto& text : panics) EXPECT_EQ(text, "send on closed channel");
}

TEST_F(ChanTest, BufferedValuesOutliveTheClose) {
  const Chan<int> c(2);
  c.send(1);
  c.send(2);
  c.close();
  EXPECT_EQ(c.receive(), 1);
  EXPECT_EQ(c.receive(), 2);
  EXPECT_EQ(c.receive(), std::nullopt);
  EXPECT_EQ(c.receive(), std::nullopt);
}

TEST_F(ChanTest, AClosedChannelRefusesSendsAndASecondClose) {
  const Chan<int> c(1);
  c.close();
  EXPECT_EQ(panicOf([&] { c.send(1); }), "send on closed channel");
  EXPECT_EQ(panicOf([&] { c.trySend(1); }), "send on closed channel");
  EXPECT_EQ(panicOf([&] { c.close(); }), "close of closed channel");
}

// That it is full is no answer to one who must hear that it is closed.
TEST_F(ChanTest, AFullChannelThatIsClosedRefusesAnAttempt) {
  const Chan<std::unique_ptr<int>> c(1);
  c.send(std::make_unique<int>(1));
  c.close();
  auto value = std::make_unique<int>(2);
  EXPECT_EQ(panicOf([&] { c.trySend(std::move(value)); }), "send on closed channel");
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(**c.receive(), 1);
}

TEST_F(ChanTest, TryReceiveTellsNothingYetFromClosed) {
  const Chan<int> c(1);
  EXPECT_FALSE(c.tryReceive().ready);
  c.send(5);
  EXPECT_EQ(c.tryReceive().value, 5);
  c.close();
  const auto last = c.tryReceive();
  EXPECT_TRUE(last.ready);
  EXPECT_EQ(last.value, std::nullopt);
}

TEST_F(ChanTest, ANilChannelIsNeverReady) {
  const Chan<int> nil(nullptr);
  EXPECT_FALSE(nil.trySend(1));
  EXPECT_FALSE(nil.tryReceive().ready);
  EXPECT_EQ(nil.len() + nil.cap(), 0U);
  EXPECT_EQ(panicOf([&] { nil.close(); }), "close of nil channel");
}

// A receiver that never blocks sees each value, and "closed" only after the last: it must not take the moment
// between finding the channel empty and finding it closed for the end.
TEST_F(ChanTest, AnAttemptFindsTheEndOnlyAfterTheLastValue) {
  for (const int capacity : {0, 1, 16}) {
    for (int round = 0; round < 200; ++round) {
      const Chan<int> c(capacity);
      go([=] {
        for (int i = 0; i < 3; ++i) c.send(i);
        c.close();
      });
      int seen = 0;
      for (;;) {
        const auto got = c.tryReceive();
        if (got.ready && !got.value) break;
        seen += got.ready ? 1 : 0;
        if (!got.ready) gosched();
      }
      ASSERT_EQ(seen, 3) << "capacity " << capacity;
    }
  }
}

// What was written before the send is there after the receive, and the other way around for an unbuffered
// channel. ThreadSanitizer watches.
TEST_F(ChanTest, ASendHappensBeforeItsReceive) {
  for (const int capacity : {0, 1}) {
    const Chan<int*> c(capacity);
    int value = 0;
    int answer = 0;
    const Chan<int*> back(capacity);
    WaitGroup group;
    group.go([=, &answer] {
      for (int* at : c) {
        answer = ++*at;
        back.send(at);
      }
    });
    for (int i = 0; i < 1000; ++i) {
      value = i;
      c.send(&value);
      back.receive();
      EXPECT_EQ(value, i + 1);
      EXPECT_EQ(answer, i + 1);
    }
    c.close();
    group.wait();
  }
}

// The other edges of Go's memory model. What is written is not atomic: ThreadSanitizer watches.
TEST_F(ChanTest, AnUnbufferedReceiveHappensBeforeTheEndOfItsSend) {
  for (int i = 0; i < 500; ++i) {
    const Chan<int> c;
    int written = 0;
    go([c, &written] {
      written = 1;
      c.receive();
    });
    c.send(0);
    ASSERT_EQ(written, 1);
  }
}

TEST_F(ChanTest, AReceiveHappensBeforeTheEndOfTheSendThatTakesItsPlace) {
  const Chan<Nothing> held(1);
  int counter = 0;
  WaitGroup group;
  for (int g = 0; g < 8; ++g) {
    group.go([held, &counter] {
      for (int i = 0; i < 500; ++i) {
        held.send({});
        ++counter;
        held.receive();
      }
    });
  }
  group.wait();
  EXPECT_EQ(counter, 8 * 500);
}

TEST_F(ChanTest, CloseHappensBeforeTheReceiveThatSeesIt) {
  for (int i = 0; i < 500; ++i) {
    const Chan<int> c;
    int written = 0;
    go([c, &written] {
      written = 1;
      c.close();
    });
    if (i % 2 == 0) {
      c.receive();
    } else {
      while (!c.tryReceive().ready) gosched();
    }
    ASSERT_EQ(written, 1);
  }
}

// A goroutine that does nothing but ask keeps nobody from running, on one P either.
TEST_F(ChanTest, AskingIsAPollPoint) {
  const Chan<int> c;
  go([c] { c.send(1); });
  while (!c.tryReceive().ready) {
  }
  go([c] { c.receive(); });
  while (!c.trySend(1)) {
  }
  const Chan<int> own(1);
  const Chan<int> stop;
  go([stop] { stop.close(); });
  while (!stop.tryReceive().ready) {
    own.send(1);
    own.receive();
  }
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(ChanTest, CopiesAreTheSameChannel) {
  const Chan<int> a(1);
  const Chan<int> b = a;  // NOLINT(performance-unnecessary-copy-initialization): that is the point
  EXPECT_TRUE(a == b);
  EXPECT_FALSE(a == Chan<int>(1));
  b.send(3);
  EXPECT_EQ(a.receive(), 3);
}

TEST_F(ChanTest, AChannelThatWasMovedFromIsNil) {
  Chan<int> a(1);
  const Chan<int> b = std::move(a);
  EXPECT_TRUE(a == nullptr);  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_FALSE(b == nullptr);
  a = b;
  EXPECT_TRUE(a == b);
}

TEST_F(ChanTest, MoveOnlyValuesPass) {
  const Chan<std::unique_ptr<int>> c;
  go([c] { c.send(std::make_unique<int>(11)); });
  EXPECT_EQ(**c.receive(), 11);
}

TEST_F(ChanTest, MoveOnlyValuesPassThroughTheRing) {
  const Chan<std::unique_ptr<int>> c(2);
  for (int i = 0; i < 5; ++i) {
    c.send(std::make_unique<int>(i));
    EXPECT_TRUE(c.trySend(std::make_unique<int>(i + 1)));
    EXPECT_EQ(**c.receive(), i);
    EXPECT_EQ(**c.tryReceive().value, i + 1);
  }
}

TEST_F(ChanTest, ATrySendThatFailsLeavesTheValue) {
  const Chan<std::unique_ptr<int>> c;
  auto value = std::make_unique<int>(5);
  EXPECT_FALSE(c.trySend(std::move(value)));
  EXPECT_TRUE(value != nullptr && *value == 5);  // NOLINT(bugprone-use-after-move): that is the point
}

TEST_F(ChanTest, EveryValueIsDestroyedOnce) {
  const auto counted = std::make_shared<int>(0);
  {
    const Chan<std::shared_ptr<int>> c(4);
    for (int i = 0; i < 4; ++i) c.send(counted);
    c.receive();
    c.trySend(counted);
    c.trySend(counted);
    c.close();
    EXPECT_THROW(c.send(counted), Panic);
    EXPECT_EQ(counted.use_count(), 5);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST_F(ChanTest, AChannelOutlivesTheScopeThatMadeIt) {
  const Chan<Chan<std::string>> outer(1);
  {
    const Chan<std::string> inner(1);
    inner.send("kept");
    outer.send(inner);
  }
  EXPECT_EQ(outer.receive()->receive(), "kept");
}

// Each value arrives exactly once, whatever the mix of producers, consumers and capacities.
TEST_F(ChanTest, ManyProducersAndConsumersLoseAndDoubleNothing) {
  constexpr int kProducers = 6;
  constexpr int kEach = 2000;
  for (const int capacity : {0, 1, 10, 1000}) {
    const Chan<int> c(capacity);
    std::vector<std::atomic<int>> seen(static_cast<size_t>(kProducers) * kEach);
    WaitGroup producers;
    WaitGroup consumers;
    for (int p = 0; p < kProducers; ++p) {
      producers.go([=] {
        for (int i = 0; i < kEach; ++i) c.send(p * kEach + i);
      });
    }
    for (int i = 0; i < 5; ++i) {
      consumers.go([&seen, c] {
        for (const int value : c) ++seen[static_cast<size_t>(value)];
      });
    }
    producers.wait();
    c.close();
    consumers.wait();
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](const auto& count) { return count == 1; }));
  }
}

TEST_F(ChanTest, ABufferedChannelIsACountingSemaphore) {
  const Chan<int> slots(3);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  WaitGroup group;
  for (int i = 0; i < 200; ++i) {
    group.go([&, slots] {
      slots.send(0);
      const int now = ++inside;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      gosched();
      --inside;
      slots.receive();
    });
  }
  group.wait();
  EXPECT_LE(most, 3);
  EXPECT_EQ(inside, 0);
}

}  // namespace
}  // namespace fairlead::runtime
