// Internal: how long to look for something before going to sleep.
//
// Putting a thread to sleep and waking it costs 5 to 20 microseconds; a thread that is still looking sees the
// event after a cache miss. So who is about to sleep looks first, for as long as that has lately been worth
// it: the budget doubles when the event came while looking and halves when it did not. A thread that waits
// long, or whose waker needs the same CPU, soon does not look at all; while its waits are short it tries
// again every now and then.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "runtime/futex.h"

namespace fairlead::runtime {

// SpinBudget belongs to the one thread that waits.
class SpinBudget {
 public:
  // allow() is called once, before a second thread runs goroutines; on one CPU the waker cannot run while
  // we look.
  static void allow(bool yes) { allowed_.store(yes, std::memory_order_relaxed); }

  // worthwhile() tells whether spin() would look at all.
  [[nodiscard]] bool worthwhile() const { return budget_ != 0 && allowed_.load(std::memory_order_relaxed); }

  // spin() calls arrived() until it returns true or the budget is used up; false then. Also when stay(),
  // which is asked now and then, says that there is something better to do: that leaves the budget as it was.
  template <class F>
  bool spin(F&& arrived) {
    return spin(arrived, [] { return true; });
  }
  template <class F, class S>
  bool spin(F&& arrived, S&& stay) {
    start_ = nanotime();
    if (!worthwhile()) return false;
    const int64_t until = start_ + budget_;
    do {
      for (int i = 0; i < kLooksPerClock; ++i) {
        if (arrived()) {
          budget_ = std::clamp(budget_ * 2, kLeast, kMost);
          return true;
        }
        cpuRelax();
      }
      if (!stay()) return false;
    } while (nanotime() < until);
    budget_ = budget_ > kLeast ? budget_ / 2 : 0;
    return false;
  }

  // slept() is called when the sleep has ended that followed a vain spin().
  void slept() {
    if (budget_ == 0 && nanotime() - start_ < kShortWait && ++shortWaits_ % kTryAgain == 0) budget_ = kMost;
  }

 private:
  static constexpr int64_t kLeast = 2'000;       // nanoseconds
  static constexpr int64_t kMost = 20'000;       // about what the kernel's way costs on a busy machine
  static constexpr int64_t kShortWait = 40'000;  // one that, less the kernel's share, would fit the budget
  static constexpr uint32_t kTryAgain = 16;
  static constexpr int kLooksPerClock = 16;

  static inline constinit std::atomic<bool> allowed_{false};
  int64_t budget_ = kLeast;
  int64_t start_ = 0;
  uint32_t shortWaits_ = 0;
};

}  // namespace fairlead::runtime
