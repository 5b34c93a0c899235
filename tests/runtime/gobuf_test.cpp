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

// differences() puts pattern, pattern + 1, ... into the callee-saved registers, calls yield, and returns what
// they differ by afterwards, all or-ed together.
extern "C" uint64_t differences(uint64_t pattern, void (*yield)());

#if defined(__x86_64__)
asm(R"(
        .text
        .type differences, @function
differences:
        push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; push %rdi
        mov %rdi, %rbx; lea 1(%rdi), %r12; lea 2(%rdi), %r13; lea 3(%rdi), %r14; lea 4(%rdi), %r15; lea 5(%rdi), %rbp
        call *%rsi
        pop %rdi
        sub %rdi, %rbx; sub %rdi, %r12; sub %rdi, %r13; sub %rdi, %r14; sub %rdi, %r15; sub %rdi, %rbp
        sub $1, %r12; sub $2, %r13; sub $3, %r14; sub $4, %r15; sub $5, %rbp
        mov %rbx, %rax; or %r12, %rax; or %r13, %rax; or %r14, %rax; or %r15, %rax; or %rbp, %rax
        pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
        ret
        .size differences, . - differences
)");
#elif defined(__aarch64__)
asm(R"(
        .text
        .type differences, %function
differences:
        stp x29, x30, [sp, #-176]!
        stp x19, x20, [sp, #16]; stp x21, x22, [sp, #32]; stp x23, x24, [sp, #48]; stp x25, x26, [sp, #64]
        stp x27, x28, [sp, #80]; stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]; str x0, [sp, #160]
        .irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
        add x\n, x0, #\n
        .endr
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        add x9, x0, #\n
        fmov d\n, x9
        .endr
        blr x1
        ldr x1, [sp, #160]
        mov x0, #0
        .irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
        sub x9, x\n, x1
        sub x9, x9, #\n
        orr x0, x0, x9
        .endr
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        fmov x9, d\n
        sub x9, x9, x1
        sub x9, x9, #\n
        orr x0, x0, x9
        .endr
        ldp x19, x20, [sp, #16]; ldp x21, x22, [sp, #32]; ldp x23, x24, [sp, #48]; ldp x25, x26, [sp, #64]
        ldp x27, x28, [sp, #80]; ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]; ldp x29, x30, [sp], #176
        ret
        .size differences, . - differences
)");
#endif

// G 136: on aarch64 x19 to x29 and d8 to d15.
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
