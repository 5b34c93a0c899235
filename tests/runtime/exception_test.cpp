// Exceptions and errno belong to the goroutine, over whatever parks and on whatever threads.
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

constexpr int kParks = 1000;
constexpr int kGoroutines = 8;

using ExceptionTest = RuntimeTest;

// wait() parks in every way there is, in turns, and tells whether it came back on another thread.
bool wait(int turn) {
  const int before = threadId();
  switch (turn % 4) {
    case 0:
      if (turn % 100 == 0) sleep(20us);
      break;
    case 1: {
      const Chan<int> c;
      go([c] { c.send(1); });
      c.receive();
      break;
    }
    case 2: {
      const BlockingSection blocking;
      usleep(1);
      break;
    }
    default:
      break;
  }
  gosched();
  return threadId() != before;
}

// everywhere() runs `body` on goroutines that change threads, and again until they have. A body returns how
// often it came back on another thread.
template <class F>
void everywhere(F body) {
  EXPECT_TRUE(eventually([&] {
    std::atomic<int> moves{0};
    WaitGroup group;
    for (int i = 0; i < kGoroutines; ++i) group.go([&, i] { moves += body(i); });
    group.wait();
    return moves > 0 || maxProcs() == 1;
  }));
}

// G 129. It is thrown once, and caught and rethrown once, with a thousand parks in between.
TEST_F(ExceptionTest, OneThatIsBeingHandledSurvivesAThousandParks) {
  everywhere([](int i) {
    int moves = 0;
    const void* thrown = nullptr;
    try {
      try {
        throw std::runtime_error(std::to_string(i));
      } catch (const std::runtime_error& e) {
        thrown = &e;
        for (int k = 0; k < kParks; ++k) {
          moves += wait(k) ? 1 : 0;
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
        throw;
      }
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(&e, thrown);
      EXPECT_EQ(e.what(), std::to_string(i));
    }
    EXPECT_EQ(std::current_exception(), nullptr);
    return moves;
  });
}

// nest() throws at the bottom, and at each level on the way up wraps what it caught, parked in the handler.
void nest(int depth, int& moves) {
  if (depth == 0) throw std::runtime_error("0");
  try {
    nest(depth - 1, moves);
  } catch (const std::exception&) {
    moves += wait(depth) ? 1 : 0;
    std::throw_with_nested(std::runtime_error(std::to_string(depth)));
  }
}

// chain() is what they say, from the outermost to the innermost.
std::string chain(const std::exception& e) {
  std::string text = e.what();
  try {
    wait(0);
    std::rethrow_if_nested(e);
  } catch (const std::exception& inner) {
    wait(1);
    text += " " + chain(inner);
  }
  return text;
}

TEST_F(ExceptionTest, NestedOnesKeepTheirOrder) {
  everywhere([](int) {
    int moves = 0;
    for (int k = 0; k < kParks / 20; ++k) {
      try {
        nest(9, moves);
      } catch (const std::exception& e) {
        EXPECT_EQ(chain(e), "9 8 7 6 5 4 3 2 1 0");
      }
    }
    return moves;
  });
}

// Parks, and throws and catches one of its own, while another is in flight.
struct BusyDestructor {
  int& moves;
  ~BusyDestructor() {
    EXPECT_EQ(std::uncaught_exceptions(), 1);
    try {
      struct Inner {
        int& moves;
        ~Inner() {
          moves += wait(2) ? 1 : 0;
          EXPECT_EQ(std::uncaught_exceptions(), 2);
        }
      } const inner{moves};
      throw std::logic_error("inner");
    } catch (const std::logic_error& e) {
      moves += wait(1) ? 1 : 0;
      EXPECT_STREQ(e.what(), "inner");
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }
  }
};

TEST_F(ExceptionTest, DestructorsMayParkAndThrowWhileAnotherIsInFlight) {
  everywhere([](int) {
    int moves = 0;
    for (int k = 0; k < kParks / 10; ++k) {
      try {
        const BusyDestructor busy{moves};
        throw std::runtime_error("outer");
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "outer");
        EXPECT_EQ(std::uncaught_exceptions(), 0);
      }
    }
    return moves;
  });
}

TEST_F(ExceptionTest, OnePointerIsRethrownByManyGoroutinesAtOnce) {
  const std::exception_ptr shared = std::make_exception_ptr(std::runtime_error("shared"));
  everywhere([&](int) {
    int moves = 0;
    for (int k = 0; k < kParks; ++k) {
      try {
        std::rethrow_exception(shared);
      } catch (const std::runtime_error& e) {
        moves += wait(k) ? 1 : 0;
        EXPECT_STREQ(e.what(), "shared");
        EXPECT_EQ(std::current_exception(), shared);
      }
    }
    return moves;
  });
}

#if !defined(__SANITIZE_THREAD__)  // does not see how libstdc++ counts those who refer to one
TEST_F(ExceptionTest, OneThatGoesFromGoroutineToGoroutineArrivesWhole) {
  Chan<std::exception_ptr> in;
  const Chan<std::exception_ptr> first = in;
  for (int i = 0; i < kGoroutines; ++i) {
    const Chan<std::exception_ptr> out;
    go([in, out] {
      try {
        std::rethrow_exception(*in.receive());
      } catch (const std::runtime_error& e) {
        try {
          throw std::runtime_error(e.what() + std::string("x"));
        } catch (...) {
          out.send(std::current_exception());
        }
      }
    });
    in = out;
  }
  first.send(std::make_exception_ptr(std::runtime_error("")));
  try {
    std::rethrow_exception(*in.receive());
  } catch (const std::runtime_error& e) {
    EXPECT_EQ(e.what(), std::string(kGoroutines, 'x'));
  }
}
#endif

[[gnu::noinline]] void setErrno(int value) { errno = value; }
[[gnu::noinline]] int getErrno() { return errno; }

// G 131.
TEST_F(ExceptionTest, ErrnoStaysOverEveryKindOfWait) {
  everywhere([](int i) {
    int moves = 0;
    if (i == 0) lockOSThread();
    for (int k = 0; k < kParks; ++k) {
      const int mine = 1000 * i + k;
      setErrno(mine);
      const int before = threadId();
      gosched();
      EXPECT_EQ(getErrno(), mine);
      if (k % 100 == 0) sleep(10us);
      EXPECT_EQ(getErrno(), mine);
      { const BlockingSection blocking; }
      EXPECT_EQ(getErrno(), mine);
      moves += threadId() != before ? 1 : 0;
    }
    if (i == 0) unlockOSThread();
    return moves;
  });
}

}  // namespace
}  // namespace fairlead::runtime
