#include "runtime/blocking.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using BlockingTest = RuntimeTest;

TEST_F(BlockingTest, ReturnsWhatTheFunctionReturns) {
  EXPECT_EQ(blocking([] { return std::string("text"); }), "text");
  EXPECT_EQ(*blocking([] { return std::make_unique<int>(3); }), 3);
  int value = 1;
  int& same = blocking([&value]() -> int& { return value; });
  EXPECT_EQ(&same, &value);
  blocking([&value] { value = 2; });
  EXPECT_EQ(value, 2);
}

TEST_F(BlockingTest, ErrnoAndExceptionsComeThrough) {
  WaitGroup others;
  for (int i = 0; i < 8; ++i) {
    others.go([] {
      for (int k = 0; k < 50; ++k) {
        const int result = blocking([] { return close(-1); });
        const int error = errno;
        EXPECT_EQ(result, -1);
        EXPECT_EQ(error, EBADF);
        EXPECT_THROW(blocking([] { throw std::runtime_error("inside"); }), std::runtime_error);
      }
    });
  }
  others.wait();
}

TEST_F(BlockingTest, OthersRunMeanwhile) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const Chan<int> done;
  for (int i = 0; i < maxProcs() + 1; ++i) {  // more than there are Ps
    go([=] {
      char byte = 0;
      done.send(static_cast<int>(blocking([&] { return read(ends[0], &byte, 1); })));
    });
  }
  for (int i = 0; i < 100; ++i) {
    go([done] { done.send(0); });
    EXPECT_EQ(*done.receive(), 0);
  }
  for (int i = 0; i < maxProcs() + 1; ++i) {
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_EQ(*done.receive(), 1);
  }
  close(ends[0]);
  close(ends[1]);
}

TEST_F(BlockingTest, ALockedGoroutineComesBackToItsThread) {
  WaitGroup group;
  group.go([] {
    lockOSThread();
    const int thread = threadId();
    for (int i = 0; i < 50; ++i) {
      blocking([] { usleep(10); });
      EXPECT_EQ(threadId(), thread);
    }
    unlockOSThread();
  });
  group.wait();
}

TEST_F(BlockingTest, SectionsNest) {
  EXPECT_EQ(blocking([] {
              const BlockingSection section;
              return blocking([] { return 7; });
            }),
            7);
  const BlockingSection section;
  EXPECT_EQ(blocking([] { return 8; }), 8);
}

}  // namespace
}  // namespace fairlead::runtime
