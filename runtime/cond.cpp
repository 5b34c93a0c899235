#include "runtime/cond.h"

#include "runtime/gmp.h"

namespace fairlead::runtime {
namespace {

// before() compares tickets, of which fewer than 2^31 are out at a time.
bool before(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

}  // namespace

void Cond::waitFor(uint32_t ticket) {
  guard_.lock();
  if (before(ticket, called_.load(std::memory_order_relaxed))) return guard_.unlock();  // called meanwhile
  Waiter self{.gp = getm()->curg, .ticket = ticket};
  waiters_.pushBack(&self);
  gopark([](G*, void* guard) { static_cast<Lock*>(guard)->unlock(); }, &guard_, WaitReason::CondWait);
}

// Whoever has the ticket that is called may be on its way to the queue still: it will see that it was called.
void Cond::signal() {
  if (drawn_.load(std::memory_order_acquire) == called_.load(std::memory_order_acquire)) return;
  guard_.lock();
  const uint32_t ticket = called_.load(std::memory_order_relaxed);
  if (ticket == drawn_.load(std::memory_order_acquire)) return guard_.unlock();
  called_.store(ticket + 1, std::memory_order_release);
  Waiter* w = waiters_.front();
  while (w != nullptr && w->ticket != ticket) w = w->next;
  if (w != nullptr) waiters_.remove(w);
  guard_.unlock();
  if (w != nullptr) goready(w->gp);
}

void Cond::broadcast() {
  if (drawn_.load(std::memory_order_acquire) == called_.load(std::memory_order_acquire)) return;
  WaitList released;
  guard_.lock();
  waiters_.takeAll(released);
  called_.store(drawn_.load(std::memory_order_acquire), std::memory_order_release);
  guard_.unlock();
  while (Waiter* w = released.pop()) goready(w->gp);
}

}  // namespace fairlead::runtime
