// No thread is ever born in the network namespace that a locked goroutine has entered. Needs root for
// unshare.
#include <gtest/gtest.h>

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

ino_t namespaceOf(int thread) {
  struct stat info {};
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/ns/net";
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

class NetnsTest : public RuntimeTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to create a network namespace";
    RuntimeTest::SetUp();
    home_ = namespaceOf(threadId());  // the startup thread may be wedged in another, by an earlier test
  }

  // strangers() are the threads, but `except`, that are not in the namespace the process was started in.
  std::set<int> strangers(int except) const {
    std::set<int> found;
    for (const int thread : osThreads()) {
      const ino_t ns = namespaceOf(thread);
      if (thread != except && ns != 0 && ns != home_) found.insert(thread);
    }
    return found;
  }

  ino_t home_ = 0;
};

TEST_F(NetnsTest, ChildrenOfALockedGoroutineRunInTheNamespaceOfTheProcess) {
  WaitGroup group;
  std::set<int> strange;
  std::atomic<int> astray{0};
  group.go([&] {
    lockOSThread();
    startTemplateThread();
    const int self = threadId();
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_NE(namespaceOf(self), home_);
    WaitGroup children;
    for (int i = 0; i < 50; ++i) {
      children.go([&] {
        for (int k = 0; k < 5; ++k) {
          if (namespaceOf(threadId()) != home_) ++astray;
          {
            const BlockingSection blocking;  // makes the scheduler want more threads
            ::usleep(200);
          }
          sleep(100us);
        }
      });
    }
    children.wait();
    strange = strangers(self);
    // Ends locked: the thread dies with its namespace.
  });
  group.wait();
  EXPECT_EQ(astray, 0);
  EXPECT_TRUE(strange.empty());
  // The startup thread cannot die; if the goroutine was on it, it stays behind, wedged.
  EXPECT_TRUE(eventually([this] { return strangers(getpid()).empty(); }));
}

// golang/go#28979: a tainted thread that ends while goroutines wait and no thread is idle must not make the
// new one.
TEST_F(NetnsTest, AThreadThatEndsTaintedDoesNotMakeItsSuccessor) {
  for (int round = 0; round < 20; ++round) {
    WaitGroup group;
    std::atomic<int> astray{0};
    const Chan<int> tainted;
    group.go([tainted] {
      lockOSThread();
      startTemplateThread();
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      tainted.send(1);
    });
    tainted.receive();
    for (int i = 0; i < 20; ++i) {
      group.go([&] {
        const BlockingSection blocking;
        ::usleep(100);
        if (namespaceOf(static_cast<int>(gettid())) != home_) ++astray;
      });
    }
    group.wait();
    ASSERT_EQ(astray, 0);
  }
  EXPECT_TRUE(eventually([this] { return strangers(getpid()).empty(); }));
}

}  // namespace
}  // namespace fairlead::runtime
