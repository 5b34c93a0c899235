// Threads are born clean: whatever a locked goroutine does to its thread, no other thread has it. Needs root
// for unshare and setns.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/census.h"
#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

constexpr int kRounds = kThreadSanitizer ? 400 : 3000;
constexpr int kWorkers = 24;

enum class Change { SetNet, SetUts, NewNet, NewUts, Directory, Mounts };
constexpr std::array kChanges = {Change::SetNet, Change::SetUts,    Change::SetNet, Change::NewUts,
                                 Change::SetUts, Change::Directory, Change::SetNet, Change::Mounts};

void must(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

// Namespace is an open namespace file of the thread that opened it.
class Namespace {
 public:
  explicit Namespace(const char* kind)
      : fd_(open((std::string("/proc/thread-self/ns/") + kind).c_str(), O_RDONLY | O_CLOEXEC)) {
    must(fd_, "open");
  }
  ~Namespace() { close(fd_); }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

  void enter() const { must(setns(fd_, 0), "setns"); }

 private:
  int fd_;
};

// Elsewhere is a pair of namespaces to go to, made once: making a network for each round would take minutes.
struct Elsewhere {
  Namespace homeNet{"net"};
  Namespace homeUts{"uts"};
  std::unique_ptr<Namespace> net;
  std::unique_ptr<Namespace> uts;

  Elsewhere() {
    lockOSThread();
    must(unshare(CLONE_NEWNET | CLONE_NEWUTS), "unshare");
    net = std::make_unique<Namespace>("net");
    uts = std::make_unique<Namespace>("uts");
    comeHome();
    unlockOSThread();
  }
  void comeHome() const {
    homeNet.enter();
    homeUts.enter();
  }
};

class BornCleanTest : public RuntimeTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to change namespaces";
    RuntimeTest::SetUp();
    startTemplateThread();
  }
};

void change(Change how, const Elsewhere& elsewhere) {
  switch (how) {
    case Change::SetNet:
      return elsewhere.net->enter();
    case Change::SetUts:
      return elsewhere.uts->enter();
    case Change::NewNet:
      return must(unshare(CLONE_NEWNET), "unshare net");
    case Change::NewUts:
      return must(unshare(CLONE_NEWUTS), "unshare uts");
    case Change::Directory:
      must(unshare(CLONE_FS), "unshare fs");
      return must(chdir("/proc"), "chdir");
    case Change::Mounts:
      must(unshare(CLONE_FS), "unshare fs");
      return must(unshare(CLONE_NEWNS), "unshare mnt");
  }
}

// A thread that shares its directory with no other any more cannot come back to do so.
bool canComeBack(Change how) { return how != Change::Directory && how != Change::Mounts; }

// stir() makes the scheduler want threads: children to be run, a park, a call that blocks.
void stir(Census& census, std::atomic<int>& astray, int round) {
  WaitGroup children;
  for (int i = 0; i < 2; ++i) {
    children.go([&] {
      if (!census.atHome()) ++astray;
      gosched();
    });
  }
  if (round % 3 == 0) {
    const BlockingSection blocking;
    usleep(100);
  }
  if (round % 5 == 0) sleep(50us);
  children.wait();
}

// Tally is what the goroutines of a test counted.
struct Tally {
  std::atomic<int> astray{0};    // goroutines that ran on a thread that was not at home
  std::atomic<int> censuses{0};  // looks at all threads
  std::atomic<int> ended{0};     // goroutines that took a changed thread with them
  std::atomic<int> back{0};      // goroutines that brought theirs back
};

// excursion() changes the thread it runs on, and ends locked or comes back.
void excursion(Census& census, const Elsewhere& elsewhere, int round, Tally& tally) {
  lockOSThread();
  const int thread = threadId();
  const Change how =
      round % 100 == 99 ? Change::NewNet : kChanges[static_cast<size_t>(round) % kChanges.size()];
  const bool first = thread == getpid();  // cannot end, and would be wedged for the tests that follow
  if (first && !canComeBack(how)) return unlockOSThread();
  census.leaves(thread);
  change(how, elsewhere);
  stir(census, tally.astray, round);
  if (!first && (round / 8 % 2 == 0 || !canComeBack(how))) {
    ++tally.ended;
    return;
  }
  elsewhere.comeHome();
  census.returns(thread);
  ++tally.back;
  unlockOSThread();
}

TEST_F(BornCleanTest, WhateverLockedGoroutinesDoToTheirThreadsNoOtherThreadHasIt) {
  Census census;
  const Elsewhere elsewhere;
  Tally tally;
  std::atomic<bool> stop{false};
  WaitGroup watchers;
  for (int i = 0; i < 2; ++i) {
    watchers.go([&] {
      while (!stop) {
        for (const auto& [thread, at] : census.strays())
          ADD_FAILURE() << thread << " is in " << at.net << " " << at.uts << " " << at.mnt << " " << at.cwd;
        ++tally.censuses;
        sleep(200us);
        gosched();  // a sleeper comes back before those that wait: let them go first
      }
    });
  }
  std::atomic<int> next{0};
  WaitGroup workers;
  for (int i = 0; i < kWorkers; ++i) {
    workers.go([&] {
      for (int round = next++; round < kRounds; round = next++) {
        WaitGroup trip;
        trip.go([&] { excursion(census, elsewhere, round, tally); });
        trip.wait();
        if (!census.atHome()) ++tally.astray;
      }
    });
  }
  workers.wait();
  stop = true;
  watchers.wait();
  EXPECT_EQ(tally.astray, 0);
  EXPECT_GT(tally.censuses, 10);
  EXPECT_GT(tally.ended, kRounds / 4);
  EXPECT_GT(tally.back, kRounds / 8);
  EXPECT_TRUE(eventually([&] { return census.departed().empty(); }));
  EXPECT_TRUE(census.strays().empty());
}

// C 39, C 40, Go's TestLockOSThreadAvoidsStatePropagation, with a directory and with a network.
TEST_F(BornCleanTest, TheNextLockedGoroutineSeesTheOriginalState) {
  Census census;
  const Elsewhere elsewhere;
  lockOSThread();
  for (const Change how : {Change::Directory, Change::NewNet, Change::SetUts, Change::Mounts}) {
    const Chan<bool> changed;
    go([&, changed] {
      lockOSThread();
      const bool possible = threadId() != getpid();
      if (possible) {
        census.leaves(threadId());
        change(how, elsewhere);
      } else {
        unlockOSThread();
      }
      changed.send(possible);
    });
    changed.receive();
    const Chan<bool> home;
    go([&, home] {
      lockOSThread();
      const bool clean = census.atHome();
      unlockOSThread();
      home.send(clean);
    });
    EXPECT_EQ(home.receive(), true);
  }
  unlockOSThread();
  EXPECT_TRUE(eventually([&] { return census.departed().empty(); }));
}

// C 51. A tainted goroutine ends while goroutines wait for a thread and none is idle: who makes that thread?
TEST_F(BornCleanTest, GolangIssue28979) {
  Census census;
  const Elsewhere elsewhere;
  for (int round = 0; round < 50; ++round) {
    WaitGroup group;
    std::atomic<int> astray{0};
    const Chan<int> tainted;
    group.go([&, tainted] {
      lockOSThread();
      const bool first = threadId() == getpid();
      if (!first) {
        census.leaves(threadId());
        elsewhere.net->enter();
      }
      tainted.send(1);
      for (int i = 0; i < 2 * maxProcs(); ++i) {
        group.go([&] {
          if (!census.atHome()) ++astray;
          const BlockingSection blocking;  // takes an idle thread, so that the next needs a new one
          usleep(200);
        });
      }
      if (first) unlockOSThread();
    });
    tainted.receive();
    group.wait();
    ASSERT_EQ(astray, 0);
    ASSERT_TRUE(census.strays().empty());
  }
  EXPECT_TRUE(eventually([&] { return census.departed().empty(); }));
}

// C 37, C 38, and the request that Go ends such a thread at all: it is gone from the process with the
// goroutine, its namespace with it.
TEST_F(BornCleanTest, GolangIssue20395) {
  Census census;
  lockOSThread();
  for (int round = 0; round < 20; ++round) {
    const Chan<int> thread(1);
    go([&, thread] {
      lockOSThread();
      const bool first = threadId() == getpid();
      if (!first) {
        census.leaves(threadId());
        must(unshare(CLONE_NEWNET), "unshare");
      }
      thread.send(first ? 0 : threadId());
      if (first) unlockOSThread();
    });
    const int gone = *thread.receive();
    ASSERT_TRUE(eventually([&] { return gone == 0 || !osThreads().contains(gone); }));
  }
  unlockOSThread();
  EXPECT_TRUE(eventually([&] { return census.departed().empty(); }));
}

// C 52. Main, locked and tainted, calls goexit(): its thread, the process's first, is kept and never used.
TEST_F(BornCleanTest, GolangIssue34031) {
  const Outcome outcome = runProgram({CITIZEN, "goexit-of-tainted-main"});
  EXPECT_EQ(outcome.out, "ok\n");
  EXPECT_EQ(outcome.err.find("fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"), 0U)
      << outcome.err;
  EXPECT_EQ(outcome.status, 2);
}

// C 41. Two goroutines lock their threads for the first time at once, while others yield all the time.
TEST_F(BornCleanTest, GolangIssue38931) {
  constexpr int kRuns = kThreadSanitizer ? 10 : 50;
  for (int run = 0; run < kRuns; ++run) {
    const Outcome outcome = runProgram({CITIZEN, "first-locks"});
    ASSERT_EQ(outcome.out, "ok\n") << outcome.err;
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
}

}  // namespace
}  // namespace fairlead::runtime
