// Internal: a one-shot event on which one M sleeps and which one other thread sets.
//
// Waking a thread through the kernel and being woken costs 5 to 20 microseconds; a thread that is still
// looking at the word costs a cache miss. So sleep() spins first, for as long as spinning has lately been
// worth it: the budget doubles when the event came while spinning, comes back when it came shortly after
// going to sleep, and halves otherwise. A thread whose waits are long soon does not spin at all.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "runtime/futex.h"

namespace fairlead::runtime {

class Note {
 public:
  // allowSpinning() is called once, before a second thread exists; on one CPU the waker cannot run while we
  // spin.
  static void allowSpinning(bool yes) { spinning_ = yes; }

  // sleep() blocks the calling thread until wake() has been called, and clears the note. One thread only.
  void sleep() {
    const int64_t start = nanotime();
    if (spinning_ && spin(start)) return;
    uint32_t clear = kClear;
    if (word_.compare_exchange_strong(clear, kSleeping, std::memory_order_acquire)) {
      while (word_.load(std::memory_order_acquire) == kSleeping) futexSleep(word_, kSleeping);
    }
    word_.store(kClear, std::memory_order_relaxed);
    const bool wasShort = nanotime() - start < kWorthSpinning;
    budget_ = wasShort ? std::clamp(budget_ * 2, kMinBudget, kMaxBudget) : budget_ / 2;
  }

  // wake() ends the one sleep() that goes on or comes next. Returns false when the note was set already,
  // which only a broken protocol can bring about.
  [[nodiscard]] bool wake() {
    const uint32_t before = word_.exchange(kSet, std::memory_order_acq_rel);
    if (before == kSleeping) futexWake(word_);
    return before != kSet;
  }

 private:
  enum : uint32_t { kClear, kSet, kSleeping };
  static constexpr int64_t kMinBudget = 2'000;       // nanoseconds
  static constexpr int64_t kMaxBudget = 20'000;      // about what the kernel's way costs on a busy machine
  static constexpr int64_t kWorthSpinning = 40'000;  // a wait that, less the kernel's share, fits the budget
  static constexpr int kPausesPerLook = 16;

  bool spin(int64_t start) {
    const int64_t until = start + budget_;
    do {
      for (int i = 0; i < kPausesPerLook; ++i) {
        if (word_.load(std::memory_order_relaxed) == kSet) {
          word_.exchange(kClear, std::memory_order_acquire);
          budget_ = std::clamp(budget_ * 2, kMinBudget, kMaxBudget);
          return true;
        }
        cpuRelax();
      }
    } while (nanotime() < until);
    return false;
  }

  static inline constinit bool spinning_ = false;
  std::atomic<uint32_t> word_{kClear};
  int64_t budget_ = kMinBudget;  // written by the sleeper only
};

}  // namespace fairlead::runtime
