// Internal: the one idle M that watches the clock and the network.
//
// An M without work gives up its P, and the first to do so becomes the keeper: it sleeps until the first
// timer is due or a descriptor has an event. So no thread is held by what sleeps or waits for I/O, and no
// thread beyond that one is awake for it. Before there is a descriptor it sleeps on a futex, then in epoll.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/runq.h"

namespace fairlead::runtime {

class Keeper {
 public:
  constexpr Keeper() = default;

  // keep() is called by an M that has given up its P. It returns false at once when there is nothing to wait
  // for or there is a keeper already; else true when a timer may be due or goroutines in `ready` have had
  // their event.
  bool keep(GQueue& ready);
  // poll() collects without waiting what a keeper would, while there is none; for Ms with a P, and sysmon.
  void poll(GQueue& ready);
  // stale() says that nobody has looked at the network for ten milliseconds although goroutines wait.
  [[nodiscard]] bool stale() const;
  // wake() makes the keeper look again.
  void wake();
  // expect() says that something is due at `when`: the keeper is woken if it sleeps for longer. Returns false
  // when there is none.
  bool expect(int64_t when);
  // useless() says that the keeper sleeps for a time at which nothing is to happen any more.
  [[nodiscard]] bool useless() const;
  // wanted() says that a P is idle, whose M could be the keeper, and nobody is.
  [[nodiscard]] bool wanted() const;
  // needed() says that there is something to wait for, and nobody does.
  [[nodiscard]] bool needed() const;

 private:
  std::atomic<bool> kept_{false};
  std::atomic<int64_t> until_{0};  // it sleeps until then; 0: it is awake, and will look again
  std::atomic<bool> polling_{false};
  std::atomic<int64_t> lastPoll_{0};
  std::atomic<uint32_t> changes_{0};  // the keeper sleeps on it while there is no epoll
};

extern Keeper keeper;

}  // namespace fairlead::runtime
