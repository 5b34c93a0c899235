// What has to survive a park that comes back on another thread: registers, exceptions, errno, thread_locals.
#include "runtime/gobuf.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

constexpr int kParks = 1000;

class GobufTest : public RuntimeTest {
 protected:
  // shake() runs `body` on several goroutines at once, which park over and over and so change threads.
  template <class F>
  void shake(F body) {
    WaitGroup group;
    for (int i = 0; i < 8; ++i) group.go([&body, i] { body(i); });
    group.wait();
  }
};

#if defined(__x86_64__)
// differences() puts pattern, pattern + 1, ... into the callee-saved registers, calls yield, and returns what
// they differ by afterwards, all or-ed together.
[[gnu::naked]] uint64_t differences(uint64_t /*pattern*/, void (* /*yield*/)()) {
  asm("push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; push %rdi\n\t"
      "mov %rdi, %rbx; lea 1(%rdi), %r12; lea 2(%rdi), %r13; lea 3(%rdi), %r14; lea 4(%rdi), %r15; lea "
      "5(%rdi), %rbp\n\t"
      "call *%rsi\n\t"
      "pop %rdi\n\t"
      "sub %rdi, %rbx; sub %rdi, %r12; sub %rdi, %r13; sub %rdi, %r14; sub %rdi, %r15; sub %rdi, %rbp\n\t"
      "sub $1, %r12; sub $2, %r13; sub $3, %r14; sub $4, %r15; sub $5, %rbp\n\t"
      "mov %rbx, %rax; or %r12, %rax; or %r13, %rax; or %r14, %rax; or %r15, %rax; or %rbp, %rax\n\t"
      "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n\t"
      "ret");
}

TEST_F(GobufTest, CalleeSavedRegistersSurviveASwitch) {
  std::array<bool, 8> good{};
  shake([&](int i) {
    good[static_cast<size_t>(i)] = true;
    for (uint64_t k = 0; k < kParks; ++k) {
      if (differences(k << 32 | static_cast<uint64_t>(i) << 8, gosched) != 0)
        good[static_cast<size_t>(i)] = false;
    }
  });
  for (const bool one : good) EXPECT_TRUE(one);
}
#endif

TEST_F(GobufTest, ExceptionsAreCaughtByTheGoroutineThatThrewThem) {
  std::array<int, 8> caught{};
  shake([&](int i) {
    for (int k = 0; k < kParks; ++k) {
      try {
        gosched();
        throw std::runtime_error(std::to_string(i));
      } catch (const std::runtime_error& e) {
        gosched();  // parked while an exception is being handled
        if (e.what() == std::to_string(i) && std::uncaught_exceptions() == 0)
          ++caught[static_cast<size_t>(i)];
      }
    }
  });
  for (const int count : caught) EXPECT_EQ(count, kParks);
}

TEST_F(GobufTest, NestedHandlersRethrowTheirOwn) {
  std::array<int, 8> caught{};
  shake([&](int i) {
    for (int k = 0; k < kParks; ++k) {
      try {
        try {
          throw std::runtime_error("outer");
        } catch (...) {
          gosched();
          try {
            throw std::logic_error(std::to_string(i));
          } catch (const std::logic_error& e) {
            gosched();
            if (e.what() != std::to_string(i)) continue;
          }
          gosched();
          throw;
        }
      } catch (const std::runtime_error& e) {
        if (e.what() == std::string("outer")) ++caught[static_cast<size_t>(i)];
      }
    }
  });
  for (const int count : caught) EXPECT_EQ(count, kParks);
}

TEST_F(GobufTest, UncaughtExceptionsCountsTheOwnOnesDuringUnwinding) {
  struct Yields {
    int& wrong;
    ~Yields() {
      wrong += std::uncaught_exceptions() == 1 ? 0 : 1;
      gosched();
      wrong += std::uncaught_exceptions() == 1 ? 0 : 1;
    }
  };
  std::array<int, 8> wrong{};
  shake([&](int i) {
    for (int k = 0; k < kParks; ++k) {
      try {
        const Yields yields{wrong[static_cast<size_t>(i)]};
        throw std::runtime_error("unwind");
      } catch (const std::runtime_error&) {
        wrong[static_cast<size_t>(i)] += std::uncaught_exceptions();
      }
    }
  });
  for (const int count : wrong) EXPECT_EQ(count, 0);
}

TEST_F(GobufTest, AnExceptionPointerCrossesGoroutines) {
  const Chan<std::exception_ptr> errors;
  go([errors] {
    try {
      throw std::runtime_error("from afar");
    } catch (...) {
      errors.send(std::current_exception());
    }
  });
  const auto error = errors.receive();
  ASSERT_TRUE(error.has_value());
  try {
    std::rethrow_exception(*error);
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "from afar");
  }
}

[[gnu::noinline]] void setErrno(int value) { errno = value; }
[[gnu::noinline]] int getErrno() { return errno; }

TEST_F(GobufTest, ErrnoBelongsToTheGoroutine) {
  std::array<int, 8> wrong{};
  shake([&](int i) {
    for (int k = 0; k < kParks; ++k) {
      setErrno(1000 * i + k);
      gosched();
      wrong[static_cast<size_t>(i)] += getErrno() == 1000 * i + k ? 0 : 1;
    }
  });
  for (const int count : wrong) EXPECT_EQ(count, 0);
}

TEST_F(GobufTest, TheCurrentGoroutineIsTheSameAfterAParkThatChangedThreads) {
  std::array<int, 8> wrong{};
  std::array<int, 8> moved{};
  shake([&](int i) {
    const G* self = getm()->curg;
    for (int k = 0; k < kParks; ++k) {
      const M* before = getm();
      gosched();
      const M* after = getm();
      moved[static_cast<size_t>(i)] += before == after ? 0 : 1;
      wrong[static_cast<size_t>(i)] += after->curg == self && self->m == after ? 0 : 1;
    }
  });
  for (const int count : wrong) EXPECT_EQ(count, 0);
}

thread_local int threadLocal = 0;
[[gnu::noipa]] int& threadLocalHere() { return threadLocal; }

TEST_F(GobufTest, AThreadLocalBehindAnAccessorIsTheOneOfTheThreadThatRunsUs) {
  std::array<int, 8> wrong{};
  shake([&](int i) {
    for (int k = 0; k < kParks; ++k) {
      gosched();
      threadLocalHere() = threadId();
      wrong[static_cast<size_t>(i)] += threadLocalHere() == threadId() ? 0 : 1;
    }
  });
  for (const int count : wrong) EXPECT_EQ(count, 0);
}

}  // namespace
}  // namespace fairlead::runtime
