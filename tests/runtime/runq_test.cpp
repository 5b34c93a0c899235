// The ring of a P, by itself: what the owner sees, what a thief gets, and that nothing is lost or doubled
// between them; and the queue that all Ps share.
#include "runtime/runq.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <thread>
#include <vector>

namespace fairlead::runtime {
namespace {

class RunQueueTest : public testing::Test {
 protected:
  static constexpr uint32_t kCapacity = RunQueue::kCapacity;

  void put(G* gp, bool next = false) {
    GQueue overflow;
    queue_.put(gp, next, overflow);
    EXPECT_TRUE(overflow.empty());
  }

  G* take() {
    G* gp = queue_.getNext();
    return gp != nullptr ? gp : queue_.get();
  }

  std::vector<G> gs_ = std::vector<G>(kCapacity + 1);
  RunQueue queue_;
};

TEST_F(RunQueueTest, OwnerGetsBackWhatItPutInOrder) {
  for (uint32_t i = 0; i < kCapacity; ++i) {
    EXPECT_EQ(take(), nullptr);
    for (uint32_t k = 0; k < i; ++k) put(&gs_[k]);
    for (uint32_t k = 0; k < i; ++k) EXPECT_EQ(take(), &gs_[k]);
    EXPECT_EQ(take(), nullptr);
    EXPECT_TRUE(queue_.empty());
  }
}

TEST_F(RunQueueTest, RunnextComesFirstAndDisplacesTheOneBefore) {
  put(&gs_[0]);
  put(&gs_[1], true);
  put(&gs_[2], true);
  EXPECT_EQ(take(), &gs_[2]);
  EXPECT_EQ(take(), &gs_[0]);
  EXPECT_EQ(take(), &gs_[1]);
}

TEST_F(RunQueueTest, ThiefGetsTheOlderHalf) {
  for (uint32_t i = 1; i < kCapacity; ++i) {
    for (uint32_t k = 0; k < i; ++k) put(&gs_[k]);
    RunQueue thief;
    std::map<G*, int> seen;
    G* direct = thief.stealFrom(queue_, false);
    ASSERT_NE(direct, nullptr);
    ++seen[direct];
    uint32_t stolen = 1;
    for (; G* gp = thief.get(); ++stolen) ++seen[gp];
    for (; G* gp = take();) ++seen[gp];
    EXPECT_EQ(stolen, i - i / 2);
    EXPECT_EQ(seen.size(), i);
    for (const auto& [gp, count] : seen) EXPECT_EQ(count, 1);
  }
}

TEST_F(RunQueueTest, ThiefTakesRunnextOnlyWhenAllowed) {
  put(&gs_[0], true);
  RunQueue thief;
  EXPECT_EQ(thief.stealFrom(queue_, false), nullptr);
  EXPECT_EQ(thief.stealFrom(queue_, true), &gs_[0]);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(RunQueueTest, TheOneTooManyTakesTheOlderHalfToTheGlobalQueue) {
  for (uint32_t k = 0; k < kCapacity; ++k) put(&gs_[k]);
  GQueue overflow;
  queue_.put(&gs_[kCapacity], false, overflow);
  EXPECT_EQ(queue_.ringSize(), kCapacity / 2);
  EXPECT_EQ(overflow.size(), kCapacity / 2 + 1);
  for (uint32_t k = 0; k < kCapacity / 2; ++k) EXPECT_EQ(overflow.pop(), &gs_[k]);
  EXPECT_EQ(overflow.pop(), &gs_[kCapacity]);
  for (uint32_t k = kCapacity / 2; k < kCapacity; ++k) EXPECT_EQ(take(), &gs_[k]);
}

// At least one goroutine is in the queue at all times: an observer that saw it empty would put its thread to
// sleep on work.
TEST_F(RunQueueTest, NeverLooksEmptyWhileAGoroutineMovesFromRunnextToTheRing) {
  constexpr int kRounds = 100'000;
  std::atomic<bool> started{false};
  std::atomic<bool> stop{false};
  std::atomic<int> empties{0};
  put(&gs_[0], true);
  std::thread observer([&] {
    started = true;
    while (!stop) empties += queue_.empty() ? 1 : 0;
  });
  while (!started) std::this_thread::yield();
  G* spare = &gs_[1];
  for (int i = 0; i < kRounds; ++i) {
    put(spare, i % 3 != 0);
    spare = take();
  }
  stop = true;
  observer.join();
  EXPECT_EQ(empties, 0);
}

TEST_F(RunQueueTest, NothingIsLostOrDoubledBetweenOwnerAndThieves) {
  constexpr int kRounds = 2'000;
  constexpr uint32_t kBatch = 100;
  std::atomic<bool> stop{false};
  std::vector<std::atomic<int>> runs(kBatch);
  std::atomic<uint32_t> done{0};
  auto run = [&](G* gp) {
    ++runs[static_cast<size_t>(gp - gs_.data())];
    ++done;
  };
  auto steal = [&] {
    RunQueue mine;
    while (!stop) {
      if (G* gp = mine.stealFrom(queue_, true)) run(gp);
      while (G* gp = mine.get()) run(gp);
    }
  };
  std::thread first(steal);
  std::thread second(steal);
  for (int round = 1; round <= kRounds; ++round) {
    done = 0;
    for (uint32_t k = 0; k < kBatch; ++k) put(&gs_[k], k % 3 == 0);
    while (done < kBatch) {
      if (G* gp = take()) run(gp);
    }
    for (const auto& count : runs) ASSERT_EQ(count, round);
  }
  stop = true;
  first.join();
  second.join();
}

TEST(GlobalQueueTest, KeepsTheOrderWhileItGrowsAndTurnsRound) {
  std::vector<G> gs(5000);
  GlobalQueue queue;
  EXPECT_EQ(queue.pop(), nullptr);
  size_t out = 0;
  for (size_t in = 0; in < gs.size(); ++in) {
    queue.push(&gs[in]);
    if (in % 3 == 0) {
      EXPECT_EQ(queue.pop(), &gs[out++]);
    }
  }
  EXPECT_EQ(queue.size(), gs.size() - out);
  while (out < gs.size()) {
    ASSERT_EQ(queue.pop(), &gs[out++]);
  }
  EXPECT_EQ(queue.pop(), nullptr);
}

TEST(GlobalQueueTest, BatchesGoToEitherEndAndKeepTheirOrder) {
  std::vector<G> gs(1200);
  GlobalQueue queue;
  const auto batch = [&](size_t from) {
    GQueue some;
    for (size_t i = from; i < from + 400; ++i) some.push(&gs[i]);
    return some;
  };
  GQueue middle = batch(400);
  GQueue last = batch(800);
  GQueue first = batch(0);
  queue.append(middle);
  queue.append(last);
  queue.prepend(first);
  EXPECT_TRUE(first.empty());
  for (G& g : gs) {
    ASSERT_EQ(queue.pop(), &g);
  }
  EXPECT_EQ(queue.size(), 0U);
}

}  // namespace
}  // namespace fairlead::runtime
