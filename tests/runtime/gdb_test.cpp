// runtime/gdb.py, on a live process and on a core file.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

namespace fs = std::filesystem;

// In its directory a program that dies leaves a core file.
class GdbTest : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    setenv("FAIRLEAD_TRACEBACK", "crash", 1);
    setenv("DEBUGINFOD_URLS", "", 1);
    std::string name = testing::TempDir() + "gdb-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    fs::current_path(directory_);
  }
  void TearDown() override {
    unsetenv("FAIRLEAD_TRACEBACK");
    fs::current_path("/");
    fs::remove_all(directory_);
    RuntimeTest::TearDown();
  }

  // gdb() is what gdb prints for `commands`, with the script loaded.
  static std::string gdb(std::vector<std::string> commands, const std::vector<std::string>& target) {
    std::vector<std::string> argv = {"/usr/bin/gdb", "-q", "-nx", "-batch", "-iex", "source " SCRIPT};
    for (std::string& command : commands) {
      argv.emplace_back("-ex");
      argv.push_back(std::move(command));
    }
    argv.insert(argv.end(), target.begin(), target.end());
    const Outcome outcome = runProgram(argv);
    return outcome.out + outcome.err;
  }

  static void expectIn(const std::string& text, const std::string& pattern) {
    EXPECT_TRUE(std::regex_search(text, std::regex(pattern))) << pattern << "\n in \n" << text;
  }

  // The two goroutines of the program, both parked.
  static void expectGoroutines(const std::string& text) {
    expectIn(
        text,
        R"(\n  1 \[chan receive\] [^\n]*\n  2 \[chan receive\] [^\n]*, created by goroutine 1 at [^\n]*makesAGoroutine)");
    expectIn(text,
             R"(goroutine 1 \[chan receive\]:\n#1 [^]*in [^\n]*waitsHere[^]*in main \(\)[^]*goroutine 2 )");
    expectIn(text, R"(goroutine 2 \[chan receive\]:\n#1 [^]*in [^\n]*waitsHere[^]*in fairleadEntry )");
    EXPECT_EQ(text.find("corrupt stack"), std::string::npos) << text;
  }

  fs::path directory_;
};

const std::vector<std::string> kLook = {"info goroutines", "goroutine all bt"};

TEST_F(GdbTest, ParkedGoroutinesOfALiveProcessAreShown) {
  std::vector<std::string> commands = {"run"};
  commands.insert(commands.end(), kLook.begin(), kLook.end());
  expectGoroutines(gdb(commands, {"--args", PROGRAM, "deadlock"}));
}

// G 135.
TEST_F(GdbTest, ParkedGoroutinesOfACoreFileAreShown) {
  std::string pattern;
  std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
  if (pattern.find_first_of("|/%") != std::string::npos)
    GTEST_SKIP() << "cores do not stay here: " << pattern;
  rlimit before{};
  getrlimit(RLIMIT_CORE, &before);
  const rlimit all{.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_CORE, &all);
  runProgram({PROGRAM, "deadlock"});
  setrlimit(RLIMIT_CORE, &before);
  const fs::directory_iterator files(directory_);
  ASSERT_NE(files, fs::directory_iterator()) << "no core file";
  expectGoroutines(gdb(kLook, {PROGRAM, files->path()}));
}

TEST_F(GdbTest, GoroutinesOnThreadsAreShownThere) {
  const std::string text =
      gdb({"run", "info goroutines", "goroutine all bt"}, {"--args", PROGRAM, "quit-busy"});
  expectIn(text, R"(\n\* 1 \[running\] thread \d+)");
  expectIn(text, R"(\[chan receive, locked to thread\] thread \d+, created by goroutine 1 at )");
  expectIn(text, R"(goroutine \d+ \[chan receive\]:\n#0 [^]*in [^\n]*waitsLocked)");
  expectIn(text, R"(goroutine \d+ \[syscall\]:\n#0 [^]*in [^\n]*blocksHere)");
}

TEST_F(GdbTest, ARequestThatMakesNoSenseIsRefused) {
  expectIn(gdb({"run", "goroutine 99 bt"}, {"--args", PROGRAM, "deadlock"}), "no goroutine 99");
  expectIn(gdb({"goroutine bt"}, {PROGRAM}), "usage: goroutine");
  expectIn(gdb({"info goroutines"}, {"/bin/true"}), "no fairleadLayout");
}

}  // namespace
}  // namespace fairlead::runtime
