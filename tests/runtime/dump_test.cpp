// What a program shows of its goroutines when it ends: whole programs, their text and their exit status.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "runtime/runtime.h"
#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

constexpr int kFatal = 2;

class DumpTest : public RuntimeTest {
 protected:
  static Outcome run(const std::string& way) { return runProgram({PROGRAM, way}); }

  static void expectIn(const std::string& text, const std::string& what) {
    EXPECT_NE(text.find(what), std::string::npos) << what << "\n in \n" << text;
  }
  static void expectNotIn(const std::string& text, const std::string& what) {
    EXPECT_EQ(text.find(what), std::string::npos) << what << "\n in \n" << text;
  }
  static void expectFatal(const Outcome& outcome, const std::string& head) {
    EXPECT_EQ(outcome.err.substr(0, head.size()), head) << outcome.err;
    EXPECT_EQ(outcome.status, kFatal) << outcome.err;
  }
};

TEST_F(DumpTest, AParkedGoroutineShowsWhereItParkedAndWhoMadeIt) {
  const Outcome outcome = run("deadlock");
  expectFatal(outcome,
              "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n\t0x");
  expectIn(outcome.err, "\n\ngoroutine 2 [chan receive]:\n\t0x");
  expectIn(outcome.err, "waitsHere");
  expectIn(outcome.err, "\ncreated by goroutine 1 at ");
  const std::string creation = outcome.err.substr(outcome.err.find("\ncreated by goroutine 1 at ") + 1);
  expectIn(creation.substr(0, creation.find('\n')), "makesAGoroutine");
  expectNotIn(outcome.err, "switchAway");
}

TEST_F(DumpTest, APanicShowsWhereItWasThrown) {
  const Outcome outcome = run("panic");
  expectFatal(outcome, "panic: boom\n\ngoroutine 1 [running]:\n");
  expectIn(outcome.err, "panicsHere");
}

TEST_F(DumpTest, APanicShowsTheOthersOnlyWhenAsked) {
  expectNotIn(run("panic").err, "goroutine 2 [");
  const Environment all("FAIRLEAD_TRACEBACK", "all");
  expectIn(run("panic").err, "\n\ngoroutine 2 [");
}

TEST_F(DumpTest, TracebackNoneShowsNoGoroutine) {
  const Environment none("FAIRLEAD_TRACEBACK", "none");
  EXPECT_EQ(run("panic").err, "panic: boom\n");
  EXPECT_EQ(run("deadlock").err, "fatal error: all goroutines are asleep - deadlock!\n");
}

TEST_F(DumpTest, TracebackSystemShowsTheFramesOfTheRuntimeToo) {
  const Environment system("FAIRLEAD_TRACEBACK", "system");
  const Outcome outcome = run("deadlock");
  expectIn(outcome.err, "switchAway");
  expectIn(outcome.err, "goroutineEntry");
}

TEST_F(DumpTest, TracebackCrashEndsWithACore) {
  const Environment crash("FAIRLEAD_TRACEBACK", "crash");
  const Outcome outcome = run("panic");
  expectIn(outcome.err, "panic: boom\n\ngoroutine 1 [running]:\n");
  EXPECT_EQ(outcome.status, 128 + SIGABRT);
}

// D 72, Go's TestStackAllOutput.
TEST_F(DumpTest, SigquitShowsAllGoroutines) {
  const Outcome outcome = run("quit");
  expectFatal(outcome, "SIGQUIT: quit\nPC=0x");
  expectIn(outcome.err, "\n\ngoroutine 1 [running]:\n");
  expectIn(outcome.err, "\n\ngoroutine 2 [");
}

// D 68, Go's TestCrashDumpsAllThreads.
TEST_F(DumpTest, GoroutinesOnOtherThreadsAreShownToo) {
  const Outcome outcome = run("quit-busy");
  expectFatal(outcome, "SIGQUIT: quit\nPC=0x");
  expectIn(outcome.err, "[chan receive, locked to thread]:\n\tthread ");
  expectIn(outcome.err, "[syscall]:\n\tthread ");
  if (kThreadSanitizer) return;  // which lets a thread run its handler when it next makes a call
  expectIn(outcome.err, "waitsLocked");
  expectIn(outcome.err, "blocksHere");
  if (maxProcs() > 1) expectIn(outcome.err, "computesHere");
  expectNotIn(outcome.err, "stack unavailable");
}

TEST_F(DumpTest, ADeadlockShowsWhereALockedGoroutineWaits) {
  const Outcome outcome = run("deadlock-locked");
  expectFatal(outcome,
              "fatal error: all goroutines are asleep - deadlock!\n\n"
              "goroutine 1 [chan receive, locked to thread]:\n\tthread ");
  if (!kThreadSanitizer) expectIn(outcome.err, "waitsLocked");
}

TEST_F(DumpTest, SigquitIsLeftAloneWhereTheProgramWantsIt) {
  EXPECT_EQ(run("quit-alone").status, 128 + SIGQUIT);
  EXPECT_EQ(run("quit-own-handler").status, 77);
  const Environment off("FAIRLEAD_DEBUG", "schedtrace=0,nosigquit");
  EXPECT_EQ(run("quit").status, 128 + SIGQUIT);
}

// D 65, Go's TestRecursivePanic and its kin.
TEST_F(DumpTest, NestedFailuresPrintAllCauses) {
  expectFatal(run("panic-in-catch"), "panic: first [recovered]\n\tpanic: second\n\ngoroutine 1 [running]:\n");
  expectFatal(run("panic-in-nested-catches"),
              "panic: second [recovered]\n\tpanic: third [recovered]\n\tpanic: (int)\n\ngoroutine 1 [");
  expectFatal(run("panic-with-nested"), "panic: cause [recovered]\n\tpanic: effect\n\ngoroutine 1 [");
  expectFatal(run("rethrown"), "panic: once\n\ngoroutine 1 [");
}

// D 65, Go's TestDoublePanic and TestPanicWhilePanicking.
TEST_F(DumpTest, AFailureWhileUnwindingTerminates) {
  expectFatal(run("panic-while-unwinding"),
              "panic: second\n\t[while another exception unwound the stack]\n\ngoroutine 1 [running]:\n");
  expectFatal(run("panic-in-what"), "panic during panic\nfatal error: panic while printing panic value\n");
}

// D 67, Go's TestPanicRace.
TEST_F(DumpTest, TheTextOfAPanicIsNotLostWhenMainReturns) {
  const Outcome outcome = run("panic-race");
  expectFatal(outcome, "panic: raced\n\ngoroutine 2 [running]:\n");
  expectIn(outcome.err, "\ncreated by goroutine 1 at ");
}

}  // namespace
}  // namespace fairlead::runtime
