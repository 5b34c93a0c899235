// The memory of goroutines. What an overflow prints is tested with whole programs.
#include "runtime/stack.h"

#include <gtest/gtest.h>

#include <fstream>
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

TEST_F(StackTest, AHundredThousandGoroutinesLiveWithFewMappings) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers bring limits of their own";
#endif
  constexpr int kMany = 100'000;
  const size_t before = mappings();
  const Chan<int> release;
  WaitGroup group;
  for (int i = 0; i < kMany; ++i) group.go([release] { release.receive(); });
  EXPECT_GE(numGoroutine(), kMany);
  const size_t with = mappings();
  release.close();
  group.wait();
  if (with > before + 1000) {
    EXPECT_GE(with, before + kMany) << "neither guard markers nor guard pages";
    GTEST_SKIP() << "this kernel has no guard markers (Linux 6.13)";
  }
  EXPECT_LT(with - before, 1000U);
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
