// Executing a plugin that is another file: what it gets, what it says, and how it may misbehave.
#include <gtest/gtest.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "netns/fd.h"
#include "plugin/delegate.h"
#include "plugin/error.h"
#include "runtime/runtime.h"
#include "tests/plugin/command.h"

namespace fairlead::plugin {
namespace {

class ExecTest : public testing::Test {
 protected:
  void SetUp() override { descriptors_ = descriptors(); }
  void TearDown() override {
    ::unsetenv("FAIRLEAD_EXEC_TIMEOUT");
    EXPECT_EQ(descriptors(), descriptors_) << "a descriptor was left open";
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child was not reaped";
    EXPECT_EQ(errno, ECHILD);
  }

  // keepDescriptors() takes those that are open now for what is to be left.
  void keepDescriptors() { descriptors_ = descriptors(); }

  std::string script(const std::string& text) const {
    return dir.write("plugin", "#!/bin/sh\n" + text + "\n", 0755);
  }
  std::string exec(const std::string& text, std::string_view input = "{}",
                   const Environment& env = {}) const {
    return execPlugin(script(text), env, input);
  }
  // failure() is "code msg; details" of a plugin that has to fail.
  std::string failure(const std::string& text) const {
    try {
      exec(text);
      return "";
    } catch (const CniError& error) {
      return std::to_string(static_cast<unsigned>(error.code())) + " " + error.what();
    }
  }
  // ended() waits for the process whose id is in a file, `timeoutMs` at most.
  bool ended(const std::string& pidFile, int timeoutMs) const {
    const long pid = std::stol(dir.read(pidFile));
    const netns::Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process) return errno == ESRCH;
    pollfd entry{process.get(), POLLIN, 0};
    return ::poll(&entry, 1, timeoutMs) == 1;
  }

  test::TempDir dir;

 private:
  static size_t descriptors() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
  }
  size_t descriptors_ = 0;
};

TEST_F(ExecTest, InputArrivesByteForByte) {
  std::string input(200'000, 'x');
  input += std::string_view("\0\n\xFF", 3);
  EXPECT_EQ(exec("cat", input), input);
}

TEST_F(ExecTest, InputNeedNotBeRead) { EXPECT_EQ(exec("echo done", std::string(1'000'000, 'x')), "done\n"); }

TEST_F(ExecTest, EnvironmentIsOursWithTheCallsVariables) {
  ::setenv("CNI_ARGS", "IP=1.2.3.4", 1);
  ::setenv("TRACEPARENT", "00-1-2-03", 1);
  const Environment env{.command = "ADD",
                        .containerId = "c1",
                        .netns = "/n",
                        .ifname = "eth0",
                        .args = {},
                        .path = "/p",
                        .netnsOverride = {}};
  const std::string seen = exec("env | grep -E '^(CNI_|TRACEPARENT)' | sort", "", env);
  ::unsetenv("CNI_ARGS");
  ::unsetenv("TRACEPARENT");
  EXPECT_EQ(seen,
            "CNI_COMMAND=ADD\nCNI_CONTAINERID=c1\nCNI_IFNAME=eth0\nCNI_NETNS=/n\nCNI_PATH=/"
            "p\nTRACEPARENT=00-1-2-03\n");
}

TEST_F(ExecTest, OnlyTheStandardStreamsAreInherited) {
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);          // what this test has inherited itself
  EXPECT_EQ(exec("ls /proc/$$/fd"), "0\n1\n10\n2\n");  // 10 is the script
}

TEST_F(ExecTest, SignalsAreAtTheirDefaults) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const std::string ignored = exec("awk '/SigIgn/ {print $2}' /proc/self/status");
  const std::string blocked = exec("awk '/SigBlk/ {print $2}' /proc/self/status");
  std::signal(SIGPIPE, before);
  // glibc's posix_spawn ignores the two signals that it keeps for itself, 32 and 33.
  EXPECT_EQ(std::stoull(ignored, nullptr, 16) & 0x7FFF'FFFF, 0U);
  EXPECT_EQ(std::stoull(blocked, nullptr, 16), 0U);
}

TEST_F(ExecTest, ChildsMessagesAreForwardedOnSuccessOnly) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(exec("echo hint >&2; echo {}"), "{}\n");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "hint\n");
  testing::internal::CaptureStderr();
  EXPECT_NE(failure("echo hint >&2; echo '{\"code\":5}'; exit 1"), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(ExecTest, FailuresFollowTheReferencesTable) {
  EXPECT_EQ(failure(R"(echo '{"code":11,"msg":"later","details":"much"}'; exit 1)"), "11 later; much");
  EXPECT_EQ(failure(R"(echo '{"code":11,"msg":"later"}'; echo noise >&2; exit 1)"), "11 later");
  EXPECT_EQ(failure("exit 3"), "0 netplugin failed with no error message: exit status 3");
  EXPECT_EQ(failure("echo 'no \"way\"' >&2; exit 1"), R"(0 netplugin failed: "no \"way\"\n": exit status 1)");
  EXPECT_EQ(failure("echo garbage; exit 1"),
            R"(0 netplugin failed but error parsing its diagnostic message "garbage\n": )"
            "invalid character 'g' looking for beginning of value");
  EXPECT_EQ(failure(R"(echo '{"code":-1}'; exit 1)"),
            R"(0 netplugin failed but error parsing its diagnostic message "{\"code\":-1}\n": )"
            "json: cannot unmarshal number -1 into Go struct field Error.code of type uint");
  EXPECT_EQ(failure("kill -9 $$"), "0 netplugin failed with no error message: signal: killed");
  EXPECT_EQ(failure("kill -TERM $$"), "0 netplugin failed with no error message: signal: terminated");
}

TEST_F(ExecTest, AFailureIsSeenThoughTheCallerIgnoresItsChildren) {
  std::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(failure("exit 3"), "0 netplugin failed with no error message: exit status 3");
}

TEST_F(ExecTest, WhatCannotBeExecutedSaysSo) {
  const std::string missing = dir / "missing";
  const std::string text = dir.write("text", "{}", 0644);
  for (const auto& [path, why] :
       {std::pair{missing, "no such file or directory"}, {text, "permission denied"}}) {
    try {
      execPlugin(path, {}, "{}");
      FAIL() << path;
    } catch (const CniError& error) {
      EXPECT_EQ(error.code(), Code::Unknown);
      EXPECT_EQ(error.msg(), "netplugin failed with no error message: fork/exec " + path + ": " + why);
    }
  }
}

TEST_F(ExecTest, ABusyFileIsTriedAgain) {
  // With a second goroutine children are waited for in the poller, whose own descriptors stay.
  runtime::go([] {});
  exec("echo {}");
  keepDescriptors();
  const std::string path = script("echo {}");
  const int writer = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  runtime::go([writer] { ::close(writer); });
  EXPECT_EQ(execPlugin(path, {}, "{}"), "{}\n");
}

TEST_F(ExecTest, OneThatHangsIsKilledWithItsChildren) {
  // On a busy machine a second may be too short for the script to start its child.
  for (int seconds = 1; seconds <= 16 && dir.read("pid").empty(); seconds *= 4) {
    ::setenv("FAIRLEAD_EXEC_TIMEOUT", std::to_string(seconds).c_str(), 1);
    EXPECT_EQ(failure("sleep 1000 & echo $! >" + dir / "pid" + "; wait"),
              "999 plugin " + dir / "plugin" + " did not finish within " + std::to_string(seconds) +
                  " seconds and was killed");
  }
  EXPECT_TRUE(ended("pid", 10'000));
}

TEST_F(ExecTest, OneThatPrintsWithoutEndIsKilled) {
  EXPECT_EQ(failure("yes"), "999 plugin " + dir / "plugin" + " printed more than 4 MiB and was killed");
  EXPECT_EQ(failure("yes >&2"), "999 plugin " + dir / "plugin" + " printed more than 4 MiB and was killed");
}

TEST_F(ExecTest, AGrandchildThatHoldsThePipesIsNotWaitedFor) {
  EXPECT_EQ(exec("sleep 1000 & echo $! >" + dir / "pid" + "; echo {}"), "{}\n");
  EXPECT_FALSE(ended("pid", 0));  // it may be a daemon that the plugin wants
  ::kill(static_cast<pid_t>(std::stol(dir.read("pid"))), SIGKILL);
}

TEST_F(ExecTest, OneThatClosesItsOutputIsStillWaitedFor) {
  EXPECT_EQ(exec("echo {}; exec >&- 2>&-; sleep 0.1; touch " + dir / "done"), "{}\n");
  EXPECT_TRUE(std::filesystem::exists(dir / "done"));
}

}  // namespace
}  // namespace fairlead::plugin
