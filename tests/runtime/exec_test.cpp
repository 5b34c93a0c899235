// Child processes: what they get, what is taken from them, how they end, and what they leave behind.
#include "runtime/exec.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/stack.h"
#include "runtime/sync.h"
#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;
using End = ProcessState::End;

class ExecTest : public RuntimeTest {
 protected:
  // Brings the poller up, which stays and has files of its own.
  static void SetUpTestSuite() {
    WaitGroup group;
    group.go([] { run({.path = "/bin/true"}); });
    group.wait();
    EXPECT_TRUE(eventually([] { return numGoroutine() == 1; }));
  }
  void TearDown() override {
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child was not reaped";
    EXPECT_EQ(errno, ECHILD);
    RuntimeTest::TearDown();
  }
};

Command shell(const std::string& script) { return {.path = "/bin/sh", .args = {"sh", "-c", script}}; }

// lives() tells of a process that is no child of ours; a zombie that nobody reaps does not live.
bool lives(const std::string& pid) {
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, std::stoi(pid), 0));
  if (handle < 0) return false;
  pollfd entry{handle, POLLIN, 0};
  const bool exited = ::poll(&entry, 1, 0) == 1;
  ::close(handle);
  return !exited;
}

TEST_F(ExecTest, OutputErrorAndStatusComeBack) {
  const ProcessState state = run(shell("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(state.out, "out\n");
  EXPECT_EQ(state.err, "err\n");
  EXPECT_EQ(state.end, End::Exited);
  ASSERT_TRUE(WIFEXITED(state.status));
  EXPECT_EQ(WEXITSTATUS(state.status), 7);
  EXPECT_FALSE(state.success());
  EXPECT_TRUE(run({.path = "/bin/true"}).success());
}

// D 69, Go's TestSignalExitStatus.
TEST_F(ExecTest, ADeathBySignalIsTold) {
  const ProcessState state = run(shell("kill -TERM $$"));
  ASSERT_TRUE(WIFSIGNALED(state.status));
  EXPECT_EQ(WTERMSIG(state.status), SIGTERM);
}

TEST_F(ExecTest, InputArrivesByteForByteAndNeedNotBeRead) {
  std::string input(200'000, 'x');
  input += std::string_view("\0\n\xFF", 3);
  EXPECT_EQ(run({.path = "/bin/cat", .input = input}).out, input);
  EXPECT_TRUE(run({.path = "/bin/true", .input = input}).success());
}

TEST_F(ExecTest, EnvironmentAndDirectoryAreThoseAskedFor) {
  Command command = shell("echo $A; pwd");
  command.environment = {"A=1"};
  command.directory = "/proc";
  EXPECT_EQ(run(command).out, "1\n/proc\n");
}

TEST_F(ExecTest, WhatCannotBeStartedSaysWhichCallFailed) {
  for (const auto& [path, error] : {std::pair{"/nowhere", ENOENT}, {"/etc/passwd", EACCES}}) {
    try {
      const Process process({.path = path});
      ADD_FAILURE() << path;
    } catch (const ExecError& e) {
      EXPECT_EQ(e.code().value(), error);
      EXPECT_STREQ(e.call(), "fork/exec");
      EXPECT_NE(std::string(e.what()).find(path), std::string::npos);
    }
  }
}

TEST_F(ExecTest, OnlyTheStandardStreamsAreInherited) {
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);  // what this test has inherited itself
  WaitGroup group;
  for (int i = 0; i < 8; ++i) {  // each with files of its own
    group.go([] { EXPECT_EQ(run(shell("ls /proc/self/fd")).out, "0\n1\n2\n3\n"); });
  }
  group.wait();
}

TEST_F(ExecTest, SignalsAreAtTheirDefaultsAndNoneIsBlocked) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const std::string blocked = run(shell("awk '/SigBlk/ {print $2}' /proc/self/status")).out;
  const std::string ignored = run(shell("awk '/SigIgn/ {print $2}' /proc/self/status")).out;
  std::signal(SIGPIPE, before);
  EXPECT_EQ(std::stoull(blocked, nullptr, 16), 0U);
  // glibc's posix_spawn ignores the two signals that it keeps for itself, 32 and 33.
  EXPECT_EQ(std::stoull(ignored, nullptr, 16) & ~0x1'8000'0000ULL, 0U);
}

TEST_F(ExecTest, OneThatHangsIsKilledWithItsGroup) {
  Command command = shell("sleep 1000 & echo $!; wait");
  command.timeout = 300ms;
  ProcessState state;
  do {  // on a busy machine the time may be too short for the script to say which child it started
    state = run(command);
    command.timeout *= 2;
  } while (state.out.empty());
  EXPECT_EQ(state.end, End::TimedOut);
  EXPECT_FALSE(state.success());
  EXPECT_TRUE(eventually([&] { return !lives(state.out); }));
}

TEST_F(ExecTest, OneThatPrintsWithoutEndIsKilled) {
  for (const char* script : {"yes", "yes >&2"}) {
    Command command = shell(script);
    command.maxOutput = 100'000;
    const ProcessState state = run(command);
    EXPECT_EQ(state.end, End::PrintedTooMuch);
    EXPECT_LT(state.out.size() + state.err.size(), 200'000U);
  }
}

TEST_F(ExecTest, AGrandchildThatHoldsThePipesIsNotWaitedFor) {
  const ProcessState state = run(shell("sleep 1000 & echo $!"));
  EXPECT_EQ(state.end, End::Exited);
  EXPECT_TRUE(lives(state.out));
  ::kill(std::stoi(state.out), SIGKILL);
}

TEST_F(ExecTest, OneThatClosesItsOutputIsStillWaitedFor) {
  EXPECT_EQ(WEXITSTATUS(run(shell("exec >&- 2>&-; sleep 0.1; exit 5")).status), 5);
}

TEST_F(ExecTest, OneThatIsNotWaitedForIsKilled) {
  pid_t pid = 0;
  {
    const Process process(shell("sleep 1000"));
    pid = process.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(ExecTest, ManyRunAtOnceAndNobodyWaitsForAnother) {
  constexpr int kChildren = 40;
  WaitGroup group;
  std::atomic<int> good{0};
  for (int i = 0; i < kChildren; ++i) {
    group.go([&, i] {
      Command command = shell("read x; echo $x >&2; exit 3");
      command.input = std::to_string(i) + "\n";
      const ProcessState state = run(command);
      if (state.err == command.input && WEXITSTATUS(state.status) == 3) ++good;
    });
  }
  group.wait();
  EXPECT_EQ(good, kChildren);
}

TEST_F(ExecTest, WhoWaitsForAChildHoldsNoThread) {
  constexpr int kChildren = 20;
  const std::string fifo = testing::TempDir() + "exec_test." + std::to_string(getpid());
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const int gate = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC);
  WaitGroup group;
  for (int i = 0; i < kChildren; ++i) group.go([&] { EXPECT_TRUE(run(shell("read x <" + fifo)).success()); });
  struct Count {
    int waiting = 0;
    int blocked = 0;
  };
  EXPECT_TRUE(eventually([] {
    Count count;
    forEachG(
        [](G* gp, void* arg) {
          auto* counts = static_cast<Count*>(arg);
          counts->waiting += gp->waitReason == WaitReason::IOWait ? 1 : 0;
          counts->blocked += gp->status == GStatus::Syscall ? 1 : 0;
        },
        &count);
    return count.waiting == kChildren && count.blocked == 0;
  }));
  for (int i = 0; i < kChildren; ++i) EXPECT_EQ(::write(gate, "\n", 1), 1);
  group.wait();
  ::close(gate);
  ::unlink(fifo.c_str());
}

// D 71. A program's own streams may be closed: the child's must not come in each other's way.
TEST_F(ExecTest, AProgramWithClosedStreamsHasChildrenWithOpenOnes) {
  const Outcome outcome = runProgram({CITIZEN, "exec-without-streams"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

// The directory stands for all that a thread has of its own: see born_clean_test.cpp.
TEST_F(ExecTest, AChildOfALockedGoroutineStartsFromACleanThreadUnlessAskedOtherwise) {
  const std::string home = std::filesystem::current_path();
  ASSERT_NE(home, "/proc");
  WaitGroup group;
  startTemplateThread();
  lockOSThread();  // the startup thread would be wedged by whoever ended on it
  for (int i = 0; i < 4; ++i) {
    group.go([&] {
      lockOSThread();
      if (threadId() == getpid() || unshare(CLONE_FS) != 0) return unlockOSThread();
      ASSERT_EQ(chdir("/proc"), 0);
      Command command = shell("pwd");
      EXPECT_EQ(run(command).out, home + "\n");
      command.fromCallersThread = true;
      EXPECT_EQ(run(command).out, "/proc\n");
    });
  }
  group.wait();
  unlockOSThread();
}

TEST_F(ExecTest, AStatusThatIsGoneIsAnError) {
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  EXPECT_THROW(run({.path = "/bin/true"}), ExecError);
  std::signal(SIGCHLD, before);
}

// ---- fork() by itself --------------------------------------------------------------------------

#if !defined(__SANITIZE_THREAD__)  // which ends such a child by itself
TEST_F(ExecTest, TheChildOfAForkMayCallExec) {
  const Outcome outcome = runProgram({CITIZEN, "fork-exec"});
  EXPECT_EQ(outcome.out, "from the child\n") << outcome.err;
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(ExecTest, TheChildOfAForkMayNotUseTheScheduler) {
  for (const char* way : {"fork-park", "fork-go", "fork-block"}) {
    const Outcome outcome = runProgram({CITIZEN, way});
    EXPECT_EQ(
        outcome.err.find("fatal error: runtime: used in the child of a fork, where only exec may follow\n"),
        0U)
        << way << ": " << outcome.err;
    EXPECT_EQ(outcome.status, 2) << way;
  }
}
#endif

}  // namespace
}  // namespace fairlead::runtime
