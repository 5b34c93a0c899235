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
    if (spin_.spin([this] { return set(); })) {
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

  // A thread that holds something which its waker would otherwise have to give it may linger before it
  // sleeps: it says so before anybody can want to wake it, looks for wakeLingering() for as long as that has
  // paid and stay() holds, and takes its word back if nobody came. False: nobody did, and sleep() is next.
  [[nodiscard]] bool mayLinger() const { return spin_.worthwhile(); }
  void announceLinger() { word_.store(kLingering, std::memory_order_relaxed); }
  template <class S>
  bool linger(S&& stay) {
    bool woken = spin_.spin([this] { return set(); }, stay);
    uint32_t lingering = kLingering;
    if (!woken) woken = !word_.compare_exchange_strong(lingering, kClear, std::memory_order_acquire);
    if (woken) word_.store(kClear, std::memory_order_relaxed);
    return woken;
  }
  // wakeLingering() is false, and does nothing, when the thread does not linger.
  [[nodiscard]] bool wakeLingering() {
    uint32_t lingering = kLingering;
    return word_.load(std::memory_order_relaxed) == kLingering &&
           word_.compare_exchange_strong(lingering, kSet, std::memory_order_acq_rel);
  }

 private:
  enum : uint32_t { kClear, kSet, kSleeping, kLingering };

  [[nodiscard]] bool set() const { return word_.load(std::memory_order_acquire) == kSet; }

  std::atomic<uint32_t> word_{kClear};
  SpinBudget spin_;
};

}  // namespace fairlead::runtime
