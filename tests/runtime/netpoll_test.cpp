#include "runtime/netpoll.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Polled is one end of a socket pair, registered with the poller, and its plain peer.
class Polled {
 public:
  Polled() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()), 0);
    desc_ = PollDesc::open(ends_[0]);
  }
  Polled(const Polled&) = delete;
  Polled& operator=(const Polled&) = delete;
  ~Polled() {
    desc_->evict();
    desc_->close(ends_[0]);
    ::close(ends_[0]);
    if (ends_[1] >= 0) ::close(ends_[1]);
  }

  PollDesc& desc() { return *desc_; }
  void poke() { EXPECT_EQ(write(ends_[1], "x", 1), 1); }
  void hangUp() { ::close(std::exchange(ends_[1], -1)); }
  // take() reads one byte, waiting for it as often as need be.
  void take() {
    char byte = 0;
    while (desc_->reset(PollMode::Read) == PollResult::Ready && read(ends_[0], &byte, 1) < 0) {
      EXPECT_EQ(errno, EAGAIN);
      EXPECT_EQ(desc_->wait(PollMode::Read), PollResult::Ready);
    }
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  PollDesc* desc_ = nullptr;
};

class NetpollTest : public RuntimeTest {
 protected:
  // The poller stays for good: what it keeps open is not the test's.
  void SetUp() override {
    const Polled first;
    RuntimeTest::SetUp();
  }
};

// D 75, Go's TestEpollctlErrorSign.
TEST_F(NetpollTest, EpollctlErrorSign) {
  EXPECT_EQ(netpollOpen(-1, nullptr, 0), EBADF);
  EXPECT_EQ(netpollClose(-1), EBADF);
}

TEST_F(NetpollTest, OpenRefusesABadDescriptor) { EXPECT_THROW(PollDesc::open(-1), std::system_error); }

TEST_F(NetpollTest, AFileHasNothingToWaitFor) {
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(PollDesc::open(file), nullptr);
  close(file);
}

// A 24, Go's TestNetpollBreak.
TEST_F(NetpollTest, ABlockedPollIsBroken) {
  GQueue ready;
  const auto start = Clock::now();
  for (int i = 0; i < 10; ++i) netpollBreak();
  netpoll(10'000'000'000, ready);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_TRUE(ready.empty());
}

TEST_F(NetpollTest, APollThatDoesNotBlockLeavesTheBreakToOneThatDoes) {
  GQueue ready;
  netpollBreak();
  netpoll(0, ready);
  const auto start = Clock::now();
  netpoll(10'000'000'000, ready);
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST_F(NetpollTest, PollsWithNanosecondTimeouts) {
  GQueue ready;
  const auto start = Clock::now();
  netpoll(100'000, ready);
  EXPECT_GE(Clock::now() - start, 100us);
}

TEST_F(NetpollTest, WaitReturnsWhenThereIsData) {
  Polled pair;
  go([&] { pair.poke(); });
  pair.take();
  EXPECT_EQ(netpollWaiters(), 0U);
}

// What comes between reset() and wait() ends the wait, and only that one.
TEST_F(NetpollTest, AnEdgeBeforeTheWaitIsKeptForOneWait) {
  Polled pair;
  EXPECT_EQ(pair.desc().reset(PollMode::Read), PollResult::Ready);
  pair.poke();
  EXPECT_EQ(pair.desc().wait(PollMode::Read), PollResult::Ready);
  pair.desc().setDeadline(timeAfter(2'000'000), true, false);
  EXPECT_EQ(pair.desc().wait(PollMode::Read), PollResult::Timeout);
}

TEST_F(NetpollTest, OneWaitsWhileOthersRun) {
  Polled pair;
  const Chan<int> done;
  go([&, done] {
    pair.take();
    done.send(1);
  });
  std::atomic<bool> stop{false};
  WaitGroup busy;
  for (int i = 0; i < maxProcs() + 1; ++i) {
    busy.go([&stop] {
      while (!stop) gosched();
    });
  }
  EXPECT_TRUE(eventually([] { return netpollWaiters() == 1; }));
  pair.poke();
  done.receive();
  stop = true;
  busy.wait();
}

TEST_F(NetpollTest, ManyWaitAtOnce) {
  constexpr int kPairs = 200;
  std::array<Polled, kPairs> pairs;
  WaitGroup group;
  for (Polled& pair : pairs) {
    group.go([&pair] {
      for (int i = 0; i < 20; ++i) pair.take();
    });
  }
  for (int i = 0; i < 20; ++i) {
    for (Polled& pair : pairs) pair.poke();
    gosched();
  }
  group.wait();
  EXPECT_EQ(netpollWaiters(), 0U);
}

TEST_F(NetpollTest, ALockedGoroutineWaitsOnItsOwnThread) {
  Polled pair;
  WaitGroup group;
  group.go([&] {
    lockOSThread();
    const int thread = threadId();
    for (int i = 0; i < 50; ++i) {
      pair.take();
      EXPECT_EQ(threadId(), thread);
    }
    unlockOSThread();
  });
  for (int i = 0; i < 50; ++i) {
    pair.poke();
    if (i % 10 == 0) sleep(100us);
  }
  group.wait();
}

TEST_F(NetpollTest, EvictReleasesWhoWaitsAndWhoWill) {
  Polled pair;
  const Chan<PollResult> result;
  go([&, result] {
    pair.desc().reset(PollMode::Read);
    result.send(pair.desc().wait(PollMode::Read));
  });
  EXPECT_TRUE(eventually([] { return netpollWaiters() == 1; }));
  pair.desc().evict();
  EXPECT_EQ(*result.receive(), PollResult::Closing);
  EXPECT_EQ(pair.desc().reset(PollMode::Write), PollResult::Closing);
  EXPECT_EQ(pair.desc().wait(PollMode::Write), PollResult::Closing);
}

TEST_F(NetpollTest, ADeadlineReleasesWhoWaits) {
  Polled pair;
  EXPECT_EQ(pair.desc().reset(PollMode::Read), PollResult::Ready);
  const auto start = Clock::now();
  pair.desc().setDeadline(timeAfter(2'000'000), true, false);
  EXPECT_EQ(pair.desc().wait(PollMode::Read), PollResult::Timeout);
  EXPECT_GE(Clock::now() - start, 2ms);
  EXPECT_EQ(pair.desc().reset(PollMode::Read), PollResult::Timeout);
  EXPECT_EQ(pair.desc().reset(PollMode::Write), PollResult::Ready);
  pair.desc().setDeadline(0, true, true);
  pair.poke();
  pair.take();
}

TEST_F(NetpollTest, APastDeadlineReleasesWhoWaitsAtOnce) {
  Polled pair;
  const Chan<PollResult> result;
  go([&, result] {
    pair.desc().reset(PollMode::Read);
    result.send(pair.desc().wait(PollMode::Read));
  });
  EXPECT_TRUE(eventually([] { return netpollWaiters() == 1; }));
  pair.desc().setDeadline(1, true, true);
  EXPECT_EQ(*result.receive(), PollResult::Timeout);
}

TEST_F(NetpollTest, ADeadlineThatWasMovedDoesNotFire) {
  Polled pair;
  for (int i = 0; i < 200; ++i) {
    pair.desc().setDeadline(timeAfter(int64_t{i} % 20 * 1000), true, true);
    gosched();
    pair.desc().setDeadline(timeAfter(3'600'000'000'000), true, true);
    ASSERT_EQ(pair.desc().reset(PollMode::Read), PollResult::Ready);
    pair.poke();
    pair.take();
  }
}

TEST_F(NetpollTest, AHangUpIsRemembered) {
  Polled pair;
  EXPECT_FALSE(pair.desc().hungUp());
  pair.hangUp();
  EXPECT_EQ(pair.desc().reset(PollMode::Read), PollResult::Ready);
  EXPECT_EQ(pair.desc().wait(PollMode::Read), PollResult::Ready);
  EXPECT_TRUE(pair.desc().hungUp());
}

TEST_F(NetpollTest, AnEventOfAClosedDescriptorIsNobodys) {
  Polled pair;
  GQueue ready;
  const PollResult before = pair.desc().reset(PollMode::Read);
  pair.desc().event(0xFFFF, true, true, true, ready);
  EXPECT_EQ(before, PollResult::Ready);
  EXPECT_FALSE(pair.desc().hungUp());
}

// runParallel() has `n` goroutines pass a counter round by spinning: all must run at the same time.
void runParallel(int n, int rounds) {
  std::atomic<int> turn{0};
  WaitGroup group;
  for (int i = 0; i < n; ++i) {
    group.go([&turn, i, n, rounds] {
      for (int k = 0; k < rounds; ++k) {
        while (turn != k * n + i) gosched();
        ++turn;
      }
    });
  }
  group.wait();
}

// A 8 and 9, Go's TestGoroutineParallelism2 with the poller, and with earlier load besides.
TEST_F(NetpollTest, GoroutinesRunInParallelWhileOneWaitsForIO) {
  for (const bool load : {false, true}) {
    if (load) runParallel(2 * maxProcs(), 3);
    Polled pair;
    WaitGroup waiter;
    waiter.go([&] { pair.take(); });
    for (int i = 0; i < 3; ++i) runParallel(maxProcs(), 3);
    pair.poke();
    waiter.wait();
  }
}

TEST_F(NetpollTest, BreaksUnderLoadAreCoalesced) {
  for (int round = 0; round < 20; ++round) {
    WaitGroup group;
    for (int i = 0; i < 10; ++i) group.go([] { netpollBreak(); });
    group.wait();
  }
  Polled pair;
  pair.poke();
  pair.take();
}

}  // namespace
}  // namespace fairlead::runtime
