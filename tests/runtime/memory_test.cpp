// What many goroutines cost: memory, mappings, and nothing while they wait.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <string>

#include "runtime/arena.h"
#include "runtime/runtime.h"
#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using MemoryTest = RuntimeTest;

TEST_F(MemoryTest, RecordsAreAlignedZeroedAndApart) {
  struct alignas(64) Record {
    std::array<char, 200> bytes;
  };
  Record* last = nullptr;
  for (int i = 0; i < 1000; ++i) {
    auto* record = static_cast<Record*>(persistentalloc(sizeof(Record), alignof(Record)));
    ASSERT_EQ(reinterpret_cast<uintptr_t>(record) % alignof(Record), 0U);
    for (const char byte : record->bytes) ASSERT_EQ(byte, 0);
    record->bytes.fill('x');
    ASSERT_NE(record, last);
    last = record;
  }
  auto* large = static_cast<char*>(persistentalloc(1 << 20, 8));
  large[0] = large[(1 << 20) - 1] = 'x';
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which have memory of their own

struct Cost {
  long resident = 0;  // bytes each
  long tables = 0;    // bytes of page tables each
  long mappings = 0;
};

Cost costOf(const char* way) {
  const Outcome outcome = runProgram({CITIZEN, way});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  Cost cost;
  std::istringstream(outcome.out) >> cost.resident >> cost.tables >> cost.mappings;
  std::printf("%s: %ld bytes resident, %ld of page tables each; %ld mappings\n", way, cost.resident,
              cost.tables, cost.mappings);
  return cost;
}

// G 133.
TEST_F(MemoryTest, AHundredThousandParkedGoroutinesCostLittleMoreThanAPageEach) {
  const Cost cost = costOf("parked-100000");
  EXPECT_GT(cost.resident, 4000);
  EXPECT_LE(cost.resident + cost.tables, 4.7 * 1024);
  EXPECT_LT(cost.mappings, 1000);
}

TEST_F(MemoryTest, AMillionGoroutinesFitInEightGibibytes) {
  const Cost cost = costOf("parked-1000000");
  EXPECT_LE(cost.resident + cost.tables, 8L * 1024 * 1024 * 1024 / 1'000'000);
}

// S 58.
TEST_F(MemoryTest, WithoutAddressesTheProgramEndsWithAClearText) {
  const Outcome outcome = runProgram({CITIZEN, "out-of-addresses"});
  EXPECT_EQ(outcome.err.find("runtime: cannot map goroutine stacks\nfatal error: out of memory\n"), 0U)
      << outcome.err.substr(0, 300);
  EXPECT_EQ(outcome.status, 2);
}

#endif

TEST_F(MemoryTest, TenThousandParkedGoroutinesUseNoProcessor) {
  const Outcome outcome = runProgram({CITIZEN, "idle"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  long switches = 0;
  long cpu = 0;
  long threads = 0;
  std::istringstream(outcome.out) >> switches >> cpu >> threads;
  constexpr int kToolWakeUps = kThreadSanitizer ? 20 : 0;  // its own thread looks around ten times a second
  EXPECT_LE(switches, 1 + kToolWakeUps);
  EXPECT_LE(cpu, kThreadSanitizer ? 10'000'000 : 1'000'000) << "nanoseconds";
  constexpr int kHelpers = 3;  // sysmon, the template thread, and ThreadSanitizer's own
  EXPECT_LE(threads, maxProcs() + kHelpers);
}

}  // namespace
}  // namespace fairlead::runtime
