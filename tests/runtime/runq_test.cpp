// The ring of a P, by itself: what the owner sees, what a thief gets, and that nothing is lost or doubled
// between them; and the queue that all Ps share.
#include "runtime/runq.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <thread>
#include <vector>

namespace fairlead::runtime {
namespace {

class RunQueueTest : public testing::Test {
 protected:
  static constexpr uint32_t kCapacity = RunQueue::kCapacity;

  void put(G* gp, bool next = false) {
    queue_.put(gp, next, [](auto) { ADD_FAILURE() << "no room"; });
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
  std::vector<G*> overflow;
  queue_.put(&gs_[kCapacity], false,
             [&](std::span<G* const> batch) { overflow.assign(batch.begin(), batch.end()); });
  EXPECT_EQ(queue_.ringSize(), kCapacity / 2);
  ASSERT_EQ(overflow.size(), kCapacity / 2 + 1);
  for (uint32_t k = 0; k < kCapacity / 2; ++k) EXPECT_EQ(overflow[k], &gs_[k]);
  EXPECT_EQ(overflow.back(), &gs_[kCapacity]);
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

TEST(GRingTest, KeepsTheOrderWhileItGrowsAndTurnsRound) {
  std::vector<G> gs(5000);
  GRing ring;
  EXPECT_EQ(ring.pop(), nullptr);
  EXPECT_EQ(ring.popLast(), nullptr);
  size_t out = 0;
  for (size_t in = 0; in < gs.size(); ++in) {
    ring.push(&gs[in]);
    if (in % 3 == 0) {
      EXPECT_EQ(ring.pop(), &gs[out++]);
    }
  }
  EXPECT_EQ(ring.size(), gs.size() - out);
  size_t end = gs.size();
  while (out < end) {
    ASSERT_EQ(ring.pop(), &gs[out++]);
    if (out < end) {
      ASSERT_EQ(ring.popLast(), &gs[--end]);
    }
  }
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.pop(), nullptr);
}

TEST(GRingTest, RotatingPutsTheFirstBehindTheLast) {
  std::vector<G> gs(1200);
  GRing ring;
  for (size_t i = 400; i < gs.size(); ++i) ring.push(&gs[i]);
  const uint32_t others = ring.size();
  for (size_t i = 0; i < 400; ++i) ring.push(&gs[i]);
  ring.rotate(others);
  for (G& g : gs) {
    ASSERT_EQ(ring.pop(), &g);
  }
}

}  // namespace
}  // namespace fairlead::runtime
