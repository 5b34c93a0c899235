// What waiting costs: sleepers, timers that are stopped, deadlines, and TCP over loopback; the same in Go
// beside it when `go` is installed, both in turn, each round in a process of its own.
//
//     io_bench [ROUNDS [GO_SOURCE]]      FAIRLEAD_MAXPROCS and GOMAXPROCS set the number of Ps
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/blocking.h"
#include "runtime/net.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "runtime/time.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

void sleepers(int n) {
  WaitGroup group;
  for (int i = 0; i < n; ++i) group.go([] { sleep(10ms); });
  group.wait();
}

void startStop(int n) {
  for (int i = 0; i < n; ++i) afterFunc(1h, [] {}).stop();
}

std::pair<Fd, Fd> connection() {
  const Fd listener = listen(Transport::Tcp, Address::ip("127.0.0.1", 0));
  Fd left = dial(Transport::Tcp, localAddress(listener));
  return {std::move(left), listener.accept()};
}

void deadlines(int n) {
  const auto [left, right] = connection();
  for (int i = 0; i < n; ++i) left.setReadDeadline(Clock::now() + 1h);
}

void serve(const Fd& socket) {
  std::array<std::byte, 4096> buffer;
  while (const std::size_t n = socket.read(buffer)) socket.write(std::span(buffer).first(n));
}

void ask(const Fd& socket, int n) {
  std::array<std::byte, 512> request{};
  std::array<std::byte, 512> answer{};
  for (int i = 0; i < n; ++i) {
    socket.write(request);
    for (std::size_t got = 0; got < answer.size();) got += socket.read(std::span(answer).subspan(got));
  }
}

void echo(int n) {
  constexpr int kConnections = 64;
  WaitGroup group;
  for (int i = 0; i < kConnections; ++i) {
    auto [left, right] = connection();
    group.go([right = std::move(right)] { serve(right); });
    group.go([left = std::move(left), n] { ask(left, n / kConnections); });
  }
  group.wait();
}

struct Row {
  const char* name;
  const char* what;
  int n;
  void (*run)(int);
};

constexpr Row kRows[] = {
    {"sleepers", "goroutine started, asleep for 10 ms, joined; 100,000 at once", 100'000, sleepers},
    {"start-stop", "afterFunc started and stopped", 1'000'000, startStop},
    {"deadlines", "read deadline moved", 1'000'000, deadlines},
    {"echo", "TCP request of 512 bytes and its answer, 64 connections", 200'000, echo},
};

// once() is one measurement, in nanoseconds per operation, by a program that prints the sum.
double once(const std::string& program, const Row& row) {
  const std::string command = program + " " + row.name + " " + std::to_string(row.n);
  double total = 0;
  return blocking([&] {
    FILE* output = popen(command.c_str(), "r");
    const bool ok = output != nullptr && std::fscanf(output, "%lf", &total) == 1;
    if (output != nullptr) pclose(output);
    return ok ? total / row.n : 0;
  });
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int measureOne(const char* name, int n) {
  for (const Row& row : kRows) {
    if (std::strcmp(row.name, name) != 0) continue;
    row.run(n);
    const auto start = Clock::now();
    row.run(n);
    std::printf("%lld\n", static_cast<long long>((Clock::now() - start).count()));
    return 0;
  }
  return 2;
}

int compare(int rounds, const std::string& goSource) {
  const std::string ours = "/proc/" + std::to_string(getpid()) + "/exe";
  const std::string go = "/tmp/fairlead-io-bench-" + std::to_string(getpid());
  const bool hasGo = !goSource.empty() &&
                     blocking([&] {
                       return std::system(("go build -o " + go + " " + goSource + " 2>/dev/null").c_str());
                     }) == 0;
  std::printf("%d Ps, nanoseconds per operation, median of %d rounds\n", maxProcs(), rounds);
  for (const Row& row : kRows) {
    std::vector<double> a;
    std::vector<double> b;
    for (int i = 0; i < rounds; ++i) {
      a.push_back(once(ours, row));
      if (hasGo) b.push_back(once(go, row));
    }
    std::printf("%-64s %10.1f", row.what, median(a));
    if (hasGo) std::printf("   Go %10.1f   ratio %5.2f", median(b), median(b) / median(a));
    std::printf("\n");
  }
  if (hasGo) unlink(go.c_str());
  return 0;
}

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  using namespace fairlead::runtime;
  if (argc == 3 && std::atoi(argv[2]) > 0) return measureOne(argv[1], std::atoi(argv[2]));
  return compare(argc > 1 ? std::atoi(argv[1]) : 5, argc > 2 ? argv[2] : IO_BENCH_GO);
}
