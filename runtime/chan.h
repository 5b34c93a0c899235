// Chan<T>: the channel of Go, for any T that can be moved without throwing.
//
// A Chan is a reference, as in Go: copies are the same channel, which lives as long as one of them. Capture
// it by value.
//
//     Chan<std::string> names(8);
//     go([names] { names.send("eth0"); names.close(); });
//     for (std::string name : names) ...
//
// Values and waiters are served first come, first served. A Chan constructed from nullptr is Go's nil
// channel: sending and receiving block for ever, it is never ready.
//
// All functions may be called from any goroutine; those that do not block, a send or receive that need not
// wait among them, from any thread. A send happens before the end of its receive, the k-th receive before the
// end of the send that is `capacity` later, and close() before a receive that finds the channel closed.
// Sending and receiving are poll points: see checkpoint().
#pragma once

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/chan_core.h"
#include "runtime/panic.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {

namespace detail {
class TimerState;
}

// Nothing is for channels whose messages say no more than that they came (Go: struct{}).
struct Nothing {};

// TryReceive is the outcome of Chan::tryReceive().
template <class T>
struct TryReceive {
  bool ready = false;      // false: nothing to receive, the channel is open
  std::optional<T> value;  // ready and no value: closed and drained
};

template <class T>
class Chan {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a channel carries values");
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a channel moves values between goroutines where nothing may throw");

  using Core = detail::ChanCore;

 public:
  using Element = T;

  // Chan() makes a channel that buffers `capacity` values; 0: each send waits for its receiver. Throws Panic
  // when the capacity is negative or too large.
  explicit Chan(std::ptrdiff_t capacity = 0) : core_(Core::make(capacity, detail::kElementOps<T>)) {}
  explicit Chan(std::nullptr_t) {}
  Chan(const Chan& other) : core_(other.core_) {
    if (core_ != nullptr) core_->retain();
  }
  Chan(Chan&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}  // leaves a nil channel
  Chan& operator=(Chan other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~Chan() {
    if (core_ != nullptr) core_->release();
  }

  // send() blocks until the value is received or buffered. Throws Panic when the channel is closed, even
  // meanwhile.
  void send(T value) const {
    if (core_ == nullptr) Core::blockForever(true);
    core_->send(&value, true);
    checkpoint();
  }

  // trySend() returns false, with the value still in place, when send() would block. Throws as send() does.
  bool trySend(T&& value) const {
    const bool sent = core_ != nullptr && core_->send(&value, false) == Core::Result::Done;
    checkpoint();
    return sent;
  }
  bool trySend(const T& value) const { return trySend(T(value)); }

  // receive() blocks until there is a value; nullopt: the channel is closed and drained.
  std::optional<T> receive() const {
    if (core_ == nullptr) Core::blockForever(false);
    std::optional<T> value;
    core_->receive(&value, true);
    checkpoint();
    return value;
  }

  // tryReceive() never blocks.
  TryReceive<T> tryReceive() const {
    TryReceive<T> result;
    result.ready = core_ != nullptr && core_->receive(&result.value, false) != Core::Result::NotReady;
    checkpoint();
    return result;
  }

  // close() ends the channel: what is buffered can still be received, all waiters are released, those that
  // send with a Panic. Throws Panic when it is closed already, or nil.
  void close() const {
    if (core_ == nullptr) throw Panic("close of nil channel");
    core_->close();
  }

  // len() and cap() are what they are at this moment; 0 for a nil channel, and for that of a timer.
  [[nodiscard]] std::size_t len() const { return core_ != nullptr && !core_->hidden() ? core_->length() : 0; }
  [[nodiscard]] std::size_t cap() const {
    return core_ != nullptr && !core_->hidden() ? core_->capacity() : 0;
  }

  // Equal channels are the same channel, or both nil.
  friend bool operator==(const Chan&, const Chan&) = default;
  friend bool operator==(const Chan& chan, std::nullptr_t) { return chan.core_ == nullptr; }

  // A range-for receives until the channel is closed and drained.
  class Iterator {
   public:
    explicit Iterator(const Chan& chan) : chan_(chan), value_(chan.receive()) {}
    T& operator*() { return *value_; }
    Iterator& operator++() {
      value_ = chan_.receive();
      return *this;
    }
    bool operator!=(std::nullptr_t) const { return value_.has_value(); }

   private:
    const Chan& chan_;
    std::optional<T> value_;
  };
  Iterator begin() const { return Iterator(*this); }
  std::nullptr_t end() const { return nullptr; }

 private:
  friend class SelectCase;
  friend class detail::TimerState;

  Core* core_ = nullptr;
};

}  // namespace fairlead::runtime
