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

void unlock(G*, void* lock) { static_cast<Lock*>(lock)->unlock(); }

}  // namespace

ChanCore::ChanCore(std::ptrdiff_t capacity, const ElementOps& ops)
    : ops_(ops), capacity_(static_cast<std::size_t>(capacity)) {
  constexpr auto kLimit = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  if (capacity < 0 || capacity_ > kLimit / ops.size) throw Panic("makechan: size out of range");
  if (capacity_ == 0) return;
  buffer_ = static_cast<std::byte*>(::operator new (capacity_* ops.size, std::align_val_t{ops.align}));
}

ChanCore::~ChanCore() {
  for (; count_.load(std::memory_order_relaxed) > 0; count_.fetch_sub(1, std::memory_order_relaxed)) {
    ops_.destroy(slot(receiveAt_));
    advance(receiveAt_);
  }
  ::operator delete (buffer_, std::align_val_t{ops_.align});
}

void ChanCore::waitIn(WaitList& list, Waiter& waiter, bool sending) {
  waiter.gp = getm()->curg;
  list.pushBack(&waiter);
  gopark(unlock, &lock_, sending ? WaitReason::ChanSend : WaitReason::ChanReceive);
}

ChanCore::Result ChanCore::send(void* from, bool block) {
  // An open channel seen full was full at that moment: a try may give up without the lock.
  if (!block && capacity_ > 0 && !closed_.load(std::memory_order_acquire) && length() == capacity_) {
    return Result::NotReady;
  }
  lock_.lock();
  if (closed_.load(std::memory_order_relaxed)) {
    lock_.unlock();
    throw Panic("send on closed channel");
  }
  if (Waiter* receiver = receivers_.pop()) {
    lock_.unlock();
    ops_.moveTo(receiver->value, from);
    receiver->granted = true;
    goready(receiver->gp);
    return Result::Done;
  }
  if (length() < capacity_) {
    ops_.moveTo(slot(sendAt_), from);
    advance(sendAt_);
    count_.fetch_add(1, std::memory_order_relaxed);
    lock_.unlock();
    return Result::Done;
  }
  if (!block) {
    lock_.unlock();
    return Result::NotReady;
  }
  Waiter waiter{.value = from};
  waitIn(senders_, waiter, true);
  if (!waiter.granted) throw Panic("send on closed channel");
  return Result::Done;
}

ChanCore::Result ChanCore::receive(void* to, bool block) {
  lock_.lock();
  if (length() > 0) {
    ops_.moveTo(to, slot(receiveAt_));
    advance(receiveAt_);
    Waiter* sender = senders_.pop();
    if (sender == nullptr) {
      count_.fetch_sub(1, std::memory_order_relaxed);
      lock_.unlock();
      return Result::Done;
    }
    ops_.moveTo(slot(sendAt_),
                sender->value);  // the ring was full: its value takes the place that became free
    advance(sendAt_);
    lock_.unlock();
    sender->granted = true;
    goready(sender->gp);
    return Result::Done;
  }
  if (Waiter* sender = senders_.pop()) {
    lock_.unlock();
    ops_.moveTo(to, sender->value);
    sender->granted = true;
    goready(sender->gp);
    return Result::Done;
  }
  if (closed_.load(std::memory_order_relaxed)) {
    lock_.unlock();
    return Result::Closed;
  }
  if (!block) {
    lock_.unlock();
    return Result::NotReady;
  }
  Waiter waiter{.value = to};
  waitIn(receivers_, waiter, false);
  return waiter.granted ? Result::Done : Result::Closed;
}

void ChanCore::close() {
  lock_.lock();
  if (closed_.exchange(true, std::memory_order_release)) {
    lock_.unlock();
    throw Panic("close of closed channel");
  }
  WaitList receivers = receivers_.take();
  WaitList senders = senders_.take();
  lock_.unlock();
  while (Waiter* w = receivers.pop()) goready(w->gp);
  while (Waiter* w = senders.pop()) goready(w->gp);
}

void ChanCore::blockForever(bool sending) {
  gopark(nullptr, nullptr, sending ? WaitReason::ChanSendNil : WaitReason::ChanReceiveNil);
  fatal("unreachable: nil channel woke up");
}

}  // namespace fairlead::runtime::detail
