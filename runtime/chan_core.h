// Internal to channels and select: the channel without its element type. Chan<T> in chan.h gives it one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/lock.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime::detail {

// ElementOps is how the core handles values it knows nothing of. A value is in one of three places: the
// sender's variable, which stays an object though moved from, a slot of the ring, or the receiver's
// std::optional.
struct ElementOps {
  std::size_t size;  // of a slot; 0: there is nothing to keep of such a value but that it was sent
  std::size_t align;
  void (*put)(void* slot, void* variable) noexcept;       // constructs in the slot
  void (*take)(void* optional, void* slot) noexcept;      // and destroys in the slot
  void (*hand)(void* optional, void* variable) noexcept;  // past the ring
  void (*destroy)(void* slot) noexcept;
  void (*clear)(void* optional) noexcept;
};

template <class T>
inline constexpr bool kNothingToKeep =
    std::is_empty_v<T>&& std::is_trivially_copyable_v<T>&& std::is_trivially_default_constructible_v<T>;

template <class T>
consteval ElementOps elementOps() {
  using Optional = std::optional<T>;
  constexpr auto clear = [](void* optional) noexcept { static_cast<Optional*>(optional)->reset(); };
  if constexpr (kNothingToKeep<T>) {
    constexpr auto appear = [](void* optional, void*) noexcept {
      static_cast<Optional*>(optional)->emplace();
    };
    return {0, 1, [](void*, void*) noexcept {}, appear, appear, [](void*) noexcept {}, clear};
  } else {
    return {
        sizeof(T),
        alignof(T),
        [](void* slot, void* variable) noexcept { ::new (slot) T(std::move(*static_cast<T*>(variable))); },
        [](void* optional, void* slot) noexcept {
          static_cast<Optional*>(optional)->emplace(std::move(*static_cast<T*>(slot)));
          static_cast<T*>(slot)->~T();
        },
        [](void* optional, void* variable) noexcept {
          static_cast<Optional*>(optional)->emplace(std::move(*static_cast<T*>(variable)));
        },
        [](void* slot) noexcept { static_cast<T*>(slot)->~T(); },
        clear};
  }
}

template <class T>
inline constexpr ElementOps kElementOps = elementOps<T>();

// ChanCore is one block of memory, the ring behind the record, with a count of the Chans that refer to it.
class ChanCore {
 public:
  enum class Result : uint8_t { Done, NotReady, Closed };

  // make() throws Panic for a capacity that is negative or too large. The caller has the first reference.
  static ChanCore* make(std::ptrdiff_t capacity, const ElementOps& ops);
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();
  ChanCore(const ChanCore&) = delete;
  ChanCore& operator=(const ChanCore&) = delete;

  // send() moves out of `variable`. Without `block` it may answer NotReady, the value untouched. Throws Panic
  // on a closed channel, the value untouched.
  Result send(void* variable, bool block);
  // receive() fills `optional`, or answers Closed: closed and drained.
  Result receive(void* optional, bool block);
  void close();
  [[nodiscard]] std::size_t length() const { return count_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  // hide() has Chan say that there is no buffer; before anybody else knows the channel.
  void hide() { hidden_ = true; }
  [[nodiscard]] bool hidden() const { return hidden_; }

  [[noreturn]] static void blockForever(bool sending);

  // ---- for select, which decides with the locks of all its channels held
  void lock() { lock_.lock(); }
  void unlock() { lock_.unlock(); }
  // sendNow() and receiveNow() do what can be done at once, under the lock; else they answer NotReady, or
  // Closed for a send. `wake` becomes the goroutine to make ready once the lock is free, if there is one.
  Result sendNow(void* variable, G*& wake);
  Result receiveNow(void* optional, G*& wake);
  void clear(void* optional) const { ops_.clear(optional); }
  WaitList& waiters(bool sending) { return sending ? senders_ : receivers_; }

 private:
  ChanCore(std::size_t capacity, const ElementOps& ops, std::byte* ring)
      : ops_(ops), capacity_(capacity), ring_(ring) {}
  ~ChanCore();

  void* slot(std::size_t i) { return ring_ + i * ops_.size; }
  void advance(std::size_t& i) const { i = i + 1 == capacity_ ? 0 : i + 1; }
  void count(std::size_t n) { count_.store(n, std::memory_order_release); }
  // Without the lock: it was so at this moment.
  [[nodiscard]] bool full() const { return capacity_ == 0 ? receivers_.empty() : length() == capacity_; }
  [[nodiscard]] bool drained() const { return capacity_ == 0 ? senders_.empty() : length() == 0; }
  bool wait(Waiter& self, bool sending);

  const ElementOps& ops_;
  const std::size_t capacity_;
  std::byte* const ring_;
  bool hidden_ = false;
  std::atomic<uint32_t> references_{1};
  Lock lock_{LockRank::Chan};  // guards what follows; the atomics may be read without it
  std::atomic<bool> closed_{false};
  std::atomic<std::size_t> count_{0};
  std::size_t sendAt_ = 0;
  std::size_t receiveAt_ = 0;
  // Receivers wait only for an empty ring, senders only for a full one. So one of the two is empty, unless a
  // select waits to send and to receive on the same unbuffered channel.
  WaitList receivers_;
  WaitList senders_;
};

}  // namespace fairlead::runtime::detail
