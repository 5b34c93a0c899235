// Goroutines wired to their thread.
#include <gtest/gtest.h>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <filesystem>
#include <limits>
#include <set>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/panic.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

using LockThreadTest = RuntimeTest;

uint32_t lockCount() { return getm()->lockedExt; }

TEST_F(LockThreadTest, LocksNest) {
  EXPECT_EQ(lockCount(), 0U);
  lockOSThread();
  lockOSThread();
  EXPECT_EQ(lockCount(), 2U);
  unlockOSThread();
  EXPECT_EQ(lockCount(), 1U);
  EXPECT_EQ(getm()->lockedg, getm()->curg);
  unlockOSThread();
  EXPECT_EQ(lockCount(), 0U);
  EXPECT_EQ(getm()->lockedg, nullptr);
  EXPECT_EQ(getm()->curg->lockedm, nullptr);
}

TEST_F(LockThreadTest, AnUnlockWithoutALockDoesNothing) {
  unlockOSThread();
  EXPECT_EQ(lockCount(), 0U);
  lockOSThread();
  EXPECT_EQ(lockCount(), 1U);
  unlockOSThread();
}

TEST_F(LockThreadTest, TooManyLocksPanicAndLeaveTheCount) {
  lockOSThread();
  constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
  getm()->lockedExt = kMost;
  try {
    lockOSThread();
    ADD_FAILURE() << "no panic";
  } catch (const Panic& panic) {
    EXPECT_STREQ(panic.what(), "LockOSThread nesting overflow");
  }
  EXPECT_EQ(lockCount(), kMost);
  getm()->lockedExt = 1;
  unlockOSThread();
}

TEST_F(LockThreadTest, TheThreadStaysOverEveryKindOfWait) {
  const Chan<int> ping;
  const Chan<int> pong;
  go([=] {
    for (const int value : ping) pong.send(value);
  });
  Mutex mutex;
  lockOSThread();
  const int thread = threadId();
  int strayed = 0;
  for (int i = 0; i < 1000; ++i) {
    ping.send(i);
    strayed += threadId() == thread ? 0 : 1;
    EXPECT_EQ(pong.receive(), i);
    strayed += threadId() == thread ? 0 : 1;
    gosched();
    strayed += threadId() == thread ? 0 : 1;
    if (i % 100 == 0) sleep(50us);
    {
      const BlockingSection blocking;
      ::close(-1);
    }
    strayed += threadId() == thread ? 0 : 1;
  }
  unlockOSThread();
  ping.close();
  EXPECT_EQ(strayed, 0);
}

TEST_F(LockThreadTest, NobodyElseRunsOnALockedThread) {
  const Chan<int> release;
  WaitGroup locked;
  std::atomic<int> thread{0};
  locked.go([&, release] {
    lockOSThread();
    thread = threadId();
    release.receive();
    unlockOSThread();
  });
  while (thread == 0) gosched();
  WaitGroup others;
  std::atomic<int> trespassers{0};
  for (int i = 0; i < 500; ++i) {
    others.go([&] {
      gosched();
      if (threadId() == thread) ++trespassers;
    });
  }
  others.wait();
  EXPECT_EQ(trespassers, 0);
  release.send(0);
  locked.wait();
}

TEST_F(LockThreadTest, ChildrenDoNotInheritTheLock) {
  lockOSThread();
  const int thread = threadId();
  WaitGroup children;
  std::atomic<int> here{0};
  std::atomic<int> locked{0};
  for (int i = 0; i < 100; ++i) {
    children.go([&] {
      if (threadId() == thread) ++here;
      if (getm()->curg->lockedm != nullptr) ++locked;
    });
  }
  children.wait();
  unlockOSThread();
  EXPECT_EQ(here, 0);
  EXPECT_EQ(locked, 0);
}

TEST_F(LockThreadTest, AfterTheUnlockTheGoroutineMovesAgain) {
  const bool canMove = maxProcs() > 1;  // with one P nothing makes a goroutine move
  std::atomic<bool> stop{false};
  WaitGroup group;
  for (int i = 0; i < 2 * maxProcs(); ++i) {
    group.go([&stop] {
      while (!stop) gosched();
    });
  }
  lockOSThread();
  const int thread = threadId();
  unlockOSThread();
  EXPECT_EQ(getm()->curg->lockedm, nullptr);
  EXPECT_TRUE(eventually([&] {
    gosched();
    return !canMove || threadId() != thread;
  }));
  stop = true;
  group.wait();
}

TEST_F(LockThreadTest, ALockedGoroutineMayYieldSleepAndEndWithoutUnlocking) {
  const Chan<int> done;
  go([done] {
    lockOSThread();
    for (int i = 0; i < 10; ++i) {
      gosched();
      sleep(100us);
    }
    done.send(1);
  });
  EXPECT_EQ(done.receive(), 1);
}

TEST_F(LockThreadTest, ALockedGoroutineSendsOverAnUnbufferedChannel) {
  const Chan<int> c;
  WaitGroup group;
  group.go([c] {
    lockOSThread();
    for (int i = 0; i < 10; ++i) c.send(i);
    unlockOSThread();
  });
  for (int i = 0; i < 10; ++i) EXPECT_EQ(c.receive(), i);
  group.wait();
}

TEST_F(LockThreadTest, TwoLockedGoroutinesPlayPingPong) {
  const Chan<int> ping;
  const Chan<int> pong;
  WaitGroup group;
  group.go([=] {
    lockOSThread();
    for (const int value : ping) pong.send(value + 1);
    unlockOSThread();
  });
  lockOSThread();
  for (int i = 0; i < 2000; ++i) {
    ping.send(i);
    ASSERT_EQ(pong.receive(), i + 1);
  }
  unlockOSThread();
  ping.close();
  group.wait();
}

// A locked goroutine whose waits are short keeps its P over them. The partner answers at once most of the
// time, so that they are; then it stops the world, needs the other P, or lets the wait become long.
TEST_F(LockThreadTest, AThreadThatKeepsItsPStandsInNobodysWay) {
  const Chan<int> ask;
  const Chan<int> answer;
  const int procs = maxProcs();
  std::atomic<int> born{0};
  go([=, &born] {
    for (const int value : ask) {
      if (value % 50 == 10) setMaxProcs(procs + 1);
      if (value % 50 == 20) setMaxProcs(procs);
      if (value % 50 == 30) {
        const int before = born;
        go([&born] { ++born; });
        while (born == before) checkpoint();
      }
      if (value % 50 == 40) sleep(100us);
      answer.send(value + 1);
    }
    answer.close();
  });
  lockOSThread();
  for (int i = 0; i < 2000; ++i) {
    ask.send(i);
    ASSERT_EQ(answer.receive(), i + 1);
  }
  unlockOSThread();
  ask.close();
  EXPECT_EQ(answer.receive(), std::nullopt);
  EXPECT_EQ(born, 40);
}

TEST_F(LockThreadTest, TheThreadEndsWithAGoroutineThatEndsLocked) {
  const Chan<int> thread(1);
  go([thread] {
    lockOSThread();
    if (threadId() == getpid()) unlockOSThread();  // the startup thread is kept, whoever ends on it
    thread.send(lockCount() != 0 ? threadId() : 0);
  });
  const int gone = *thread.receive();
  if (gone != 0) {
    EXPECT_TRUE(eventually([&] { return !osThreads().contains(gone); }));
  }
}

TEST_F(LockThreadTest, DestructorsOfThreadLocalsRunWhenTheThreadEnds) {
  static std::atomic<int> destroyed{0};
  static pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, [](void*) { ++destroyed; }), 0);
  // Main keeps the startup thread, which does not end.
  lockOSThread();
  const int before = destroyed;
  for (int i = 0; i < 5; ++i) {
    WaitGroup group;
    group.go([] {
      lockOSThread();
      static int value = 0;
      pthread_setspecific(key, &value);
    });
    group.wait();
  }
  const bool onStartupThread = threadId() == getpid();
  unlockOSThread();
  EXPECT_TRUE(eventually([&] { return destroyed >= before + (onStartupThread ? 5 : 4); }));
}

TEST_F(LockThreadTest, ManyLockedEndsLeaveNothingBehind) {
  const size_t before = osThreads().size();
  lockOSThread();  // where main is on the startup thread, none of them wedges it
  for (int i = 0; i < 200; ++i) {
    WaitGroup group;
    group.go([] { lockOSThread(); });
    group.wait();
  }
  unlockOSThread();
  EXPECT_TRUE(eventually([&] { return osThreads().size() <= before + static_cast<size_t>(maxProcs()) + 2; }));
}

// A locked goroutine gives its thread another working directory and ends. No other thread may have inherited
// it.
TEST_F(LockThreadTest, TheStateOfALockedThreadDoesNotSpread) {
  const std::filesystem::path home = std::filesystem::current_path();
  ASSERT_NE(home, "/tmp");
  lockOSThread();
  for (int i = 0; i < 20; ++i) {
    WaitGroup tainted;
    tainted.go([] {
      lockOSThread();
      startTemplateThread();
      ASSERT_EQ(unshare(CLONE_FS), 0);
      ASSERT_EQ(chdir("/tmp"), 0);
      for (int k = 0; k < 3; ++k)
        go([] { gosched(); });  // asks for threads while tainted, and again when it ends
    });
    tainted.wait();
    WaitGroup next;
    std::atomic<int> strayed{0};
    for (int k = 0; k < 8; ++k) {
      next.go([&] {
        lockOSThread();
        if (std::filesystem::current_path() != home) ++strayed;
        unlockOSThread();
      });
    }
    next.wait();
    ASSERT_EQ(strayed, 0);
  }
  unlockOSThread();
}

TEST_F(LockThreadTest, TheTemplateThreadIsStartedOnce) {
  lockOSThread();
  startTemplateThread();
  const size_t threads = osThreads().size();
  for (int i = 0; i < 10; ++i) startTemplateThread();
  EXPECT_EQ(osThreads().size(), threads);
  unlockOSThread();
}

}  // namespace
}  // namespace fairlead::runtime
