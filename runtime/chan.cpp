// The untyped core of channels.
//
// A value goes from stack to stack when the other side already waits, else through the ring. Waking happens
// after the lock is released: the woken one may want it.
#include "runtime/chan.h"

#include <limits>
#include <new>

#include "runtime/fatal.h"
#include "runtime/gmp.h"

namespace fairlead::runtime::detail {
namespace {

void unlock(G*, void* chan) { static_cast<ChanCore*>(chan)->unlock(); }

// pop() takes the first waiter that is still to be had: a select may have been woken by another channel.
Waiter* pop(WaitList& list) {
  while (Waiter* w = list.pop()) {
    Waiter* nobody = nullptr;
    if (w->fired == nullptr || w->fired->compare_exchange_strong(nobody, w, std::memory_order_relaxed)) {
      return w;
    }
  }
  return nullptr;
}

constexpr std::size_t ringOffset(std::size_t align) { return (sizeof(ChanCore) + align - 1) / align * align; }

// Every allocation of a common alignment goes the plain way, which is the fast one.
bool plain(std::size_t align) { return align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__; }

}  // namespace

ChanCore* ChanCore::make(std::ptrdiff_t capacity, const ElementOps& ops) {
  const std::size_t offset = ringOffset(ops.align);
  const std::size_t limit = std::numeric_limits<std::ptrdiff_t>::max() - offset;
  const auto n = static_cast<std::size_t>(capacity);
  if (capacity < 0 || (ops.size != 0 && n > limit / ops.size)) throw Panic("makechan: size out of range");
  const std::size_t bytes = offset + n * ops.size;
  void* block =
      plain(ops.align) ? ::operator new(bytes) : ::operator new (bytes, std::align_val_t{ops.align});
  return ::new (block) ChanCore(n, ops, static_cast<std::byte*>(block) + offset);
}

void ChanCore::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const std::size_t align = ops_.align;
  this->~ChanCore();
  plain(align) ? ::operator delete(this) : ::operator delete (this, std::align_val_t{align});
}

ChanCore::~ChanCore() {
  for (std::size_t left = length(); left > 0; --left, advance(receiveAt_)) ops_.destroy(slot(receiveAt_));
}

ChanCore::Result ChanCore::sendNow(void* variable, G*& wake) {
  if (closed_.load(std::memory_order_relaxed)) return Result::Closed;
  if (Waiter* receiver = pop(receivers_)) {
    ops_.hand(receiver->value, variable);
    receiver->granted = true;
    wake = receiver->gp;
    return Result::Done;
  }
  const std::size_t n = length();
  if (n == capacity_) return Result::NotReady;
  ops_.put(slot(sendAt_), variable);
  advance(sendAt_);
  count(n + 1);
  return Result::Done;
}

ChanCore::Result ChanCore::receiveNow(void* optional, G*& wake) {
  const std::size_t n = length();
  if (n > 0) {
    ops_.take(optional, slot(receiveAt_));
    advance(receiveAt_);
  }
  if (Waiter* sender = pop(senders_)) {
    if (n > 0) {  // the ring was full: the sender's value takes the place that became free
      ops_.put(slot(sendAt_), sender->value);
      advance(sendAt_);
    } else {
      ops_.hand(optional, sender->value);
    }
    sender->granted = true;
    wake = sender->gp;
    return Result::Done;
  }
  if (n == 0) return closed_.load(std::memory_order_relaxed) ? Result::Closed : Result::NotReady;
  count(n - 1);
  return Result::Done;
}

// wait() releases the lock. It returns false when the channel was closed meanwhile.
bool ChanCore::wait(Waiter& self, bool sending) {
  self.gp = getm()->curg;
  waiters(sending).pushBack(&self);
  gopark(detail::unlock, this, sending ? WaitReason::ChanSend : WaitReason::ChanReceive);
  return self.granted;
}

// An attempt may be refused without the lock. It was seen open, then full: a closed channel never opens
// again, so there was a moment when it was both. (This and receive() are flattened: the calls within would
// cost 3 ns.)
[[gnu::flatten]] ChanCore::Result ChanCore::send(void* variable, bool block) {
  if (!block && !closed_.load(std::memory_order_acquire) && full()) return Result::NotReady;
  G* wake = nullptr;
  lock();
  Result result = sendNow(variable, wake);
  if (result == Result::NotReady && block) {
    Waiter self{.value = variable};
    result = wait(self, true) ? Result::Done : Result::Closed;
  } else {
    unlock();
  }
  if (result == Result::Closed) throw Panic("send on closed channel");
  if (wake != nullptr) goready(wake);
  return result;
}

// Here emptiness comes first: found open afterwards, the channel was open and empty at one moment. Found
// closed, it may have been sent to and closed in between: but once closed and empty it stays so.
[[gnu::flatten]] ChanCore::Result ChanCore::receive(void* optional, bool block) {
  if (drained()) {
    if (!closed_.load(std::memory_order_acquire)) {
      if (!block) return Result::NotReady;
    } else if (drained()) {
      return Result::Closed;
    }
  }
  G* wake = nullptr;
  lock();
  const Result result = receiveNow(optional, wake);
  if (result == Result::NotReady && block) {
    Waiter self{.value = optional};
    return wait(self, false) ? Result::Done : Result::Closed;
  }
  unlock();
  if (wake != nullptr) goready(wake);
  return result;
}

void ChanCore::close() {
  lock();
  if (closed_.load(std::memory_order_relaxed)) {
    unlock();
    throw Panic("close of closed channel");
  }
  closed_.store(true, std::memory_order_release);
  WaitList released;
  while (Waiter* receiver = pop(receivers_)) released.pushBack(receiver);
  while (Waiter* sender = pop(senders_)) released.pushBack(sender);
  unlock();
  while (Waiter* w = released.pop()) goready(w->gp);
}

void ChanCore::blockForever(bool sending) {
  gopark(nullptr, nullptr, sending ? WaitReason::ChanSendNil : WaitReason::ChanReceiveNil);
  fatal("unreachable: nil channel woke up");
}

}  // namespace fairlead::runtime::detail
