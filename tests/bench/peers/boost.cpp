// The rows of the comparison that Boost.Fiber can run. See fairlead.cpp. PEER_PROCS is the number of threads:
// with one, its round-robin scheduler, with more, its work-stealing one.
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace {

namespace fibers = boost::fibers;
using Clock = std::chrono::steady_clock;
using Stack = fibers::fixedsize_stack;

constexpr size_t kStackSize = 16UL * 1024;

double nanosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

template <class F>
double perOperation(int n, F&& f) {
  f(n / 10);
  const auto start = Clock::now();
  f(n);
  return nanosecondsSince(start) / n;
}

template <class F>
fibers::fiber start(F&& f) {
  return {fibers::launch::post, std::allocator_arg, Stack(kStackSize), std::forward<F>(f)};
}

void joinAll(std::vector<fibers::fiber>& all) {
  for (fibers::fiber& one : all) one.join();
}

double yield2() {
  return perOperation(4'000'000, [](int n) {
    std::vector<fibers::fiber> group;
    for (int i = 0; i < 2; ++i) {
      group.push_back(start([n] {
        for (int k = 0; k < n / 2; ++k) boost::this_fiber::yield();
      }));
    }
    joinAll(group);
  });
}

double roundTrip() {
  return perOperation(500'000, [](int n) {
    fibers::unbuffered_channel<int> ask;
    fibers::unbuffered_channel<int> answer;
    fibers::fiber server = start([&] {
      for (const int value : ask) answer.push(value);
    });
    int got = 0;
    for (int i = 0; i < n; ++i) {
      ask.push(i);
      answer.pop(got);
    }
    ask.close();
    server.join();
  });
}

double buffered22() {
  return perOperation(4'000'000, [](int n) {
    fibers::buffered_channel<int> values(128);
    std::vector<fibers::fiber> producers;
    std::vector<fibers::fiber> consumers;
    for (int i = 0; i < 2; ++i) {
      producers.push_back(start([&values, n] {
        for (int k = 0; k < n / 2; ++k) values.push(k);
      }));
      consumers.push_back(start([&values] {
        for ([[maybe_unused]] const int value : values) {
        }
      }));
    }
    joinAll(producers);
    values.close();
    joinAll(consumers);
  });
}

double spawnJoin() {
  return perOperation(500'000, [](int n) {
    for (int i = 0; i < n; ++i) start([] {}).join();
  });
}

double spawn1000() {
  return perOperation(1'000'000, [](int n) {
    for (int i = 0; i < n; i += 1000) {
      std::vector<fibers::fiber> group;
      group.reserve(1000);
      for (int k = 0; k < 1000; ++k) group.push_back(start([] {}));
      joinAll(group);
    }
  });
}

void link(int n, fibers::unbuffered_channel<bool>& done) {
  if (n == 0) {
    done.push(true);
    return;
  }
  start([n, &done] { link(n - 1, done); }).detach();
}

double chain() {
  return perOperation(1'000'000, [](int n) {
    fibers::unbuffered_channel<bool> done;
    link(n, done);
    bool got = false;
    done.pop(got);
  });
}

double mutex4() {
  return perOperation(8'000'000, [](int n) {
    fibers::mutex mutex;
    uint64_t guarded = 0;
    std::vector<fibers::fiber> group;
    for (int i = 0; i < 4; ++i) {
      group.push_back(start([&, n] {
        for (int k = 0; k < n / 4; ++k) {
          mutex.lock();
          guarded = guarded + 1;
          mutex.unlock();
        }
      }));
    }
    joinAll(group);
  });
}

using Sums = fibers::unbuffered_channel<int64_t>;

void skynet(Sums& up, int64_t number, int64_t size) {
  if (size == 1) {
    up.push(number);
    return;
  }
  Sums below;
  std::vector<fibers::fiber> children;
  for (int i = 0; i < 10; ++i) {
    children.push_back(start([=, &below] { skynet(below, number + i * (size / 10), size / 10); }));
  }
  int64_t sum = 0;
  for (int i = 0; i < 10; ++i) {
    int64_t one = 0;
    below.pop(one);
    sum += one;
  }
  joinAll(children);
  up.push(sum);
}

double skynetMillion() {
  const auto begin = Clock::now();
  Sums result;
  fibers::fiber root = start([&result] { skynet(result, 0, 1'000'000); });
  int64_t sum = 0;
  result.pop(sum);
  const double took = nanosecondsSince(begin);
  root.join();
  return sum == 499'999'500'000 ? took : -1;
}

double sleepers() {
  const auto run = [] {
    std::vector<fibers::fiber> group;
    group.reserve(100'000);
    for (int i = 0; i < 100'000; ++i) {
      group.push_back(start([] { boost::this_fiber::sleep_for(std::chrono::milliseconds(10)); }));
    }
    joinAll(group);
  };
  run();
  const auto begin = Clock::now();
  run();
  return nanosecondsSince(begin);
}

struct Row {
  const char* name;
  double (*run)();
};

constexpr Row kRows[] = {
    {"yield", yield2},         {"round-trip", roundTrip}, {"buffered", buffered22},
    {"spawn-join", spawnJoin}, {"spawn-1000", spawn1000}, {"chain", chain},
    {"mutex", mutex4},         {"skynet", skynetMillion}, {"sleepers", sleepers},
};

// Workers have to be there before the first fiber, and go when the row is done.
double runOn(unsigned threads, double (*row)()) {
  if (threads < 2) return row();
  fibers::mutex mutex;
  fibers::condition_variable_any ended;
  bool done = false;
  std::vector<std::thread> workers;
  for (unsigned i = 1; i < threads; ++i) {
    workers.emplace_back([&, threads] {
      fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(threads, true);
      std::unique_lock<fibers::mutex> lock(mutex);
      ended.wait(lock, [&] { return done; });
    });
  }
  fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(threads, true);
  const double result = row();
  {
    const std::unique_lock<fibers::mutex> lock(mutex);
    done = true;
  }
  ended.notify_all();
  for (std::thread& worker : workers) worker.join();
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const char* procs = std::getenv("PEER_PROCS");
  const auto threads = static_cast<unsigned>(procs != nullptr ? std::atoi(procs) : 1);
  if (argc > 1 && std::strcmp(argv[1], "version") == 0)
    return std::printf("Boost %s\n", BOOST_LIB_VERSION) < 0;
  for (const Row& row : kRows) {
    if (argc > 1 && std::strcmp(argv[1], row.name) == 0)
      return std::printf("%.1f\n", runOn(threads, row.run)) < 0;
  }
  return 2;
}
