// A timer is an alarm and what to do then. Its lock puts setting the alarm, taking it back and what it does
// in an order; the locks of the timers and of the channel are taken under it. Whoever is to be made ready is
// so after it is released.
#include "runtime/time.h"

#include <utility>

#include "runtime/gmp.h"
#include "runtime/panic.h"
#include "runtime/runtime.h"
#include "runtime/timer.h"

namespace fairlead::runtime {
namespace detail {

class TimerState : public std::enable_shared_from_this<TimerState>, private Alarm {
 public:
  TimerState() : Alarm(onAlarm), channel_(1) { channel_.core_->hide(); }
  explicit TimerState(std::move_only_function<void()> f)
      : Alarm(onAlarm), channel_(nullptr), f_(std::move(f)) {}

  // reset() sets the timer, also for the first time; with a period it goes on for ever.
  bool reset(std::chrono::nanoseconds d, std::chrono::nanoseconds period = {});
  bool stop();
  [[nodiscard]] const Chan<Time>& channel() const { return channel_; }

 private:
  static void onAlarm(Alarm& alarm, uint32_t seq, int64_t now) {
    static_cast<TimerState&>(alarm).fired(seq, now);
  }
  void fired(uint32_t seq, int64_t now);
  G* send(int64_t now);
  bool arm(int64_t when);
  bool disarm();
  void expectOneLess();

  Lock lock_{LockRank::Timed};  // guards what follows, and Alarm::seq
  bool active_ = false;
  int64_t when_ = 0;
  int64_t period_ = 0;
  uint32_t expected_ = 0;             // calls of fired(): set and not cleared, or due and not yet made
  std::shared_ptr<TimerState> self_;  // while there are any
  const Chan<Time> channel_;
  std::move_only_function<void()> f_;
};

bool TimerState::arm(int64_t when) {
  active_ = true;
  when_ = when;
  if (expected_++ == 0) self_ = shared_from_this();
  return timers.set(*this, when);
}

// disarm() takes back what was sent and not received, too: true when it prevented something.
bool TimerState::disarm() {
  if (timers.clear(*this)) expectOneLess();
  const bool unreceived = channel_.tryReceive().ready;
  return std::exchange(active_, false) || unreceived;
}

// The caller has a reference of its own: nothing is freed here.
void TimerState::expectOneLess() {
  if (--expected_ == 0) self_.reset();
}

bool TimerState::reset(std::chrono::nanoseconds d, std::chrono::nanoseconds period) {
  lock_.lock();
  const bool pending = disarm();
  period_ = period.count();
  const bool earlier = arm(timeAfter(d.count()));
  lock_.unlock();
  if (earlier) timers.announce();
  return pending;
}

bool TimerState::stop() {
  lock_.lock();
  const bool pending = disarm();
  lock_.unlock();
  return pending;
}

// send() returns who has to be made ready for it. With a tick in the channel that is not received yet there
// is no room for this one.
G* TimerState::send(int64_t now) {
  Time time{std::chrono::nanoseconds(now)};
  G* wake = nullptr;
  channel_.core_->lock();
  channel_.core_->sendNow(&time, wake);
  channel_.core_->unlock();
  return wake;
}

void TimerState::fired(uint32_t seq, int64_t now) {
  std::shared_ptr<TimerState> self = shared_from_this();
  lock_.lock();
  expectOneLess();
  const bool due = seq == Alarm::seq;
  if (due) active_ = false;
  G* receiver = due && f_ == nullptr ? send(now) : nullptr;
  const bool earlier = due && period_ > 0 && arm(when_ + period_ * (1 + (now - when_) / period_));
  lock_.unlock();
  if (earlier) timers.announce();
  if (receiver != nullptr) goready(receiver);
  if (f_ == nullptr) return;
  go([due, self = std::move(self)] {  // where f_ is destroyed, too, if we have the last reference
    if (due) self->f_();
  });
}

}  // namespace detail

namespace {

// started() sets the first alarm of `state`. From then on there is more to do than what main does.
std::shared_ptr<detail::TimerState> started(std::shared_ptr<detail::TimerState> state,
                                            std::chrono::nanoseconds d,
                                            std::chrono::nanoseconds period = {}) {
  getm();
  if (!sched.multi.load(std::memory_order_relaxed)) schedinit();
  state->reset(d, period);
  return state;
}

}  // namespace

Timer newTimer(std::chrono::nanoseconds d) {
  return Timer(started(std::make_shared<detail::TimerState>(), d));
}

Chan<Time> after(std::chrono::nanoseconds d) { return newTimer(d).channel(); }

Timer afterFunc(std::chrono::nanoseconds d, std::move_only_function<void()> f) {
  if (f == nullptr) detail::goNil();
  return Timer(started(std::make_shared<detail::TimerState>(std::move(f)), d));
}

Chan<Time> Timer::channel() const { return state_ != nullptr ? state_->channel() : Chan<Time>(nullptr); }

bool Timer::stop() const {
  if (state_ == nullptr) throw Panic("time: Stop called on uninitialized Timer");
  return state_->stop();
}

bool Timer::reset(std::chrono::nanoseconds d) const {
  if (state_ == nullptr) throw Panic("time: Reset called on uninitialized Timer");
  return state_->reset(d);
}

Ticker::Ticker(std::chrono::nanoseconds period) {
  if (period.count() <= 0) throw Panic("non-positive interval for NewTicker");
  state_ = started(std::make_shared<detail::TimerState>(), period, period);
}

Ticker::~Ticker() {
  if (state_ != nullptr) state_->stop();
}

Ticker& Ticker::operator=(Ticker&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Chan<Time> Ticker::channel() const { return state_->channel(); }

void Ticker::stop() { state_->stop(); }

void Ticker::reset(std::chrono::nanoseconds period) {
  if (period.count() <= 0) throw Panic("non-positive interval for Ticker.Reset");
  state_->reset(period, period);
}

}  // namespace fairlead::runtime
