#include "runtime/keeper.h"

#include "runtime/futex.h"
#include "runtime/gmp.h"
#include "runtime/netpoll.h"
#include "runtime/timer.h"

namespace fairlead::runtime {

constinit Keeper keeper;

bool Keeper::keep(GQueue& ready) {
  if (!needed() || kept_.exchange(true, std::memory_order_seq_cst)) return false;
  while (timers.pending() || netpollWaiters() != 0) {
    const uint32_t changes = changes_.load(std::memory_order_seq_cst);
    const int64_t next = timers.next();
    const int64_t delay = next == Timers::kNever ? -1 : next - nanotime();
    if (next != Timers::kNever && delay <= 0) break;
    until_.store(next, std::memory_order_seq_cst);
    // Looked at again: who has changed it meanwhile has either been seen here, or has seen until_.
    if (timers.next() != next) continue;
    if (netpollInited()) {
      netpoll(delay, ready);
      lastPoll_.store(nanotime(), std::memory_order_relaxed);
    } else {
      futexSleep(changes_, changes, delay < 0 ? -1 : next);
    }
    until_.store(0, std::memory_order_seq_cst);
    if (!ready.empty()) break;
  }
  until_.store(0, std::memory_order_seq_cst);
  kept_.store(false, std::memory_order_seq_cst);
  return true;
}

void Keeper::poll(GQueue& ready) {
  if (netpollWaiters() == 0 || kept_.load(std::memory_order_relaxed)) return;
  if (polling_.exchange(true, std::memory_order_acquire)) return;
  lastPoll_.store(nanotime(), std::memory_order_relaxed);
  netpoll(0, ready);
  polling_.store(false, std::memory_order_release);
}

bool Keeper::stale() const {
  constexpr int64_t kPatience = 10'000'000;
  return netpollWaiters() != 0 && !kept_.load(std::memory_order_relaxed) &&
         nanotime() - lastPoll_.load(std::memory_order_relaxed) > kPatience;
}

void Keeper::wake() {
  changes_.fetch_add(1, std::memory_order_seq_cst);
  if (!kept_.load(std::memory_order_seq_cst)) return;
  if (netpollInited()) netpollBreak();
  futexWake(changes_);
}

bool Keeper::expect(int64_t when) {
  if (!kept_.load(std::memory_order_seq_cst)) return false;
  if (until_.load(std::memory_order_seq_cst) > when) wake();
  return true;
}

bool Keeper::useless() const {
  return kept_.load(std::memory_order_relaxed) && !timers.pending() && netpollWaiters() == 0;
}

bool Keeper::needed() const {
  return (timers.pending() || netpollWaiters() != 0) && !kept_.load(std::memory_order_seq_cst);
}

bool Keeper::wanted() const { return needed() && sched.npidle.load(std::memory_order_seq_cst) != 0; }

}  // namespace fairlead::runtime
