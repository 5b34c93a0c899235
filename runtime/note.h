// Internal: a one-shot event on which one M sleeps and which one other thread sets.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/futex.h"
#include "runtime/spin.h"

namespace fairlead::runtime {

class Note {
 public:
  // sleep() blocks the calling thread until wake() has been called, and clears the note. One thread only.
  void sleep() {
    if (spin_.spin([this] { return word_.load(std::memory_order_acquire) == kSet; })) {
      word_.store(kClear, std::memory_order_relaxed);
      return;
    }
    uint32_t clear = kClear;
    if (word_.compare_exchange_strong(clear, kSleeping, std::memory_order_acquire)) {
      while (word_.load(std::memory_order_acquire) == kSleeping) futexSleep(word_, kSleeping);
    }
    word_.store(kClear, std::memory_order_relaxed);
    spin_.slept();
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

  std::atomic<uint32_t> word_{kClear};
  SpinBudget spin_;
};

}  // namespace fairlead::runtime
