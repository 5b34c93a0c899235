// Whole programs: what they print and how they end, compared with what Go prints.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "runtime/runtime.h"
#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

constexpr int kFatal = 2;

class ProgramTest : public RuntimeTest {
 protected:
  static Outcome run(const std::string& way) { return runProgram({PROGRAM, way}); }

  static Outcome initialised(const std::string& what) {
    const Environment environment("FAIRLEAD_TEST_INIT", what.c_str());
    return run("after-init");
  }

  // A fatal program prints `head` first, and exits with 2.
  static void expectFatal(const std::string& way, const std::string& head) {
    const Outcome outcome = run(way);
    EXPECT_EQ(outcome.err.substr(0, head.size()), head) << outcome.err;
    EXPECT_EQ(outcome.status, kFatal) << outcome.err;
  }

  // A checking program prints lines that begin with "ok:" and exits with 0.
  static void expectAllOk(const Outcome& outcome) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("ok:"), std::string::npos);
    EXPECT_EQ(outcome.out.find("WRONG"), std::string::npos) << outcome.out;
  }
};

TEST_F(ProgramTest, WhatGoMainReturnsIsTheExitStatus) { EXPECT_EQ(run("status").status, 7); }

TEST_F(ProgramTest, StandardOutputIsFlushedAtTheEnd) {
  EXPECT_EQ(run("print").out, "printed without a newline");
}

TEST_F(ProgramTest, TheEndOfMainDoesNotWaitForOthers) {
  const Outcome outcome = run("others");
  EXPECT_EQ(outcome.out, "ends\n");
  EXPECT_EQ(outcome.status, 3);
}

// Seeds 61.
TEST_F(ProgramTest, AnyGoroutineMayEndTheProcess) {
  const Outcome outcome = run("exit-from-goroutine");
  EXPECT_EQ(outcome.out, "leaves");
  EXPECT_EQ(outcome.status, 5);
}

TEST_F(ProgramTest, AProgramWithoutGoroutinesHasOneThread) { expectAllOk(run("alone")); }

TEST_F(ProgramTest, ADeadlockOfMainAloneIsReported) {
  expectFatal("deadlock",
              "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n");
}

TEST_F(ProgramTest, ADeadlockNamesWhatEachGoroutineWaitsFor) {
  const Outcome outcome = run("deadlock-many");
  EXPECT_TRUE(outcome.err.starts_with("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 ["))
      << outcome.err;
  for (const char* reason :
       {"[sync.WaitGroup.Wait]:", "[chan receive]:", "[chan send (nil chan)]:", "[sync.Mutex.Lock]:"}) {
    EXPECT_NE(outcome.err.find(reason), std::string::npos) << reason << " in " << outcome.err;
  }
  EXPECT_EQ(outcome.status, kFatal);
}

TEST_F(ProgramTest, ADeadlockOfLockedGoroutinesIsReported) {
  expectFatal("deadlock-locked",
              "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive, locked to "
              "thread]:\n");
  expectFatal("deadlock-locked-child", "fatal error: all goroutines are asleep - deadlock!\n");
}

TEST_F(ProgramTest, ASleeperKeepsADeadlockFromBeingReportedUntilItHasGone) {
  expectFatal("deadlock-after-sleep", "fatal error: all goroutines are asleep - deadlock!\n");
}

TEST_F(ProgramTest, AStoppedTimerHidesNoDeadlock) {
  expectFatal("deadlock-after-stop", "fatal error: all goroutines are asleep - deadlock!\n");
}

// D 59, Go's TestNetpollDeadlock.
TEST_F(ProgramTest, WaitingForIOIsNoDeadlock) {
  const Outcome outcome = run("netpoll-deadlock");
  EXPECT_EQ(outcome.out, "ok: set\nok: woken\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(ProgramTest, AfterGoexitOfMainTheOthersGoOnUntilNoneIsLeft) {
  const Outcome outcome = run("main-goexit");
  EXPECT_EQ(outcome.out, "child done\n");
  EXPECT_EQ(outcome.err.find("fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"), 0U)
      << outcome.err;
  EXPECT_EQ(outcome.status, kFatal);
}

TEST_F(ProgramTest, GoexitOfALockedMainWedgesTheStartupThread) {
  const Outcome outcome = run("main-goexit-locked");
  EXPECT_EQ(outcome.out, "ok: the startup thread is still there\n");
  EXPECT_EQ(outcome.err.find("fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"), 0U)
      << outcome.err;
  EXPECT_EQ(outcome.status, kFatal);
}

TEST_F(ProgramTest, AnExceptionThatLeavesAGoroutineIsAPanic) {
  expectFatal("panic-main", "panic: boom\n\ngoroutine 1 [running]:\n");
  expectFatal("panic-int", "panic: (int)\n\ngoroutine 1 [running]:\n");
  expectFatal("panic-closed", "panic: send on closed channel\n\ngoroutine 1 [running]:\n");
  expectFatal("panic-child", "panic: child boom\n\ngoroutine ");
}

TEST_F(ProgramTest, APanicDoesNotUnwindTheStackThatThrew) {
  const Outcome outcome = run("panic-keeps-the-stack");
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.status, kFatal);
}

// D 54, Go's TestInitDeadlock.
TEST_F(ProgramTest, ADeadlockInAnInitialiserIsReported) {
  const Outcome outcome = initialised("deadlock");
  EXPECT_TRUE(
      outcome.err.starts_with("fatal error: all goroutines are asleep - deadlock!\n\n"
                              "goroutine 1 [chan receive (nil chan), locked to thread]:\n"))
      << outcome.err;
  EXPECT_EQ(outcome.status, kFatal);
}

TEST_F(ProgramTest, InitialisersRunOnTheStartupThreadWhateverTheyUnlock) {
  expectAllOk(initialised("unlock"));
  expectAllOk(initialised("lock"));
}

// D 55 in an initialiser, with Go's TestGoexitInInit.
TEST_F(ProgramTest, GoexitInAnInitialiserEndsMain) {
  const Outcome outcome = initialised("goexit");
  EXPECT_EQ(outcome.err.find("fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"), 0U)
      << outcome.err;
  EXPECT_EQ(outcome.status, kFatal);
}

// D 64, Go's TestG0StackOverflow.
TEST_F(ProgramTest, AnOverflowOfASchedulerStackIsNamed) {
  expectFatal("scheduler-overflow", "fatal error: stack overflow on a scheduler stack\n");
}

// B 33, Go's TestLockRankPartialOrder: ranks are numbers, so their order has no circle.
TEST_F(ProgramTest, LocksTakenInTheWrongOrderAreFound) {
  const Outcome outcome = run("lock-order");
  EXPECT_EQ(outcome.out, "ok: the right order, released in any\n");
  EXPECT_EQ(outcome.err.find("fatal error: lock ordering problem\n"), 0U) << outcome.err;
  EXPECT_EQ(outcome.status, kFatal);
}

// D 66, Go's TestPanicDeadlockGosched and TestPanicDeadlockSyscall.
TEST_F(ProgramTest, CleanUpMayParkAndBlock) { expectAllOk(run("park-while-unwinding")); }

// D 56 to 58, Go's TestPanicAfterGoexit, TestGoexitInPanic, TestRecoveredPanicAfterGoexit. An exception that
// leaves a destructor while another unwinds ends a C++ program: it does so with the text of a panic.
TEST_F(ProgramTest, PanicAndGoexitMeet) {
  expectFatal("panic-during-goexit", "panic: ");
  expectFatal("goexit-during-panic", "panic: ");
  expectAllOk(run("recovered-during-goexit"));
}

// C 44, Go's TestThreadExhaustion.
TEST_F(ProgramTest, TooManyThreadsEndTheProgram) {
  expectFatal("thread-exhaustion",
              "runtime: program exceeds 10-thread limit\nfatal error: thread exhaustion\n");
}

TEST_F(ProgramTest, WaitingForAForeignThreadIsNoDeadlock) { expectAllOk(run("foreign-thread-wakes-late")); }

TEST_F(ProgramTest, AsynchronousPreemptionTiesUpABoundedNumberOfThreads) { expectAllOk(run("async-bound")); }

TEST_F(ProgramTest, MisuseIsFatalInGosWords) {
  expectFatal("go-nil", "fatal error: go of nil func value\n\ngoroutine 1 [running]:\n");
  expectFatal("go-nil-pointer", "fatal error: go of nil func value\n");
  expectFatal("unlock-unlocked", "fatal error: sync: unlock of unlocked mutex\n\ngoroutine 1 [running]:\n");
  expectFatal("swallowed", "fatal error: goexit: swallowed by a catch (...) that does not rethrow\n");
  expectFatal("foreign-thread",
              "fatal error: runtime: called before main or on a thread that is not the runtime's\n");
  expectFatal("inside-blocking-section", "fatal error: runtime: goroutine parks inside a BlockingSection\n");
}

TEST_F(ProgramTest, AStackOverflowNamesTheGoroutine) {
  const Outcome outcome = run("overflow");
  EXPECT_EQ(outcome.err.find("runtime: goroutine stack exceeds "), 0U) << outcome.err;
  EXPECT_NE(outcome.err.find("-byte limit\n"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("\nfatal error: stack overflow\n\ngoroutine 2 [running]:\n"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(outcome.status, kFatal);
}

TEST_F(ProgramTest, OtherFaultsAreLeftToTheSystem) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  EXPECT_NE(run("bad-pointer").err.find("SEGV"), std::string::npos);
#else
  EXPECT_EQ(run("bad-pointer").status, 128 + SIGSEGV);
#endif
}

TEST_F(ProgramTest, AGoroutineThatEndsLockedOnTheStartupThreadWedgesIt) {
  expectAllOk(run("wedge-startup-thread"));
}

TEST_F(ProgramTest, ALockFromALibrarysStaticInitialisationPinsMain) {
  expectAllOk(runProgram({INIT_LOCK_PROGRAM, "pins"}));
}

TEST_F(ProgramTest, AThreadThatEndedWithItsGoroutineIsNotMetAgain) {
  expectAllOk(runProgram({INIT_LOCK_PROGRAM, "child-exits"}));
}

}  // namespace
}  // namespace fairlead::runtime
