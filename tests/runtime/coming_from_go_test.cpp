// The programs of runtime/COMING_FROM_GO.md. What is between two markers is on the page word for word, which
// coming_from_go.sh checks, and prints what its twin in Go prints.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>

#include "runtime/chan.h"
#include "runtime/context.h"
#include "runtime/errgroup.h"
#include "runtime/runtime.h"
#include "runtime/select.h"
#include "runtime/sync.h"
#include "runtime/time.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

// ComingFromGoTest keeps what a program prints.
class ComingFromGoTest : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    testing::internal::CaptureStdout();
  }
  static std::string printed() { return testing::internal::GetCapturedStdout(); }
};

TEST_F(ComingFromGoTest, AGoroutineSaysHello) {
  // [hello]
  const Chan<Nothing> done;
  go([done] {
    std::puts("hello from a goroutine");
    done.close();
  });
  done.receive();
  // [end]
  EXPECT_EQ(printed(), "hello from a goroutine\n");
}

TEST_F(ComingFromGoTest, AnUnbufferedChannel) {
  // [unbuffered]
  const Chan<int> ping;
  const Chan<int> pong;
  go([=] { pong.send(2 * ping.receive().value_or(0)); });
  ping.send(21);
  std::printf("%d\n", pong.receive().value_or(0));
  // [end]
  EXPECT_EQ(printed(), "42\n");
}

TEST_F(ComingFromGoTest, ABufferedChannelAsASemaphore) {
  // [semaphore]
  const Chan<Nothing> tokens(2);
  std::atomic<int> active{0};
  WaitGroup wg;
  for (int i = 0; i < 8; ++i) {
    wg.go([&] {
      tokens.send({});
      if (++active > 2) std::puts("too many");
      gosched();
      --active;
      tokens.receive();
    });
  }
  wg.wait();
  std::puts("never more than two");
  // [end]
  EXPECT_EQ(printed(), "never more than two\n");
}

TEST_F(ComingFromGoTest, AllThatComesThroughAChannel) {
  // [range]
  const Chan<std::string> names(3);
  go([names] {
    for (const char* name : {"lo", "eth0", "eth1"}) names.send(name);
    names.close();
  });
  for (const std::string& name : names) std::puts(name.c_str());
  // [end]
  EXPECT_EQ(printed(), "lo\neth0\neth1\n");
}

TEST_F(ComingFromGoTest, SelectWithATimeout) {
  // [select]
  const Chan<std::string> answers;  // nobody sends
  const Chan<Time> timeout = after(10ms);
  select(receive(answers, [](const std::optional<std::string>& answer) { std::puts(answer->c_str()); }),
         receive(timeout, [] { std::puts("too late"); }));
  // [end]
  EXPECT_EQ(printed(), "too late\n");
}

TEST_F(ComingFromGoTest, AWorkerPool) {
  // [pool]
  const Chan<int> jobs;
  const Chan<int> squares(9);
  WaitGroup wg;
  for (int i = 0; i < 3; ++i) {
    wg.go([=] {
      for (const int job : jobs) squares.send(job * job);
    });
  }
  for (int job = 1; job <= 9; ++job) jobs.send(job);
  jobs.close();
  wg.wait();
  squares.close();
  int sum = 0;
  for (const int square : squares) sum += square;
  std::printf("%d\n", sum);
  // [end]
  EXPECT_EQ(printed(), "285\n");
}

TEST_F(ComingFromGoTest, AMutex) {
  // [mutex]
  Mutex mu;
  WaitGroup wg;
  int total = 0;
  for (int i = 0; i < 100; ++i) {
    wg.go([&, i] {
      const std::lock_guard lock(mu);
      total += i;
    });
  }
  wg.wait();
  std::printf("%d\n", total);
  // [end]
  EXPECT_EQ(printed(), "4950\n");
}

TEST_F(ComingFromGoTest, TheFirstFailureEndsTheRest) {
  // [errgroup]
  ErrGroup group(background());
  for (int i = 0; i < 4; ++i) {
    group.go([&, i] {
      if (i == 2) throw std::runtime_error("disk full");
      group.context().done().receive();
      std::rethrow_exception(group.context().err());
    });
  }
  try {
    group.wait();
  } catch (const std::exception& e) {
    std::puts(e.what());
  }
  // [end]
  EXPECT_EQ(printed(), "disk full\n");
}

TEST_F(ComingFromGoTest, ATicker) {
  // [ticker]
  const Ticker ticker(1ms);
  for (int i = 0; i < 3; ++i) {
    ticker.channel().receive();
    std::printf("tick %d\n", i);
  }
  // [end]
  EXPECT_EQ(printed(), "tick 0\ntick 1\ntick 2\n");
}

TEST_F(ComingFromGoTest, AContextWithADeadline) {
  // [deadline]
  const auto [context, cancel] = withTimeout(background(), 10ms);
  const Chan<int> never;
  const Chan<Nothing> done = context.done();
  select(receive(never), receive(done));
  try {
    std::rethrow_exception(context.err());
  } catch (const ContextError& e) {
    std::puts(e.what());
  }
  // [end]
  EXPECT_EQ(printed(), "context deadline exceeded\n");
}

// [lock]
const Init init([] { lockOSThread(); });
// [end]

TEST_F(ComingFromGoTest, MainOnTheFirstThread) {
  // [lock]
  const Chan<Nothing> done;
  go([done] { done.close(); });
  done.receive();
  std::puts(threadId() == getpid() ? "true" : "false");
  // [end]
  EXPECT_EQ(printed(), "true\n");
}

TEST_F(ComingFromGoTest, PanicRecoverAndDefer) {
  // [panic]
  struct Cleanup {
    ~Cleanup() { std::puts("cleaning up"); }
  };
  try {
    const Cleanup cleanup;
    const Chan<int> none(nullptr);
    none.close();
  } catch (const Panic& panic) {
    std::printf("recovered: %s\n", panic.what());
  }
  // [end]
  EXPECT_EQ(printed(), "cleaning up\nrecovered: close of nil channel\n");
}

}  // namespace
}  // namespace fairlead::runtime
