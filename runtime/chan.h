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
// channel: sending and receiving block for ever, it is never ready. All functions may be called from any
// goroutine.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/lock.h"
#include "runtime/panic.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime {

namespace detail {

// How the untyped core handles a value it knows nothing of.
struct ElementOps {
  std::size_t size;
  std::size_t align;
  void (*moveTo)(void* to, void* from) noexcept;  // constructs `to`, destroys `from`
  void (*destroy)(void* value) noexcept;
};

template <class T>
inline constexpr ElementOps kElementOps{sizeof(T), alignof(T),
                                        [](void* to, void* from) noexcept {
                                          ::new (to) T(std::move(*static_cast<T*>(from)));
                                          static_cast<T*>(from)->~T();
                                        },
                                        [](void* value) noexcept { static_cast<T*>(value)->~T(); }};

// ChanCore is the channel without its element type: see chan.cpp.
class ChanCore {
 public:
  enum class Result { Done, NotReady, Closed };

  ChanCore(std::ptrdiff_t capacity, const ElementOps& ops);
  ~ChanCore();
  ChanCore(const ChanCore&) = delete;
  ChanCore& operator=(const ChanCore&) = delete;

  // send() moves the value out of `from`. Without `block` it may answer NotReady, and leaves the value where
  // it is. Throws Panic on a closed channel, the value untouched.
  Result send(void* from, bool block);
  // receive() constructs a value in `to`, or answers Closed: closed and drained.
  Result receive(void* to, bool block);
  void close();
  [[nodiscard]] std::size_t length() const { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  [[noreturn]] static void blockForever(bool sending);

 private:
  void* slot(std::size_t i) { return buffer_ + i * ops_.size; }
  void advance(std::size_t& i) const { i = i + 1 == capacity_ ? 0 : i + 1; }
  void waitIn(WaitList& list, Waiter& waiter, bool sending);

  const ElementOps& ops_;
  const std::size_t capacity_;
  std::byte* buffer_ = nullptr;
  Lock lock_;  // guards what follows; the atomics may be read without it
  std::atomic<bool> closed_{false};
  std::atomic<std::size_t> count_{0};
  std::size_t sendAt_ = 0;
  std::size_t receiveAt_ = 0;
  // At most one is non-empty; receivers wait only for an empty buffer, senders only for a full one.
  WaitList receivers_;
  WaitList senders_;
};

}  // namespace detail

// TryReceive is the outcome of Chan::tryReceive().
template <class T>
struct TryReceive {
  bool ready = false;      // false: nothing to receive, the channel is open
  std::optional<T> value;  // ready and no value: closed and drained
};

template <class T>
class Chan {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a channel moves values between goroutines where nothing may throw");

 public:
  // Chan() makes a channel that buffers `capacity` values; 0: each send waits for its receiver. Throws Panic
  // when the capacity is negative or too large.
  explicit Chan(std::ptrdiff_t capacity = 0)
      : core_(std::make_shared<detail::ChanCore>(capacity, detail::kElementOps<T>)) {}
  explicit Chan(std::nullptr_t) {}

  // send() blocks until the value is received or buffered. Throws Panic when the channel is closed, even
  // meanwhile.
  void send(T value) const {
    if (core_ == nullptr) detail::ChanCore::blockForever(true);
    Slot slot;
    ::new (slot.bytes) T(std::move(value));
    try {
      core_->send(slot.bytes, true);
    } catch (...) {
      slot.value().~T();
      throw;
    }
  }

  // trySend() returns false, with the value still in place, when send() would block. Throws as send() does.
  bool trySend(T&& value) const {
    if (core_ == nullptr) return false;
    Slot slot;
    ::new (slot.bytes) T(std::move(value));
    try {
      if (core_->send(slot.bytes, false) == detail::ChanCore::Result::Done) return true;
    } catch (...) {
      slot.value().~T();
      throw;
    }
    value.~T();
    ::new (&value) T(std::move(slot.value()));
    slot.value().~T();
    return false;
  }
  bool trySend(const T& value) const { return trySend(T(value)); }

  // receive() blocks until there is a value; nullopt: the channel is closed and drained.
  std::optional<T> receive() const {
    if (core_ == nullptr) detail::ChanCore::blockForever(false);
    return receiveFrom(true).value;
  }

  // tryReceive() never blocks.
  TryReceive<T> tryReceive() const {
    if (core_ == nullptr) return {};
    return receiveFrom(false);
  }

  // close() ends the channel: what is buffered can still be received, all waiters are released. Throws Panic
  // when it is closed already, or nil.
  void close() const {
    if (core_ == nullptr) throw Panic("close of nil channel");
    core_->close();
  }

  // len() and cap() are what they are at this moment; 0 for a nil channel.
  [[nodiscard]] std::size_t len() const { return core_ != nullptr ? core_->length() : 0; }
  [[nodiscard]] std::size_t cap() const { return core_ != nullptr ? core_->capacity() : 0; }

  friend bool operator==(const Chan&, const Chan&) = default;

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
  // Raw memory for one value: the core constructs and destroys.
  struct Slot {
    alignas(T) std::byte bytes[sizeof(T)];
    T& value() { return *std::launder(reinterpret_cast<T*>(bytes)); }
  };

  TryReceive<T> receiveFrom(bool block) const {
    Slot slot;
    switch (core_->receive(slot.bytes, block)) {
      case detail::ChanCore::Result::NotReady:
        return {};
      case detail::ChanCore::Result::Closed:
        return {.ready = true, .value = std::nullopt};
      case detail::ChanCore::Result::Done:
        break;
    }
    TryReceive<T> result{.ready = true, .value = std::optional<T>(std::move(slot.value()))};
    slot.value().~T();
    return result;
  }

  std::shared_ptr<detail::ChanCore> core_;
};

}  // namespace fairlead::runtime
