// FAIRLEAD_DEBUG=stall: who keeps a P from others is shown.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

class StallTest : public RuntimeTest {
 protected:
  static Outcome run(const char* way, const char* debug) {
    const Environment options("FAIRLEAD_DEBUG", debug);
    return runProgram({PROGRAM, way});
  }

 private:
  const Environment procs_{"FAIRLEAD_MAXPROCS", "1"};
};

TEST_F(StallTest, AGoroutineThatKeepsItsPFromOthersIsShown) {
  const Outcome outcome = run("stall", "stall=5");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(std::regex_search(outcome.out,
                                std::regex(R"(STALL: goroutine 1 has kept P 0 for 5 ms while others wait\n\n)"
                                           R"(goroutine 1 \[running\]:\n\tthread \d+, P 0\n)")))
      << outcome.out;
  EXPECT_NE(outcome.out.find("stallsHere("), std::string::npos) << outcome.out;
}

TEST_F(StallTest, WhereNobodyWaitsThereIsNothingToShow) {
  const Outcome outcome = run("no-stall", "stall=1");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find("computesAlone"), std::string::npos) << outcome.err;
}

TEST_F(StallTest, NothingIsWatchedUnlessAsked) { EXPECT_EQ(run("no-stall", "stall=0").err, ""); }

}  // namespace
}  // namespace fairlead::runtime
