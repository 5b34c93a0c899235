// How the micro benchmarks of the runtime measure: the median of rounds, in nanoseconds per operation.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/waitgroup.h"

namespace fairlead::runtime {

inline constexpr int kRounds = 11;

// What to run: the benchmarks whose names contain this text.
inline std::string_view wanted;

// measure() prints the median, least and greatest of kRounds rounds, each of which does n operations.
template <class F>
void measure(const char* name, int n, F&& operations) {
  if (std::string_view(name).find(wanted) == std::string_view::npos) return;
  std::vector<double> rounds;
  for (int i = 0; i <= kRounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    operations(n);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    if (i > 0) rounds.push_back(took.count() / n);  // the first warms up
  }
  std::sort(rounds.begin(), rounds.end());
  std::printf("%-52s %10.1f   (%.1f to %.1f)\n", name, rounds[kRounds / 2], rounds.front(), rounds.back());
}

inline void heading() {
  std::printf("%d Ps, nanoseconds per operation: median (least to greatest) of %d rounds\n", maxProcs(),
              kRounds);
}

// parallel() shares n operations among `each` goroutines per P: f(share).
template <class F>
void parallel(int n, F&& f, int each = 1) {
  const int workers = maxProcs() * each;
  WaitGroup group;
  for (int i = 0; i < workers; ++i) group.go([&f, share = n / workers] { f(share); });
  group.wait();
}

// units() is work that the optimizer leaves alone.
inline void units(int n) {
  for (int i = 0; i < n; ++i) asm volatile("" ::: "memory");
}

}  // namespace fairlead::runtime
