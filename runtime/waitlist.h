// Internal to channels and sync: the goroutines that wait for something, first come, first served.
#pragma once

#include <cstdint>
#include <utility>

namespace fairlead::runtime {

struct G;

// Waiter is one wait. It lives on the stack of the goroutine that waits, which is safe because whoever takes
// it off its list makes the goroutine ready only after the last use.
struct Waiter {
  G* gp = nullptr;
  void* value = nullptr;  // channels: the value to send, or where to put the one received
  bool granted =
      false;  // what was waited for has happened; false: the channel was closed, the mutex is up for grabs
  int64_t since = 0;  // mutexes: nanotime() when the wait began
  Waiter* next = nullptr;
};

// WaitList is guarded by the lock of whoever owns it.
class WaitList {
 public:
  constexpr WaitList() = default;

  void pushBack(Waiter* w) {
    w->next = nullptr;
    (tail_ != nullptr ? tail_->next : head_) = w;
    tail_ = w;
  }
  void pushFront(Waiter* w) {
    w->next = head_;
    head_ = w;
    if (tail_ == nullptr) tail_ = w;
  }
  // pop() returns nullptr when nobody waits.
  Waiter* pop() {
    Waiter* w = head_;
    if (w == nullptr) return nullptr;
    head_ = w->next;
    if (head_ == nullptr) tail_ = nullptr;
    return w;
  }
  // take() returns all of them and leaves none.
  WaitList take() { return std::exchange(*this, WaitList{}); }
  [[nodiscard]] bool empty() const { return head_ == nullptr; }

 private:
  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
};

}  // namespace fairlead::runtime
