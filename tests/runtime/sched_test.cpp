// Which goroutine runs, when, and where.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <set>
#include <vector>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using SchedTest = RuntimeTest;

TEST_F(SchedTest, MainIsGoroutineOneAndTheOnlyOne) {
  EXPECT_EQ(goid(), 1U);
  EXPECT_EQ(numGoroutine(), 1);
}

TEST_F(SchedTest, GoroutineNumbersAreUnique) {
  constexpr int kSpawners = 8;
  constexpr int kEach = kMany / kSpawners;
  const Chan<uint64_t> ids(64);
  WaitGroup spawners;
  for (int i = 0; i < kSpawners; ++i) {
    spawners.go([ids] {
      for (int k = 0; k < kEach; ++k) go([ids] { ids.send(goid()); });
    });
  }
  std::set<uint64_t> seen;
  for (int i = 0; i < kSpawners * kEach; ++i) seen.insert(*ids.receive());
  spawners.wait();
  EXPECT_EQ(seen.size(), static_cast<size_t>(kSpawners) * kEach);
  EXPECT_FALSE(seen.contains(1));
}

TEST_F(SchedTest, GoTakesAMoveOnlyClosureAndDestroysIt) {
  const auto value = std::make_shared<int>(7);
  WaitGroup group;
  int got = 0;
  group.go([copy = value, owned = std::make_unique<int>(35), &got] { got = *copy + *owned; });
  group.wait();
  EXPECT_EQ(got, 42);
  EXPECT_TRUE(eventually([&] { return value.use_count() == 1; }));
}

TEST_F(SchedTest, GoGivesTheGoroutineBackWhenTheClosureCannotBeMade) {
  struct Throws {
    Throws() = default;
    Throws(const Throws&) { throw std::bad_alloc(); }
    void operator()() const {}
  };
  const Throws closure;
  EXPECT_THROW(go(closure), std::bad_alloc);
  EXPECT_EQ(numGoroutine(), 1);
}

// With one P the order is Go's: the newest goroutine first, then the others as they came. With more there is
// none.
TEST_F(SchedTest, TheNewestGoroutineRunsBeforeOlderOnes) {
  const Chan<int> order(4);
  WaitGroup group;
  for (int i = 0; i < 4; ++i) group.go([order, i] { order.send(i); });
  group.wait();
  order.close();
  std::vector<int> got;
  for (const int i : order) got.push_back(i);
  if (maxProcs() != 1) std::sort(got.begin(), got.end());
  EXPECT_EQ(got, maxProcs() == 1 ? (std::vector<int>{3, 0, 1, 2}) : (std::vector<int>{0, 1, 2, 3}));
}

TEST_F(SchedTest, GoschedTakesTurns) {
  constexpr int kPlayers = 3;
  const Chan<int> order(kPlayers * kPlayers);
  WaitGroup group;
  for (int i = 0; i < kPlayers; ++i) {
    group.go([order, i] {
      for (int k = 0; k < kPlayers; ++k) {
        order.send(i);
        gosched();
      }
    });
  }
  group.wait();
  for (int round = 0; round < kPlayers; ++round) {
    std::multiset<int> players;
    for (int i = 0; i < kPlayers; ++i) players.insert(*order.receive());
    if (maxProcs() == 1) {  // with more, two of them run at their own pace
      EXPECT_EQ(players, (std::multiset<int>{0, 1, 2}));
    }
  }
  EXPECT_EQ(order.len(), 0U);
}

// Two goroutines that keep respawning each other through runnext must not keep out one that waits in the
// global queue.
TEST_F(SchedTest, TheGlobalQueueIsServedWhileOthersRespawnEachOther) {
  std::atomic<bool> stop{false};
  WaitGroup group;
  struct Respawn {
    std::atomic<bool>& stop;
    WaitGroup& group;
    void operator()() const {
      if (!stop) group.go(Respawn{stop, group});
    }
  };
  for (int i = 0; i < 2 * maxProcs(); ++i) group.go(Respawn{stop, group});
  group.go([&stop] {
    // Each turn lets thousands be born, and ThreadSanitizer takes a fraction of a millisecond for each.
    constexpr int kTurns = kThreadSanitizer ? 2 : 100;
    for (int i = 0; i < kTurns; ++i) gosched();  // to the tail of the global queue each time
    stop = true;
  });
  group.wait();
  EXPECT_TRUE(stop);
}

// A pair that wakes each other over an unbuffered channel lives in runnext; others must get their turn
// between.
TEST_F(SchedTest, APingPongPairDoesNotKeepOthersOut) {
  const Chan<int> ping;
  const Chan<int> pong;
  std::atomic<bool> stop{false};
  WaitGroup group;
  group.go([=] {
    for (int value : ping) pong.send(value);
    pong.close();
  });
  group.go([=, &stop] {
    while (!stop) {
      ping.send(1);
      pong.receive();
    }
    ping.close();
  });
  group.go([&stop] {
    for (int i = 0; i < 100; ++i) gosched();
    stop = true;
  });
  group.wait();
  EXPECT_TRUE(stop);
}

TEST_F(SchedTest, YieldingMakesProgressInAnother) {
  const Chan<bool> done(1);
  WaitGroup group;
  group.go([done] {
    while (!done.tryReceive().ready) gosched();
  });
  gosched();
  done.send(true);
  group.wait();
  EXPECT_EQ(done.len(), 0U);
}

TEST_F(SchedTest, AllPsRunAtTheSameTime) {
  for (int round = 0; round < 10; ++round) runInParallel(maxProcs());
}

TEST_F(SchedTest, EveryGoroutineOfManyRunsOnce) {
  std::vector<std::atomic<int>> runs(kMany);
  WaitGroup group;
  for (auto& count : runs) group.go([&count] { ++count; });
  group.wait();
  EXPECT_TRUE(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
}

int sumOfLeaves(int depth) {
  if (depth == 0) return 1;
  const Chan<int> sums(2);
  for (int i = 0; i < 2; ++i) go([=] { sums.send(sumOfLeaves(depth - 1)); });
  return *sums.receive() + *sums.receive();
}

TEST_F(SchedTest, ATreeOfGoroutinesAddsUp) { EXPECT_EQ(sumOfLeaves(8), 256); }

TEST_F(SchedTest, GoexitUnwindsTheGoroutineAndEndsIt) {
  std::vector<int> steps;
  WaitGroup group;
  group.go([&steps] {
    struct Step {
      std::vector<int>& steps;
      ~Step() { steps.push_back(1); }
    } step{steps};
    goexit();
    steps.push_back(2);
  });
  group.wait();
  EXPECT_EQ(steps, std::vector<int>{1});
}

// With one P, for with more the ends of goroutines spread them over all Ps' free lists, those of earlier
// tests included.
TEST_F(SchedTest, GoroutineRecordsAreReused) {
  const int procs = setMaxProcs(1);
  std::set<const G*> records;
  for (int i = 0; i < 1000; ++i) {
    WaitGroup group;
    group.go([&records] { records.insert(getm()->curg); });
    group.wait();
  }
  EXPECT_LE(records.size(), 2U);
  setMaxProcs(procs);
}

}  // namespace
}  // namespace fairlead::runtime
