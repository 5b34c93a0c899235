// Every sentence of Go's select semantics.
#include "runtime/select.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using SelectTest = RuntimeTest;

TEST_F(SelectTest, TheReadyCaseIsCarriedOut) {
  const Chan<int> a(1);
  const Chan<std::string> b(1);
  b.send("from b");
  std::string got;
  const int chosen = select(receive(a, [](std::optional<int>) { FAIL() << "a is not ready"; }),
                            receive(b, [&](std::optional<std::string> text) { got = text.value(); }));
  EXPECT_EQ(chosen, 1);
  EXPECT_EQ(got, "from b");
}

TEST_F(SelectTest, ASendGoesWhereThereIsRoom) {
  const Chan<int> full(1);
  const Chan<int> roomy(1);
  full.send(1);
  bool sent = false;
  EXPECT_EQ(select(send(full, 2), send(roomy, 3, [&] { sent = true; })), 1);
  EXPECT_TRUE(sent);
  EXPECT_EQ(roomy.receive(), 3);
  EXPECT_EQ(full.len(), 1U);
}

TEST_F(SelectTest, FunctionsMayBeLeftOutOrTakeNoArgument) {
  const Chan<int> c(2);
  c.send(1);
  c.send(2);
  EXPECT_EQ(select(receive(c)), 0);
  bool ran = false;
  EXPECT_EQ(select(receive(c, [&] { ran = true; })), 0);
  EXPECT_TRUE(ran);
  EXPECT_EQ(select(receive(c), otherwise()), 1);
}

TEST_F(SelectTest, OtherwiseIsForWhenNothingIsReady) {
  const Chan<int> a;
  const Chan<int> b(1);
  bool ran = false;
  EXPECT_EQ(select(receive(a), receive(b), send(a, 1), otherwise([&] { ran = true; })), 3);
  EXPECT_TRUE(ran);
  b.send(1);
  EXPECT_EQ(select(otherwise(), receive(a), receive(b)), 2);
}

TEST_F(SelectTest, OnlyOtherwiseIsChosenAtOnce) { EXPECT_EQ(select(otherwise()), 0); }

TEST_F(SelectTest, ANilChannelIsNeverReady) {
  const Chan<int> nil(nullptr);
  const Chan<int> c(1);
  EXPECT_EQ(select(receive(nil), send(nil, 1), otherwise()), 2);
  EXPECT_EQ(select(receive(nil), send(c, 1), send(nil, 1)), 1);
}

TEST_F(SelectTest, ASingleCaseIsThePlainOperation) {
  const Chan<int> c;
  go([c] { select(send(c, 8)); });
  ASSERT_TRUE(parked(1, WaitReason::ChanSend));
  EXPECT_EQ(c.receive(), 8);
}

TEST_F(SelectTest, AClosedChannelIsReady) {
  const Chan<int> closed(1);
  const Chan<int> open;
  closed.send(1);
  closed.close();
  std::vector<std::optional<int>> got;
  for (int i = 0; i < 2; ++i) {
    select(receive(open), receive(closed, [&](std::optional<int> value) { got.push_back(value); }));
  }
  EXPECT_EQ(got, (std::vector<std::optional<int>>{1, std::nullopt}));
}

TEST_F(SelectTest, ChoosingToSendOnAClosedChannelPanics) {
  const Chan<int> closed;
  const Chan<int> other;
  closed.close();
  EXPECT_EQ(panicOf([&] { select(send(closed, 1), receive(other)); }), "send on closed channel");
  EXPECT_EQ(panicOf([&] { select(send(closed, 1), otherwise()); }), "send on closed channel");
  EXPECT_EQ(panicOf([&] { select(send(closed, 1)); }), "send on closed channel");
}

TEST_F(SelectTest, ItWaitsForAReceive) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<int> result(1);
  go([=] {
    const int chosen = select(receive(a), receive(b, [&](std::optional<int> v) { result.send(*v); }));
    EXPECT_EQ(chosen, 1);
  });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  b.send(7);
  EXPECT_EQ(result.receive(), 7);
}

TEST_F(SelectTest, ItWaitsForASend) {
  const Chan<std::unique_ptr<int>> a;
  const Chan<std::unique_ptr<int>> b;
  const Chan<int> chosen(1);
  go([=] { chosen.send(select(send(a, std::make_unique<int>(1)), send(b, std::make_unique<int>(2)))); });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  EXPECT_EQ(**b.receive(), 2);
  EXPECT_EQ(chosen.receive(), 1);
  EXPECT_FALSE(a.tryReceive().ready);
}

TEST_F(SelectTest, CloseWakesAWaitingReceiveCaseWithNothing) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<bool> empty(1);
  go([=] { select(receive(a), receive(b, [=](std::optional<int> v) { empty.send(!v.has_value()); })); });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  b.close();
  EXPECT_EQ(empty.receive(), true);
}

TEST_F(SelectTest, CloseMakesAWaitingSendCasePanic) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<std::string> text(1);
  go([=] { text.send(panicOf([=] { select(receive(a), send(b, 1)); })); });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  b.close();
  EXPECT_EQ(text.receive(), "send on closed channel");
  EXPECT_FALSE(a.trySend(1));
}

TEST_F(SelectTest, ACaseMeetsAWaiter) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<int> got(1);
  go([=] { got.send(*b.receive()); });
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  EXPECT_EQ(select(receive(a), send(b, 5)), 1);
  EXPECT_EQ(got.receive(), 5);
  go([=] { b.send(6); });
  ASSERT_TRUE(parked(1, WaitReason::ChanSend));
  int value = 0;
  EXPECT_EQ(select(send(a, 1), receive(b, [&](std::optional<int> v) { value = v.value(); })), 1);
  EXPECT_EQ(value, 6);
}

// Whoever finds a select that another channel has chosen already goes on to the next in the queue.
TEST_F(SelectTest, OneThatHasBeenChosenIsPassedOver) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<int> chosen(1);
  const Chan<int> got(1);
  go([=] { chosen.send(select(receive(a), receive(b))); });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  go([=] { got.send(*b.receive()); });
  ASSERT_TRUE(parked(1, WaitReason::ChanReceive));
  EXPECT_TRUE(a.trySend(1));
  EXPECT_TRUE(b.trySend(2));
  EXPECT_FALSE(b.trySend(3));
  EXPECT_EQ(chosen.receive(), 0);
  EXPECT_EQ(got.receive(), 2);
}

TEST_F(SelectTest, WhatIsNotChosenIsNotMoved) {
  const Chan<std::unique_ptr<int>> never;
  const Chan<int> ready(1);
  auto mine = std::make_unique<int>(1);
  std::optional<int> got;
  std::array cases{SelectCase::send(never, mine), SelectCase::receive(ready, got)};
  ready.send(7);
  EXPECT_EQ(select(cases), 1);
  EXPECT_EQ(got, 7);
  go([=] { ready.send(8); });
  EXPECT_EQ(select(cases), 1);
  EXPECT_EQ(got, 8);
  ASSERT_NE(mine, nullptr);
}

// Selects over the same channels, in whatever order and however often each appears, do not wait for each
// other: the channels are locked in one order.
TEST_F(SelectTest, TheOrderOfTheCasesCausesNoDeadlock) {
  constexpr int kEach = 1000;
  const Chan<int> a;
  const Chan<int> b;
  std::atomic<int> received{0};
  WaitGroup group;
  const auto count = [&] { ++received; };
  group.go([=] {
    for (int i = 0; i < kEach; ++i) select(send(a, i), send(b, i), send(a, i));
  });
  group.go([=] {
    for (int i = 0; i < kEach; ++i) select(send(b, i), send(a, i));
  });
  group.go([=] {
    for (int i = 0; i < kEach; ++i) select(receive(a, count), receive(b, count));
  });
  group.go([=] {
    for (int i = 0; i < kEach; ++i) select(receive(b, count), receive(a, count), receive(b, count));
  });
  group.wait();
  EXPECT_EQ(received, 2 * kEach);
}

// Having fired, a select has left the queues of all other channels.
TEST_F(SelectTest, NothingIsLeftWaiting) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<int> c(1);
  c.send(0);
  const Chan<int> done;
  go([=] { done.send(select(receive(a), send(b, 1), send(c, 1))); });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  a.send(0);
  EXPECT_EQ(done.receive(), 0);
  EXPECT_FALSE(a.trySend(1));
  EXPECT_FALSE(b.tryReceive().ready);
  c.receive();
  EXPECT_FALSE(c.tryReceive().ready);
}

TEST_F(SelectTest, SelectsMeetEachOther) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<int> got(1);
  go([=] { select(send(a, 1), send(b, 2)); });
  ASSERT_TRUE(parked(1, WaitReason::Select));
  int value = 0;
  const auto keep = [&](std::optional<int> v) { value = *v; };
  const int chosen = select(receive(a, keep), receive(b, keep));
  EXPECT_EQ(value, chosen + 1);
}

// Each of three cases that are always ready is chosen about as often as the others: 3,000 draws stray from
// 1,000 by 300, more than eleven standard deviations, never.
TEST_F(SelectTest, OfSeveralReadyCasesOneIsChosenAtRandom) {
  const Chan<int> a(1);
  const Chan<int> b(1);
  const Chan<int> c(1);
  std::array<int, 3> chosen{};
  for (int i = 0; i < 3000; ++i) {
    a.trySend(0);
    b.trySend(0);
    ++chosen.at(static_cast<size_t>(select(receive(a), receive(b), send(c, 1))));
    c.tryReceive();
  }
  for (const int times : chosen) EXPECT_NEAR(times, 1000, 300);
}

TEST_F(SelectTest, TheSameChannelMayAppearSeveralTimes) {
  const Chan<int> c(1);
  std::array<int, 4> chosen{};
  for (int i = 0; i < 2000; ++i) {
    ++chosen.at(static_cast<size_t>(select(receive(c), send(c, 1), receive(c), send(c, 2))));
  }
  for (const int times : chosen) EXPECT_NEAR(times, 500, 200);
}

// A select that both sends to and receives from an unbuffered channel is not its own partner; each of two
// such is the other's.
TEST_F(SelectTest, NobodyReceivesFromItself) {
  const Chan<int> c;
  EXPECT_EQ(select(send(c, 1), receive(c), otherwise()), 2);
  const Chan<int> both(2);
  for (int i = 0; i < 2; ++i) {
    go([=] {
      int got = 0;
      const int chosen = select(send(c, 10 + i), receive(c, [&](std::optional<int> v) { got = *v; }));
      both.send(got);
      EXPECT_EQ(got, chosen == 1 ? 10 + (1 - i) : 0);
    });
  }
  const int sum = *both.receive() + *both.receive();
  EXPECT_TRUE(sum == 10 || sum == 11) << sum;
}

TEST_F(SelectTest, AskingIsAPollPoint) {
  const Chan<int> a;
  const Chan<int> b;
  go([b] { b.send(1); });
  while (select(receive(a), receive(b), otherwise()) == 2) {
  }
  EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
}

TEST_F(SelectTest, AnExceptionFromAFunctionPasses) {
  const Chan<int> c(1);
  c.send(1);
  EXPECT_EQ(panicOf([&] { select(receive(c, [] { throw Panic("from the case"); })); }), "from the case");
}

TEST_F(SelectTest, CasesMayBePreparedAtRunTime) {
  constexpr size_t kChannels = 100;
  std::vector<Chan<int>> channels;
  std::vector<std::optional<int>> values(kChannels);
  std::vector<SelectCase> cases;
  for (size_t i = 0; i < kChannels; ++i) channels.emplace_back(1);
  for (size_t i = 0; i < kChannels; ++i) cases.push_back(SelectCase::receive(channels[i], values[i]));
  for (size_t i = 0; i < kChannels; i += 7) {
    channels[i].send(static_cast<int>(i));
    EXPECT_EQ(select(cases), static_cast<int>(i));
    EXPECT_EQ(values[i], static_cast<int>(i));
  }
  channels[3].close();
  values[3] = 99;
  EXPECT_EQ(select(cases), 3);
  EXPECT_EQ(values[3], std::nullopt);

  int value = 5;
  cases[3] = SelectCase::otherwise();
  EXPECT_EQ(select(cases), 3);
  cases[4] = SelectCase::send(channels[4], value);
  EXPECT_EQ(select(cases), 4);
  EXPECT_EQ(channels[4].receive(), 5);
  cases[9] = SelectCase::otherwise();
  EXPECT_EQ(panicOf([&] { select(cases); }), "reflect.Select: multiple default cases");
}

// Whatever is chosen, each value is received once: exactly one case fires, and no value goes down with one
// that lost.
TEST_F(SelectTest, ManySelectsLoseAndDoubleNothing) {
  constexpr int kEach = 2000;
  constexpr int kSenders = 4;
  for (const int capacity : {0, 1, 10}) {
    const std::array<Chan<int>, 3> c{Chan<int>(capacity), Chan<int>(capacity), Chan<int>(capacity)};
    std::vector<std::atomic<int>> seen(static_cast<size_t>(kSenders) * kEach);
    WaitGroup senders;
    WaitGroup receivers;
    for (int s = 0; s < kSenders; ++s) {
      senders.go([=] {
        for (int i = 0; i < kEach; ++i) {
          const int value = s * kEach + i;
          select(send(c[0], value), send(c[1], value), send(c[2], value));
        }
      });
    }
    const Chan<int> stop;
    for (int r = 0; r < 3; ++r) {
      receivers.go([=, &seen] {
        const auto count = [&](std::optional<int> value) { ++seen[static_cast<size_t>(*value)]; };
        while (select(receive(c[0], count), receive(c[1], count), receive(c[2], count), receive(stop)) != 3) {
        }
      });
    }
    senders.wait();
    while (c[0].len() + c[1].len() + c[2].len() > 0) gosched();
    stop.close();
    receivers.wait();
    for (const auto& times : seen) ASSERT_EQ(times, 1);
  }
}

// One token wanders between two channels, and is at every moment in one of them: whoever asks for either must
// never hear that there is none, except while it is on its way.
TEST_F(SelectTest, OtherwiseIsTheTruthOfOneMoment) {
  const Chan<int> a(2);
  const Chan<int> b(2);
  a.send(0);
  std::atomic<bool> stop{false};
  WaitGroup group;
  group.go([&, a, b] {
    while (!stop) {
      b.send(1);  // before the one in a is taken
      a.receive();
      a.send(1);
      b.receive();
      gosched();
    }
  });
  int misses = 0;
  for (int i = 0; i < 20'000; ++i) {
    int extra = 0;
    const int chosen = select(receive(a, [&] { extra = 1; }), receive(b, [&] { extra = 2; }), otherwise());
    if (chosen == 2) ++misses;
    if (extra == 1) a.send(1);
    if (extra == 2) b.send(1);
    if (i % 64 == 0) gosched();
  }
  stop = true;
  group.wait();
  EXPECT_EQ(misses, 0);
}

// Go's BenchmarkChanPopular in small: many wait for one popular channel, and leave its long queue from the
// middle.
TEST_F(SelectTest, LeavingALongQueueIsQuick) {
  constexpr int kRounds = 20;
  const int many = kMany / 5;
  const Chan<int> popular;
  std::vector<Chan<int>> own;
  WaitGroup group;
  for (int i = 0; i < many; ++i) {
    own.emplace_back();
    group.go([=, mine = own.back()] {
      for (int round = 0; round < kRounds; ++round) EXPECT_EQ(select(receive(popular), receive(mine)), 1);
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& c : own) c.send(round);
  }
  group.wait();
  EXPECT_FALSE(popular.trySend(1));
}

}  // namespace
}  // namespace fairlead::runtime
