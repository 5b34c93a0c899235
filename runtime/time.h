// Timer and Ticker: Go's package time, as far as it concerns goroutines. runtime.h has sleep().
//
//     Timer timeout = newTimer(5s);
//     ... timeout.channel().receive() ...
//     timeout.stop();
//
// After stop() or reset() has returned, nothing that was sent before can be received any more (Go 1.23), so
// neither needs its channel drained. Times are CLOCK_MONOTONIC. A duration of zero or less is due at once,
// one that leads beyond the end of time never. All functions may be called from any goroutine, and none
// parks.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "runtime/chan.h"

namespace fairlead::runtime {

using Time = std::chrono::steady_clock::time_point;

namespace detail {
class TimerState;
}

// Timer is a reference: copies are the same timer. It fires although nobody holds it any more. A Timer
// constructed from nothing is Go's zero Timer: stop() and reset() throw Panic.
class Timer {
 public:
  Timer() = default;

  // channel() is sent the time when the timer fires; nil for a timer of afterFunc(). It shows no buffer:
  // len() and cap() are 0.
  [[nodiscard]] Chan<Time> channel() const;
  // stop() returns true when it prevented the timer from firing: nothing will be received, the function not
  // be started. It does not wait for a function that has been started.
  bool stop() const;
  // reset() makes the timer fire after d from now. Returns true when it was still to fire.
  bool reset(std::chrono::nanoseconds d) const;

 private:
  friend Timer newTimer(std::chrono::nanoseconds d);
  friend Timer afterFunc(std::chrono::nanoseconds d, std::move_only_function<void()> f);
  explicit Timer(std::shared_ptr<detail::TimerState> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::TimerState> state_;
};

// newTimer() makes a timer that sends the time to its channel after d.
Timer newTimer(std::chrono::nanoseconds d);

// after() is newTimer(d).channel(), for a timer that is never stopped.
Chan<Time> after(std::chrono::nanoseconds d);

// afterFunc() makes a timer that calls f after d, on a goroutine of its own. reset() has it called again,
// maybe while the call before goes on.
Timer afterFunc(std::chrono::nanoseconds d, std::move_only_function<void()> f);

// Ticker sends the time to its channel every `period`, until it is stopped or destroyed. A receiver that is
// late finds one tick, those in between are left out, and the next comes when it would have come anyway.
class Ticker {
 public:
  // Throws Panic unless the period is positive, as reset() does.
  explicit Ticker(std::chrono::nanoseconds period);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;
  Ticker(Ticker&&) = default;
  Ticker& operator=(Ticker&& other) noexcept;

  [[nodiscard]] Chan<Time> channel() const;
  // stop() ends the ticks; the channel stays open.
  void stop();
  // reset() has the next tick come after `period` from now, and then every `period`.
  void reset(std::chrono::nanoseconds period);

 private:
  std::shared_ptr<detail::TimerState> state_;
};

}  // namespace fairlead::runtime
