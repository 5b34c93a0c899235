// How programs end that misuse channels and sync, or wait for what never comes, compared with Go's words.
#include <gtest/gtest.h>

#include <string>

#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using MisuseTest = RuntimeTest;

constexpr int kFatal = 2;

void expectFatal(const std::string& way, const std::string& head) {
  const Outcome outcome = runProgram({MISUSE, way});
  EXPECT_EQ(outcome.err.substr(0, head.size()), head) << outcome.err;
  EXPECT_EQ(outcome.status, kFatal) << outcome.err;
}

TEST_F(MisuseTest, WhatAGoroutineWaitsForIsNamedInGosWords) {
  const Outcome outcome = runProgram({MISUSE, "every-reason"});
  EXPECT_TRUE(
      outcome.err.starts_with("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan "
                              "receive (nil chan)"))
      << outcome.err;
  for (const char* reason : {"chan receive (nil chan)", "chan send (nil chan)", "chan send", "select",
                             "select (no cases)", "sync.Mutex.Lock", "sync.RWMutex.RLock",
                             "sync.RWMutex.Lock", "sync.Cond.Wait", "sync.WaitGroup.Wait"}) {
    EXPECT_NE(outcome.err.find(std::string(" [") + reason + "]:\n"), std::string::npos)
        << reason << " in " << outcome.err;
  }
  EXPECT_EQ(outcome.status, kFatal);
}

TEST_F(MisuseTest, UnlockingWhatIsNotLockedIsFatal) {
  expectFatal("unlock-mutex", "fatal error: sync: unlock of unlocked mutex\n");
  expectFatal("unlock-rwmutex", "fatal error: sync: Unlock of unlocked RWMutex\n");
  expectFatal("unlock-read-rwmutex", "fatal error: sync: Unlock of unlocked RWMutex\n");
  expectFatal("read-unlock-rwmutex", "fatal error: sync: RUnlock of unlocked RWMutex\n");
  expectFatal("read-unlock-written", "fatal error: sync: RUnlock of unlocked RWMutex\n");
}

TEST_F(MisuseTest, ASecondReadLockBehindAWriterIsADeadlock) {
  expectFatal("recursive-read",
              "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [sync.RWMutex.RLock]:\n");
}

TEST_F(MisuseTest, TheLastWordsTellWhyTheProgramEnds) {
  const auto expectWords = [](const std::string& way, const std::string& words, const std::string& report) {
    const Outcome outcome = runProgram({MISUSE, way});
    EXPECT_EQ(outcome.out, words) << way;
    EXPECT_TRUE(outcome.err.starts_with(report)) << outcome.err;
    EXPECT_EQ(outcome.status, kFatal) << way;
  };
  expectWords("last-words-of-fatal-error", "fatal error: no way back", "fatal error: no way back\n");
  expectWords("last-words-of-panic", "panic: lost", "panic: lost\n");
  expectWords("last-words-of-deadlock", "fatal error: all goroutines are asleep - deadlock!",
              "fatal error: all goroutines are asleep - deadlock!\n");
  expectWords("last-words-taken-back", "", "fatal error: no way back\n");
}

TEST_F(MisuseTest, WaitingForOneselfIsADeadlock) {
  for (const char* way : {"recursive-lock", "recursive-once"}) {
    expectFatal(way,
                "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [sync.Mutex.Lock]:\n");
  }
}

// No wait swallows the panic of the goroutine that is waited for.
TEST_F(MisuseTest, APanicInAGroupEndsTheProgram) {
  for (const char* way : {"panic-in-waitgroup", "panic-in-errgroup", "panic-in-singleflight"}) {
    expectFatal(way, "panic: boom\n");
  }
}

}  // namespace
}  // namespace fairlead::runtime
