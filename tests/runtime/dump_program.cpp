// A program that shows its goroutines in the way its first argument names. Run by dump_test, which knows what
// it must print.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/ways.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

// Not inlined, so that the traces have these names in them, and not the last call, so that they stay.
[[gnu::noinline]] void waitsHere(const Chan<int>& c) {
  c.receive();
  std::fputs("", stdout);
}

[[gnu::noinline]] void makesAGoroutine(const Chan<int>& c) {
  go([c] { waitsHere(c); });
  std::fputs("", stdout);
}

[[gnu::noipa]] void panicsHere(const char* text) { throw std::runtime_error(text); }

int deadlock() {
  const Chan<int> c;
  makesAGoroutine(c);
  waitsHere(c);
  return 0;
}

int panic() {
  const Chan<int> c;
  makesAGoroutine(c);
  panicsHere("boom");
  return 0;
}

int quit() {
  const Chan<int> c;
  makesAGoroutine(c);
  gosched();
  raise(SIGQUIT);
  return 0;
}

[[gnu::noinline]] void computesHere(const std::atomic<bool>& stop) {
  while (!stop) {
  }
}

[[gnu::noinline]] void blocksHere(int file) {
  const BlockingSection blocking;
  char byte = 0;
  [[maybe_unused]] const ssize_t n = read(file, &byte, 1);
}

[[gnu::noinline]] void waitsLocked(const Chan<int>& c) {
  lockOSThread();
  c.receive();
  unlockOSThread();
}

// One goroutine in each state, on threads of their own; with fewer Ps than three the last does not get one.
int quitBusy() {
  static std::atomic<bool> stop{false};
  static std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return 98;
  const Chan<int> c;
  go([c] { waitsLocked(c); });
  go([] { blocksHere(ends[0]); });
  for (int i = 0; i < 10; ++i) gosched();
  if (maxProcs() > 1) go([] { computesHere(stop); });
  sleep(20ms);
  raise(SIGQUIT);  // this thread: ThreadSanitizer would let the others wait for their next call
  return 0;
}

int deadlockLocked() {
  const Chan<int> c;
  waitsLocked(c);
  return 0;
}

// Takes a tenth of a second.
int traced() {
  const Chan<int> c;
  makesAGoroutine(c);
  for (int i = 0; i < 50; ++i) sleep(2ms);
  c.close();
  return 0;
}

// Reads its own standard error, and comes to no poll point until a report has arrived there.
[[gnu::noinline]] std::string stallsHere(int errors) {
  std::string report;
  std::array<char, 4096> piece;
  while (!report.contains("]:\n")) {
    const ssize_t n = read(errors, piece.data(), piece.size());
    if (n > 0) report.append(piece.data(), static_cast<size_t>(n));
  }
  return report;
}

// On a busy machine a thread may be too late to say where it is: then it has the next slice for it.
int stall() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_NONBLOCK) != 0 || dup2(ends[1], STDERR_FILENO) < 0) return 98;
  std::atomic<bool> stop{false};
  WaitGroup others;
  for (int i = 0; i < 2; ++i) {
    others.go([&stop] {
      while (!stop) gosched();
    });
  }
  std::string report;
  for (int i = 0; i < 100 && !report.contains("stallsHere"); ++i) {
    report = stallsHere(ends[0]);
    gosched();
  }
  stop = true;
  others.wait();
  std::fputs(report.c_str(), stdout);
  return 0;
}

[[gnu::noinline]] void computesAlone() {
  const int64_t end = nanotime() + 30'000'000;
  while (nanotime() < end) {
  }
}

// With one P: the other one blocks where it may, and waits for none.
int noStall() {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return 98;
  std::atomic<bool> blocks{false};
  go([&] {
    const BlockingSection blocking;
    blocks = true;
    char byte = 0;
    [[maybe_unused]] const ssize_t n = read(ends[0], &byte, 1);
  });
  while (!blocks) gosched();
  computesAlone();
  return 0;
}

// A bit of everything that a trace shows.
int schedule() {
  const Chan<int> ping;
  const Chan<int> pong;
  WaitGroup group;
  group.go([ping, pong] {
    lockOSThread();
    while (auto value = ping.receive()) pong.send(*value);
    unlockOSThread();
  });
  group.go([] {
    const BlockingSection blocking;
    usleep(1000);
  });
  for (int i = 0; i < 10; ++i) {
    ping.send(i);
    pong.receive();
    group.go([] { gosched(); });
    gosched();
  }
  ping.close();
  group.wait();
  setMaxProcs(maxProcs() + 1);
  sleep(1ms);
  return 0;
}

// More than a trace has room for.
int scheduleForLong() {
  const Chan<int> ping;
  go([ping] {
    while (ping.receive()) {
    }
  });
  for (int i = 0; i < 300'000; ++i) ping.send(i);
  return 0;
}

// Without a second goroutine the runtime has no handlers.
int quitAlone() {
  raise(SIGQUIT);
  return 0;
}

int quitOwnHandler() {
  signal(SIGQUIT, [](int) { _exit(77); });
  return quit();
}

int panicInCatch() {
  try {
    throw std::runtime_error("first");
  } catch (const std::exception&) {
    throw std::runtime_error("second");
  }
}

int panicInNestedCatches() {
  try {
    panicInCatch();
  } catch (const std::exception&) {
    try {
      throw std::logic_error("third");
    } catch (const std::exception&) {
      throw 4;
    }
  }
  return 0;
}

int panicWithNested() {
  std::exception_ptr kept;
  try {
    try {
      throw std::runtime_error("cause");
    } catch (...) {
      std::throw_with_nested(std::runtime_error("effect"));
    }
  } catch (...) {
    kept = std::current_exception();
  }
  std::rethrow_exception(kept);
}

int panicWhileUnwinding() {
  struct Throws {
    ~Throws() { panicsHere("second"); }
  };
  try {
    const Throws throws;
    throw std::runtime_error("first");
  } catch (const std::exception&) {
  }
  return 0;
}

int panicInWhat() {
  struct Bad : std::exception {
    [[nodiscard]] const char* what() const noexcept override {
      panicsHere("inner");
      return "";
    }
  };
  throw Bad();
}

int rethrown() {
  try {
    throw std::runtime_error("once");
  } catch (...) {
    throw;
  }
}

// main returns while another goroutine panics, and waits for the end of its text.
int panicRace() {
  static std::atomic<bool> printing{false};
  struct Slow : std::exception {
    [[nodiscard]] const char* what() const noexcept override {
      printing = true;
      usleep(20'000);
      return "raced";
    }
  };
  go([] { throw Slow(); });
  while (!printing) gosched();
  return 0;
}

constexpr Way kWays[] = {
    {"deadlock", deadlock},
    {"panic", panic},
    {"quit", quit},
    {"quit-busy", quitBusy},
    {"deadlock-locked", deadlockLocked},
    {"traced", traced},
    {"stall", stall},
    {"no-stall", noStall},
    {"schedule", schedule},
    {"schedule-for-long", scheduleForLong},
    {"quit-alone", quitAlone},
    {"quit-own-handler", quitOwnHandler},
    {"panic-in-catch", panicInCatch},
    {"panic-in-nested-catches", panicInNestedCatches},
    {"panic-with-nested", panicWithNested},
    {"panic-while-unwinding", panicWhileUnwinding},
    {"panic-in-what", panicInWhat},
    {"rethrown", rethrown},
    {"panic-race", panicRace},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) { return runtime::runWay(runtime::kWays, argc, argv); }
