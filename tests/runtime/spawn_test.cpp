// What it takes to start goroutines, and where they wait until they run.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace {
std::atomic<uint64_t> allocations{0};
}

// Counts what C++ code allocates, the runtime's included. Not inlined: GCC would see one half of a pair.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace fairlead::runtime {
namespace {

using SpawnTest = RuntimeTest;

void spawnAndJoin(int n) {
  WaitGroup group;
  for (int i = 0; i < n; ++i) group.go([] {});
  group.wait();
}

// Seeds 29.
TEST_F(SpawnTest, NothingIsAllocatedOnceGoroutinesHaveBeenMade) {
  const int procs = setMaxProcs(1);
  spawnAndJoin(1000);
  const uint64_t before = allocations;
  spawnAndJoin(1000);
  EXPECT_EQ(allocations, before);
  setMaxProcs(procs);
}

// Seeds 25. The loop of the scheduler does not call itself: a parked goroutine's callback runs at the same
// depth after a thousand goroutines as after one.
TEST_F(SpawnTest, TheSchedulerStackDoesNotGrow) {
  const int procs = setMaxProcs(1);
  struct Probe {
    uintptr_t at = 0;
  } first, last;
  const auto probe = [](Probe& where) {
    gopark(
        [](G* gp, void* arg) {
          static_cast<Probe*>(arg)->at = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
          goready(gp);
        },
        &where, WaitReason::Sleep);
  };
  probe(first);
  for (int i = 0; i < 10; ++i) spawnAndJoin(kMany);
  probe(last);
  EXPECT_EQ(first.at, last.at);
  setMaxProcs(procs);
}

// Seeds 35: a P takes its share of the global queue, at most half of its ring, and runs the first.
TEST_F(SpawnTest, AShareOfTheGlobalQueueIsTakenAtOnce) {
  const int procs = setMaxProcs(4);
  const auto take = [](uint32_t queued) {
    std::vector<G> gs(queued);
    const auto p = std::make_unique<P>();
    std::vector<G*> batch(queued);
    std::transform(gs.begin(), gs.end(), batch.begin(), [](G& g) { return &g; });
    stopTheWorld();
    globrunqputAll(batch);
    EXPECT_EQ(globrunqget(p.get(), RunQueue::kCapacity / 2), &gs.front());
    const uint32_t left = sched.runqsize;
    while (sched.runq.pop() != nullptr) {
    }
    sched.runqsize = 0;
    startTheWorld();
    return queued - left;
  };
  EXPECT_EQ(take(1000), 128U);
  EXPECT_EQ(take(40), 11U);
  EXPECT_EQ(take(1), 1U);
  setMaxProcs(procs);
}

// Seeds 22.
TEST_F(SpawnTest, WithOnePNoTwoRunAtTheSameTime) {
  const int procs = setMaxProcs(1);
  std::atomic<int> running{0};
  std::atomic<int> together{0};
  WaitGroup group;
  for (int i = 0; i < 4; ++i) {
    group.go([&] {
      for (int k = 0; k < 200; ++k) {
        if (++running != 1) ++together;
        for (int spin = 0; spin < 1000; ++spin) cpuRelax();
        --running;
        gosched();
      }
    });
  }
  group.wait();
  EXPECT_EQ(together, 0);
  setMaxProcs(procs);
}

}  // namespace
}  // namespace fairlead::runtime
