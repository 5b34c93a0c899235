// BlockingSection: what the others do meanwhile, and that the goroutine comes back whole.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using SyscallTest = RuntimeTest;

struct Pipe {
  std::array<int, 2> fds{};
  Pipe() { EXPECT_EQ(pipe2(fds.data(), O_CLOEXEC), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(fds[0]);
    close(fds[1]);
  }
  // read() blocks the thread until put() has been called by somebody.
  char read() const {
    char byte = 0;
    const BlockingSection blocking;
    EXPECT_EQ(::read(fds[0], &byte, 1), 1);
    return byte;
  }
  void put(char byte) const { EXPECT_EQ(::write(fds[1], &byte, 1), 1); }
};

// More threads block in the kernel than there are Ps, until one that cannot run without their Ps lets them
// go.
TEST_F(SyscallTest, TheOthersRunWhileMoreThreadsBlockThanThereArePs) {
  const int blocked = 2 * maxProcs() + 1;
  const Pipe pipe;
  std::atomic<int> entered{0};
  WaitGroup group;
  for (int i = 0; i < blocked; ++i) {
    group.go([&] {
      ++entered;
      EXPECT_EQ(pipe.read(), 'x');
    });
  }
  while (entered < blocked) gosched();
  for (int i = 0; i < blocked; ++i) {
    gosched();
    pipe.put('x');
  }
  group.wait();
  EXPECT_EQ(entered, blocked);
}

// The P is taken from a section that began when nothing waited: work turned up later.
TEST_F(SyscallTest, WorkThatTurnsUpLaterGetsThePOfABlockedThread) {
  const Pipe pipe;
  const Chan<int> go1;
  WaitGroup group;
  std::atomic<int> passed{0};
  for (int i = 0; i < maxProcs(); ++i) {
    group.go([&] { passed += pipe.read() == 'y' ? 1 : 0; });
  }
  group.go([&, go1] {
    go1.receive();
    for (int i = 0; i < maxProcs(); ++i) pipe.put('y');
  });
  go1.send(1);
  group.wait();
  EXPECT_EQ(passed, maxProcs());
}

TEST_F(SyscallTest, ASleeperWakesWhileAllPsAreBlocked) {
  const Pipe pipe;
  WaitGroup group;
  group.go([&] {
    sleep(std::chrono::milliseconds(2));
    for (int i = 0; i < maxProcs(); ++i) pipe.put('z');
  });
  std::atomic<int> passed{0};
  for (int i = 0; i < maxProcs(); ++i) {
    group.go([&] { passed += pipe.read() == 'z' ? 1 : 0; });
  }
  group.wait();
  EXPECT_EQ(passed, maxProcs());
}

TEST_F(SyscallTest, ErrnoComesOutOfTheSection) {
  WaitGroup group;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    group.go([&wrong] {
      for (int k = 0; k < 500; ++k) {
        {
          const BlockingSection blocking;
          ::close(-1);
        }
        if (errno != EBADF) ++wrong;
        gosched();
      }
    });
  }
  group.wait();
  EXPECT_EQ(wrong, 0);
}

TEST_F(SyscallTest, SectionsNest) {
  WaitGroup group;
  group.go([] {});
  const int thread = [] {
    const BlockingSection outer;
    const BlockingSection inner;
    return static_cast<int>(gettid());
  }();
  group.wait();
  EXPECT_GT(thread, 0);
}

TEST_F(SyscallTest, ALockedGoroutineComesBackToItsThread) {
  WaitGroup group;
  std::atomic<bool> stop{false};
  for (int i = 0; i < maxProcs() + 1; ++i) {
    group.go([&stop] {
      while (!stop) gosched();
    });
  }
  bool same = true;
  lockOSThread();
  const int thread = threadId();
  for (int i = 0; i < 200; ++i) {
    {
      const BlockingSection blocking;
      ::usleep(50);
    }
    same = same && threadId() == thread;
  }
  unlockOSThread();
  stop = true;
  group.wait();
  EXPECT_TRUE(same);
}

}  // namespace
}  // namespace fairlead::runtime
