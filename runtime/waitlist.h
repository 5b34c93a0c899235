// Internal to channels and sync: the goroutines that wait for something, first come, first served.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace fairlead::runtime {

struct G;

// Waiter is one wait. It lives on the stack of the goroutine that waits, which is safe because stacks never
// move, and because whoever takes it off its list makes the goroutine ready only after the last use.
struct Waiter {
  G* gp = nullptr;
  void* value = nullptr;  // channels: the value to send, or the optional to fill
  // What was waited for has happened. False: the channel was closed, the mutex is up for grabs.
  bool granted = false;
  // A select waits on several lists: the one who puts the waiter it found in here, and no other, may wake it.
  std::atomic<Waiter*>* fired = nullptr;
  int64_t since = 0;    // mutexes: nanotime() when the wait began
  uint32_t ticket = 0;  // condition variables: the place in the order of arrival
  Waiter* next = nullptr;
  Waiter* prev = nullptr;
};

// WaitList is guarded by the lock of whoever owns it, but for empty(). Adding and removing take constant
// time.
class WaitList {
 public:
  constexpr WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  void pushBack(Waiter* w) {
    w->next = nullptr;
    w->prev = tail_;
    tail_ != nullptr ? void(tail_->next = w) : setHead(w);
    tail_ = w;
  }

  void pushFront(Waiter* w) {
    Waiter* first = front();
    w->prev = nullptr;
    w->next = first;
    (first != nullptr ? first->prev : tail_) = w;
    setHead(w);
  }

  // remove() does nothing when w is not on this list.
  void remove(Waiter* w) {
    if (w->prev == nullptr && front() != w) return;
    w->prev != nullptr ? void(w->prev->next = w->next) : setHead(w->next);
    (w->next != nullptr ? w->next->prev : tail_) = w->prev;
    w->next = w->prev = nullptr;
  }

  // pop() returns nullptr when nobody waits.
  Waiter* pop() {
    Waiter* w = front();
    if (w != nullptr) remove(w);
    return w;
  }

  // takeAll() moves all of them to the end of `to`, in constant time.
  void takeAll(WaitList& to) {
    Waiter* first = front();
    if (first == nullptr) return;
    first->prev = to.tail_;
    to.tail_ != nullptr ? void(to.tail_->next = first) : to.setHead(first);
    to.tail_ = std::exchange(tail_, nullptr);
    setHead(nullptr);
  }

  [[nodiscard]] Waiter* front() const { return head_.load(std::memory_order_relaxed); }

  // empty() may be asked without the lock: it was so at this moment.
  [[nodiscard]] bool empty() const { return head_.load(std::memory_order_acquire) == nullptr; }

 private:
  void setHead(Waiter* w) { head_.store(w, std::memory_order_release); }

  std::atomic<Waiter*> head_{nullptr};
  Waiter* tail_ = nullptr;
};

}  // namespace fairlead::runtime
