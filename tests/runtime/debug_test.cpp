// What a program can learn about its own goroutines.
#include "runtime/debug.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using DebugTest = RuntimeTest;

[[gnu::noinline]] void waitsForThis(const Chan<int>& c) {
  c.receive();
  goid();  // not the last call, or this function would not be on the stack
}

bool contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

bool anyContains(const std::vector<std::string>& lines, const std::string& what) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return contains(line, what); });
}

TEST_F(DebugTest, StackDumpShowsTheCaller) {
  const std::string text = stackDump(false);
  EXPECT_TRUE(text.starts_with("goroutine 1 [running]:\n\tthread " + std::to_string(threadId()) + ", P "))
      << text;
  EXPECT_TRUE(contains(text, "StackDumpShowsTheCaller")) << text;
  EXPECT_FALSE(contains(text, "callersBacktrace")) << text;
}

// D 62, Go's TestNoHelperGoroutines.
TEST_F(DebugTest, NoGoroutineOfTheRuntimesOwnIsShown) {
  const std::string text = stackDump(true);
  EXPECT_EQ(text.rfind("goroutine "), text.find("goroutine ")) << text;
  EXPECT_EQ(goroutines().size(), 1U);
}

TEST_F(DebugTest, GoroutinesSaysWhereEachWaitsAndWhoMadeIt) {
  const Chan<int> c;
  const Chan<uint64_t> ids(1);
  WaitGroup group;
  group.go([c, ids] {
    ids.send(goid());
    waitsForThis(c);
  });
  const uint64_t id = *ids.receive();
  GoroutineInfo found;
  ASSERT_TRUE(eventually([&] {
    const std::vector<GoroutineInfo> all = goroutines();
    EXPECT_EQ(all.front().id, goid());
    const auto at = std::find_if(all.begin(), all.end(), [id](const auto& one) { return one.id == id; });
    if (at == all.end() || at->state != "chan receive") return false;
    found = *at;
    return true;
  }));
  EXPECT_EQ(found.parent, goid());
  EXPECT_TRUE(contains(found.createdAt, "GoroutinesSaysWhereEachWaitsAndWhoMadeIt")) << found.createdAt;
  EXPECT_TRUE(anyContains(found.stack, "waitsForThis"));
  EXPECT_FALSE(found.lockedToThread);
  EXPECT_EQ(found.thread, 0);
  c.close();
  group.wait();
}

// The dump halts threads wherever they are; nothing may be lost or stuck by it.
TEST_F(DebugTest, ABusyProgramIsLookedIntoAndGoesOn) {
  constexpr int kWorkers = 8;
  constexpr int kLooks = kThreadSanitizer ? 5 : 50;
  const Chan<int> ping;
  const Chan<int> pong;
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0};
  WaitGroup group;
  for (int i = 0; i < kWorkers; ++i) {
    group.go([&, ping, pong] {
      while (auto value = ping.receive()) {
        const std::string text = "allocated while others are halted " + std::to_string(*value);
        pong.send(static_cast<int>(text.size()));
        ++rounds;
      }
    });
  }
  group.go([&, ping, pong] {
    while (!stop) {
      ping.send(1);
      pong.receive();
    }
    ping.close();
  });
  for (int i = 0; i < kLooks; ++i) {
    EXPECT_GE(goroutines().size(), 1U);
    EXPECT_TRUE(stackDump(true).starts_with("goroutine "));
    gosched();
  }
  stop = true;
  group.wait();
  EXPECT_GE(rounds, 1);
}

TEST_F(DebugTest, SeveralMayLookAtOnce) {
  WaitGroup group;
  std::atomic<int> shown{0};
  for (int i = 0; i < 4; ++i) {
    group.go([&] {
      for (int k = 0; k < 10; ++k) shown += goroutines().empty() ? 0 : 1;
    });
  }
  group.wait();
  EXPECT_EQ(shown, 40);
}

}  // namespace
}  // namespace fairlead::runtime
