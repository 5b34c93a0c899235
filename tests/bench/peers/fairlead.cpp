// The rows of the comparison with other green threads, as Fairlead runs them. `peers_fairlead ROW` prints one
// number: nanoseconds per operation, or for the whole where the row says so. The other programs of this
// directory have the same rows: change them together.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "runtime/blocking.h"
#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/net.h"
#include "runtime/runtime.h"
#include "runtime/select.h"
#include "runtime/sync.h"
#include "runtime/time.h"

namespace fairlead::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double nanosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

// perOperation() runs f(n) to warm up and once more for the figure.
template <class F>
double perOperation(int n, F&& f) {
  f(n / 10);
  const auto start = Clock::now();
  f(n);
  return nanosecondsSince(start) / n;
}

double yield2() {
  return perOperation(4'000'000, [](int n) {
    WaitGroup group;
    for (int i = 0; i < 2; ++i) {
      group.go([n] {
        for (int k = 0; k < n / 2; ++k) gosched();
      });
    }
    group.wait();
  });
}

// roundTrips() has the caller ask n times and another goroutine answer.
void roundTrips(int n) {
  const Chan<int> ask;
  const Chan<int> answer;
  go([=] {
    for (const int value : ask) answer.send(value);
  });
  for (int i = 0; i < n; ++i) {
    ask.send(i);
    answer.receive();
  }
  ask.close();
}

double roundTrip() { return perOperation(500'000, roundTrips); }

double lockedMain() {
  lockOSThread();
  const double result = perOperation(50'000, roundTrips);
  unlockOSThread();
  return result;
}

double lockedServer() {
  return perOperation(50'000, [](int n) {
    const Chan<int> ask;
    const Chan<int> answer;
    WaitGroup server;
    server.go([=] {
      lockOSThread();
      for (const int value : ask) answer.send(value);
      unlockOSThread();
    });
    for (int i = 0; i < n; ++i) {
      ask.send(i);
      answer.receive();
    }
    ask.close();
    server.wait();
  });
}

double buffered22() {
  return perOperation(4'000'000, [](int n) {
    const Chan<int> values(100);
    WaitGroup producers;
    WaitGroup consumers;
    for (int i = 0; i < 2; ++i) {
      producers.go([=] {
        for (int k = 0; k < n / 2; ++k) values.send(k);
      });
      consumers.go([=] {
        for ([[maybe_unused]] const int value : values) {
        }
      });
    }
    producers.wait();
    values.close();
    consumers.wait();
  });
}

double select2() {
  return perOperation(4'000'000, [](int n) {
    const Chan<int> a(1);
    const Chan<int> b(1);
    a.send(1);
    for (int i = 0; i < n; ++i) {
      select(receive(a, [&](std::optional<int> v) { b.send(*v); }),
             receive(b, [&](std::optional<int> v) { a.send(*v); }));
    }
  });
}

double spawnJoin() {
  return perOperation(500'000, [](int n) {
    for (int i = 0; i < n; ++i) {
      WaitGroup group;
      group.go([] {});
      group.wait();
    }
  });
}

double spawn1000() {
  return perOperation(1'000'000, [](int n) {
    for (int i = 0; i < n; i += 1000) {
      WaitGroup group;
      for (int k = 0; k < 1000; ++k) group.go([] {});
      group.wait();
    }
  });
}

// Who receives from the last one is there until then, so the others need no reference of their own to the
// channel: as with Boost, and in skynet.
void link(int n, const Chan<bool>& done) {
  if (n == 0) return done.send(true);
  go([n, &done] { link(n - 1, done); });
}

double chain() {
  return perOperation(1'000'000, [](int n) {
    const Chan<bool> done;
    link(n, done);
    done.receive();
  });
}

double mutex4() {
  return perOperation(8'000'000, [](int n) {
    Mutex mutex;
    uint64_t guarded = 0;
    WaitGroup group;
    for (int i = 0; i < 4; ++i) {
      group.go([&, n] {
        for (int k = 0; k < n / 4; ++k) {
          mutex.lock();
          guarded = guarded + 1;
          mutex.unlock();
        }
      });
    }
    group.wait();
  });
}

// The floor below all hand-offs between two CPUs: one cache line there and one back, by two threads that do
// nothing else.
double lines() {
  constexpr int kRounds = 500'000;
  struct alignas(128) Line {
    std::atomic<int> value{0};
  };
  Line there;
  Line back;
  const auto await = [](const Line& line, int value) {
    while (line.value.load(std::memory_order_acquire) != value) cpuRelax();
  };
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      await(there, i);
      back.value.store(i, std::memory_order_release);
    }
  });
  const auto start = Clock::now();
  for (int i = 1; i <= kRounds; ++i) {
    there.value.store(i, std::memory_order_release);
    await(back, i);
  }
  const double result = nanosecondsSince(start) / kRounds;
  other.join();
  return result;
}

double lockUnlock() {
  return perOperation(20'000'000, [](int n) {
    for (int i = 0; i < n; ++i) {
      lockOSThread();
      unlockOSThread();
    }
  });
}

void skynet(const Chan<int64_t>& up, int64_t number, int64_t size) {
  if (size == 1) return up.send(number);
  const Chan<int64_t> below;
  for (int i = 0; i < 10; ++i) {
    go([=, &below] { skynet(below, number + i * (size / 10), size / 10); });
  }
  int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += *below.receive();
  up.send(sum);
}

double skynetMillion() {
  const auto start = Clock::now();
  const Chan<int64_t> result;
  go([&result] { skynet(result, 0, 1'000'000); });
  if (result.receive() != 499'999'500'000) return -1;
  return nanosecondsSince(start);
}

double sleepers() {
  const auto run = [] {
    WaitGroup group;
    for (int i = 0; i < 100'000; ++i) {
      group.go([] { sleep(std::chrono::milliseconds(10)); });
    }
    group.wait();
  };
  run();
  const auto start = Clock::now();
  run();
  return nanosecondsSince(start);
}

// The seeds' benchmark: one consumer among 50,000 goroutines that count and yield, each of which has had its
// first turn before. Ends the process.
void seed(bool lock) {
  constexpr int kSpinners = 50'000;
  constexpr int kProducers = 20;
  constexpr int kValues = 3'000'000;
  static std::atomic<int> ran{0};
  static std::atomic<int> turns{0};
  struct Nothing {};
  const Chan<Nothing> values(100'000);
  for (int i = 0; i < kSpinners; ++i) {
    go([] {
      bool first = true;
      for (uint32_t count = 0;;) {
        asm volatile("" : "+r"(count));
        if (++count < 100'000) continue;
        count = 0;
        if (std::exchange(first, false)) ran.fetch_add(1, std::memory_order_relaxed);
        turns.fetch_add(1, std::memory_order_relaxed);
        gosched();
      }
    });
  }
  while (ran.load(std::memory_order_relaxed) < kSpinners) gosched();
  for (int i = 0; i < kProducers; ++i) {
    go([values] {
      for (;;) values.send({});
    });
  }
  go([values, lock] {
    if (lock) lockOSThread();
    const int before = turns;
    const auto start = Clock::now();
    for (int i = 0; i < kValues; ++i) values.receive();
    const double took = nanosecondsSince(start);
    const int meanwhile = turns - before;
    if (lock) unlockOSThread();
    const G* self = getm()->curg;
    uint64_t yielded = 0;
    for (uint32_t i = 0; i < sched.nprocs; ++i) yielded += sched.p(i)->preempted;
    std::printf("%.1f\n# consumer parked %u times, %llu preemptions, %d turns of spinners\n", took,
                self->parks, static_cast<unsigned long long>(yielded), meanwhile);
    exitProcess(0);
  });
  Chan<int>(nullptr).receive();
}

// readAll() fills `into`; false at the end of the stream.
bool readAll(const Fd& from, std::span<std::byte> into) {
  while (!into.empty()) {
    const size_t n = from.read(into);
    if (n == 0) return false;
    into = into.subspan(n);
  }
  return true;
}

double echo() {
  constexpr int kConnections = 64;
  constexpr int kRequests = 2000;
  using Message = std::array<std::byte, 512>;
  const Fd listener = listen(Transport::Tcp, Address::ip("127.0.0.1", 0));
  go([listener] {
    for (;;) {
      go([connection = listener.accept()] {
        for (Message message; readAll(connection, message);) connection.write(message);
      });
    }
  });
  const auto start = Clock::now();
  WaitGroup clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.go([&listener] {
      const Fd connection = dial(Transport::Tcp, localAddress(listener));
      Message message{};
      for (int k = 0; k < kRequests; ++k) {
        connection.write(message);
        readAll(connection, message);
      }
    });
  }
  clients.wait();
  return nanosecondsSince(start) / (double{kConnections} * kRequests);
}

// What follows needs two Ps; with one there is no figure.
constexpr double kNone = 0;

void spinFor(std::chrono::nanoseconds d) {
  const auto until = Clock::now() + d;
  while (Clock::now() < until) {
  }
}

void sleepInKernel(std::chrono::nanoseconds d) {
  const BlockingSection blocking;
  const timespec span{.tv_sec = 0, .tv_nsec = d.count()};
  nanosleep(&span, nullptr);
}

// Go's WakeupParallel: two goroutines, each of which works while the other waits for it. What an iteration
// takes beyond that work is the price of two wake-ups.
template <auto Delay>
double wakeup() {
  constexpr int kIterations = 5'000;
  constexpr std::chrono::microseconds kDelay{10};
  constexpr std::chrono::microseconds kWork{5};
  if (maxProcs() < 2) return kNone;
  const Chan<int> ping;
  const Chan<int> pong;
  go([=] {
    for (int i = 0; i < kIterations; ++i) {
      Delay(kDelay);
      ping.receive();
      Delay(kDelay + kWork);
      pong.send(i);
    }
  });
  const auto start = Clock::now();
  for (int i = 0; i < kIterations; ++i) {
    Delay(kDelay + kWork);
    ping.send(i);
    Delay(kDelay);
    pong.receive();
  }
  const std::chrono::nanoseconds work = 2 * (kDelay + kWork);
  return nanosecondsSince(start) / kIterations - static_cast<double>(work.count());
}

// Go's ParallelTimerLatency: timers of a millisecond, one P less than there are for their functions, each of
// which goes on until all have begun. The mean lateness.
double timerLatency() {
  constexpr int kRounds = 300;
  const int timers = maxProcs() - 1;
  if (timers < 1) return kNone;
  std::atomic<int64_t> late{0};
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> begun{0};
    WaitGroup group;
    group.add(timers);
    const auto due = Clock::now() + std::chrono::milliseconds(1);
    for (int i = 0; i < timers; ++i) {
      afterFunc(std::chrono::milliseconds(1), [&, due] {
        late += static_cast<int64_t>(nanosecondsSince(due));
        ++begun;
        while (begun < timers) checkpoint();
        group.done();
      });
    }
    while (begun < timers) checkpoint();
    group.wait();
    spinFor(std::chrono::milliseconds(1));
  }
  return static_cast<double>(late) / (kRounds * timers);
}

// Go's StaggeredTickerLatency: a ticker of 3 ms per P, begun one after another, and 300 us of work for each
// tick. The mean time from the tick to whoever waits for it.
double tickerLatency() {
  constexpr std::chrono::microseconds kPeriod{3'000};
  constexpr int kTicks = 200;
  const int tickers = maxProcs();
  if (tickers < 2) return kNone;
  std::atomic<int64_t> late{0};
  WaitGroup group;
  for (int i = 0; i < tickers; ++i) {
    spinFor(kPeriod / tickers);
    group.go([&] {
      const auto begun = Clock::now();
      const Ticker ticker(kPeriod);
      for (int k = 0; k < kTicks; ++k) {
        ticker.channel().receive();
        const auto since = std::chrono::nanoseconds(Clock::now() - begun);
        late += (since % kPeriod).count();
        spinFor(std::chrono::microseconds(300));
      }
    });
  }
  group.wait();
  return static_cast<double>(late) / (double{kTicks} * tickers);
}

struct Row {
  const char* name;
  double (*run)();
};

constexpr std::array kRows{
    Row{"yield", yield2},
    Row{"round-trip", roundTrip},
    Row{"buffered", buffered22},
    Row{"select", select2},
    Row{"spawn-join", spawnJoin},
    Row{"spawn-1000", spawn1000},
    Row{"chain", chain},
    Row{"mutex", mutex4},
    Row{"locked-main", lockedMain},
    Row{"locked-server", lockedServer},
    Row{"lines", lines},
    Row{"lock-unlock", lockUnlock},
    Row{"skynet", skynetMillion},
    Row{"sleepers", sleepers},
    Row{"echo", echo},
    Row{"wakeup", wakeup<spinFor>},
    Row{"wakeup-syscall", wakeup<sleepInKernel>},
    Row{"timer-latency", timerLatency},
    Row{"ticker-latency", tickerLatency},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  using namespace fairlead::runtime;
  const char* row = argc > 1 ? argv[1] : "";
  if (std::strcmp(row, "seed-free") == 0) seed(false);
  if (std::strcmp(row, "seed-locked") == 0) seed(true);
  for (const Row& known : kRows) {
    if (std::strcmp(row, known.name) == 0) return std::printf("%.1f\n", known.run()) > 0 ? 0 : 1;
  }
  std::fprintf(stderr, "no row '%s'\n", row);
  return 2;
}
