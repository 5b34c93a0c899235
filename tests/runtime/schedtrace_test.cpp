// FAIRLEAD_DEBUG=schedtrace, beside what Go prints for the same.
#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <sstream>
#include <string>

#include "runtime/runtime.h"
#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

class SchedtraceTest : public RuntimeTest {
 protected:
  static Outcome run(const char* way, const char* debug) {
    setenv("FAIRLEAD_DEBUG", debug, 1);
    const Outcome outcome = runProgram({PROGRAM, way});
    unsetenv("FAIRLEAD_DEBUG");
    return outcome;
  }

  static bool isLine(const std::string& line) {
    static const std::regex kLine(
        R"(SCHED \d+ms: gomaxprocs=(\d+) idleprocs=\d+ threads=\d+ spinningthreads=-?\d+ needspinning=0 )"
        R"(idlethreads=\d+ runqueue=\d+ \[( \d+)+ \] schedticks=\[( \d+)+ \])");
    std::smatch match;
    return std::regex_match(line, match, kLine) && match[1] == std::to_string(maxProcs());
  }
};

TEST_F(SchedtraceTest, ALineComesInEveryInterval) {
  const Outcome outcome = run("traced", "schedtrace=10");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream lines(outcome.err);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_TRUE(isLine(line)) << line;
  EXPECT_GE(count, 3) << outcome.err;
}

TEST_F(SchedtraceTest, DetailShowsEachPAndMAndG) {
  const Outcome outcome = run("traced", "scheddetail=1,schedtrace=10");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(isLine(outcome.err.substr(0, outcome.err.find('\n')))) << outcome.err;
  EXPECT_TRUE(std::regex_search(outcome.err,
                                std::regex(R"(\n  P0: status=[a-z]+ schedtick=\d+ syscalltick=\d+ m=\d+ )"
                                           R"(runqsize=\d+\n)")))
      << outcome.err;
  EXPECT_TRUE(
      std::regex_search(outcome.err, std::regex(R"(\n  M\d+: p=-?\d+ curg=\d+ spinning=[a-z]+ lockedg=0\n)")))
      << outcome.err;
  EXPECT_TRUE(std::regex_search(outcome.err, std::regex(R"(\n  G2: status=chan receive m=0 lockedm=0\n)")))
      << outcome.err;
}

TEST_F(SchedtraceTest, NothingIsPrintedUnlessAsked) {
  EXPECT_EQ(run("traced", "").err, "");
  EXPECT_EQ(run("traced", "schedtrace=0,scheddetail=1").err, "");
}

TEST_F(SchedtraceTest, ADeadlockIsStillFound) {
  const Outcome outcome = run("deadlock", "schedtrace=1000");
  EXPECT_NE(outcome.err.find("fatal error: all goroutines are asleep - deadlock!\n"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(outcome.status, 2);
}

}  // namespace
}  // namespace fairlead::runtime
