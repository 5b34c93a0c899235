// The memory of goroutines. What an overflow prints is tested with whole programs.
#include "runtime/stack.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <fstream>
#include <set>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using StackTest = RuntimeTest;

size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  size_t n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

[[gnu::noinline]] int touch(int depth) {
  volatile char page[4096];
  page[0] = static_cast<char>(depth);
  return depth == 0 ? page[0] : touch(depth - 1) + page[0] * 0;
}

TEST_F(StackTest, AGoroutineHasMostOfItsStackForItself) {
  WaitGroup group;
  int result = -1;
  group.go([&result] { result = touch(static_cast<int>((kStackSize - 2 * kGuardSize) / 4096 / 2)); });
  group.wait();
  EXPECT_EQ(result, 0);
}

// All at the same line of their pages they would share a few sets of the caches.
TEST_F(StackTest, StacksBeginAtDifferentLinesOfTheirPages) {
  constexpr int kEnough = 64;
  const Chan<int> gate;
  WaitGroup group;
  for (int i = 0; i < kEnough; ++i) group.go([gate] { gate.receive(); });
  std::set<uintptr_t> lines;
  forEachG(
      [](G* gp, void* to) {
        if (gp->stackLow == nullptr) return;
        static_cast<std::set<uintptr_t>*>(to)->insert(reinterpret_cast<uintptr_t>(gp) % 4096 / 64);
      },
      &lines);
  EXPECT_EQ(lines.size(), 32U);
  gate.close();
  group.wait();
}

// hasGuardMarkers() asks the kernel (Linux 6.13) what the runtime asks it; sanitizer builds use pages always.
bool hasGuardMarkers() {
#if defined(__SANITIZE_ADDRESS__)
  return false;
#else
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool has = madvise(page, 4096, 102) == 0;
  munmap(page, 4096);
  return has;
#endif
}

// vm.max_map_count is 65,530 on a stock machine: two mappings per stack would be too many.
TEST_F(StackTest, AHundredThousandGoroutinesNeedFewMappings) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kVeryMany = kMany;
#else
  constexpr int kVeryMany = 100'000;
#endif
  const size_t before = mappings();
  const Chan<int> release;
  WaitGroup group;
  for (int i = 0; i < kVeryMany; ++i) group.go([release] { release.receive(); });
  EXPECT_GE(numGoroutine(), kVeryMany);
  const size_t with = mappings();
  release.close();
  group.wait();
  // ThreadSanitizer maps a few pieces of its own for each goroutine.
  const size_t limit = kThreadSanitizer ? 10UL * kVeryMany : hasGuardMarkers() ? 1'000 : 40'000;
  EXPECT_LT(with - before, limit);
}

TEST_F(StackTest, LargeClosuresLiveOnTheStack) {
  struct Large {
    alignas(64) char bytes[8000]{};
  };
  Large large;
  large.bytes[7999] = 'x';
  WaitGroup group;
  bool good = false;
  group.go([large, &good] {
    good = large.bytes[7999] == 'x' && reinterpret_cast<uintptr_t>(&large) % alignof(Large) == 0;
  });
  group.wait();
  EXPECT_TRUE(good);
}

}  // namespace
}  // namespace fairlead::runtime
