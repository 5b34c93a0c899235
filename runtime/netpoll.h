// Internal: goroutines that wait for file descriptors (Go: netpoll).
//
// A descriptor is registered once, edge-triggered, for both directions, and stays so until it is closed. Per
// direction one word says whether an edge has come or who waits for one: so there is no lock in waiting nor
// in waking, and no system call but the one that collects the events. netpoll.cpp is what every system would
// share, netpoll_epoll.cpp what is Linux. The first descriptor brings the poller up.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/g.h"
#include "runtime/lock.h"
#include "runtime/runq.h"
#include "runtime/timer.h"

namespace fairlead::runtime {

enum class PollMode : uint8_t { Read, Write };
enum class PollResult : uint8_t { Ready, Closing, Timeout };

// PollDesc is a descriptor that goroutines may wait for. Records are reused and never freed, as an event may
// be on its way when the descriptor is closed; the tag tells it from those of the next one.
class PollDesc {
 public:
  // open() registers fd. Returns nullptr when the kernel has nothing to wait for there (regular files);
  // throws std::system_error on other failures.
  static PollDesc* open(int fd);
  // close() ends the registration, after evict() and once nobody waits; fd must still be open.
  void close(int fd);

  // reset() forgets an edge that came earlier: call it before the attempt that is to find out, and wait() if
  // that says EAGAIN.
  PollResult reset(PollMode mode);
  // wait() parks until there has been an edge since reset(), evict(), or the deadline. One goroutine per
  // mode.
  PollResult wait(PollMode mode);
  // evict() releases those who wait, and all who will, with Closing.
  void evict();
  // setDeadline() is for reading, writing, or both. `when` is a nanotime(); 0: none. A past one releases
  // those who wait.
  void setDeadline(int64_t when, bool read, bool write);
  // hungUp() says that the peer has shut down or the descriptor is in error: there will be no more edge.
  [[nodiscard]] bool hungUp() const { return hungUp_.load(std::memory_order_acquire); }

  // For netpoll_epoll.cpp: an event has come, for a descriptor registered with `tag`. Who waited is appended
  // to `ready`.
  void event(uint16_t tag, bool read, bool write, bool hangup, GQueue& ready);

 private:
  // Direction is what there is once for reading and once for writing.
  struct Direction : Alarm {
    explicit Direction(PollDesc& desc) : Alarm(onAlarm), desc(desc) {}
    static void onAlarm(Alarm& alarm, uint32_t seq, int64_t now);

    PollDesc& desc;
    // kNil, kReady, kWait (about to park) or the G that is parked.
    std::atomic<uintptr_t> waiter{0};
    std::atomic<bool> expired{false};  // the deadline has passed; written under PollDesc::lock_
  };

  PollDesc() = default;
  static PollDesc* get();
  void put();
  Direction& of(PollMode mode) { return mode == PollMode::Read ? read_ : write_; }
  [[nodiscard]] PollResult check(const Direction& direction) const;
  static bool block(Direction& direction);
  static G* unblock(Direction& direction, bool edge);
  bool setAlarm(Direction& direction, int64_t when);

  Lock lock_{LockRank::Timed};  // guards the alarms, `expired` and `closing_`; Timers' own is taken under it
  std::atomic<bool> closing_{false};
  std::atomic<bool> hungUp_{false};
  std::atomic<uint16_t> tag_{0};
  Direction read_{*this};
  Direction write_{*this};
  PollDesc* link_ = nullptr;  // in the list of free ones
};

// netpollWaiters() is the number of goroutines parked in PollDesc::wait().
uint32_t netpollWaiters();

// ---- netpoll_epoll.cpp
bool netpollInited();
// netpollOpen() registers fd for everything that PollDesc::event() is told. Returns 0 or an errno.
int netpollOpen(int fd, PollDesc* desc, uint16_t tag);
int netpollClose(int fd);
// netpoll() collects events for at most `delay` nanoseconds, 0: those there are, -1: until there is one, and
// appends the goroutines that waited for them to `ready`. It may return early, with none.
void netpoll(int64_t delay, GQueue& ready);
// netpollBreak() ends a netpoll() that blocks, now or next. From any thread.
void netpollBreak();

}  // namespace fairlead::runtime
