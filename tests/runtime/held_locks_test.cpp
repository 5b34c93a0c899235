// Standard locks held over a park are reported.
#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <string>

#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

class HeldLocksTest : public RuntimeTest {
 protected:
  static Outcome run(const char* way) { return runProgram({PROGRAM, way}); }
};

// reports() counts the lines that accuse a goroutine.
int reports(const std::string& err) {
  static const std::regex line(
      "runtime: goroutine [0-9]+ parks while its thread holds 1 pthread lock, the last at 0x[0-9a-f]+\n\n"
      "goroutine [0-9]+ \\[[^\n]*\\]:\n");
  return static_cast<int>(std::distance(std::sregex_iterator(err.begin(), err.end(), line), {}));
}

TEST_F(HeldLocksTest, LocksThatAreReleasedInTimeAreNotReported) {
  const Outcome outcome = run("clean");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(HeldLocksTest, APlaceThatParksWithAMutexHeldIsReportedOnceWithABacktrace) {
  const Outcome outcome = run("once");
  EXPECT_EQ(reports(outcome.err), 1) << outcome.err;
  EXPECT_NE(outcome.err.find("parkHolding"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(HeldLocksTest, ASharedLockIsReportedToo) {
  const Outcome outcome = run("reader");
  EXPECT_EQ(reports(outcome.err), 1) << outcome.err;
  EXPECT_NE(outcome.err.find("[sleep"), std::string::npos) << outcome.err;
}

TEST_F(HeldLocksTest, ALockedGoroutineMayHoldWhatItLikes) { EXPECT_EQ(run("locked").err, ""); }

TEST_F(HeldLocksTest, OnRequestItIsFatal) {
  setenv("FAIRLEAD_DEBUG", "nosigquit,heldlocks=fatal", 1);
  const Outcome outcome = run("once");
  unsetenv("FAIRLEAD_DEBUG");
  EXPECT_EQ(reports(outcome.err), 1) << outcome.err;
  EXPECT_NE(outcome.err.find("fatal error: runtime: pthread lock held over a park\n"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(outcome.status, 2);
}

}  // namespace
}  // namespace fairlead::runtime
