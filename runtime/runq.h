// Internal: queues of runnable goroutines. RunQueue is the ring of one P, GRing a ring that grows, GQueue a
// list of those whose records somebody has just touched anyway.
//
// A goroutine that has not run for a while is in no cache: neither is a link in its record. So who moves
// goroutines moves pointers, and reads no record on the way.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>

#include "runtime/arena.h"
#include "runtime/g.h"

namespace fairlead::runtime {

// GQueue is a first-in first-out list linked through G::schedlink. No locking of its own.
class GQueue {
 public:
  constexpr GQueue() = default;

  void push(G* gp) {
    gp->schedlink = nullptr;
    (tail_ != nullptr ? tail_->schedlink : head_) = gp;
    tail_ = gp;
    ++size_;
  }

  // pop() returns nullptr when the queue is empty.
  G* pop() {
    G* gp = head_;
    if (gp == nullptr) return nullptr;
    head_ = gp->schedlink;
    if (head_ == nullptr) tail_ = nullptr;
    --size_;
    return gp;
  }

  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return head_ == nullptr; }

 private:
  G* head_ = nullptr;
  G* tail_ = nullptr;
  uint32_t size_ = 0;
};

// GRing is as long as it has to be: the global queue, first in, first out, and the pool of dead goroutines,
// of whom the last to die is the warmest. No locking of its own.
class GRing {
 public:
  void push(G* gp) {
    if (size_ == capacity_) grow();
    ring_[(head_ + size_++) & (capacity_ - 1)] = gp;
  }

  // pop() and popLast() return nullptr when there is none.
  G* pop() {
    if (size_ == 0) return nullptr;
    --size_;
    return ring_[head_++ & (capacity_ - 1)];
  }
  G* popLast() { return size_ == 0 ? nullptr : ring_[(head_ + --size_) & (capacity_ - 1)]; }

  // rotate() moves the first n to the end.
  void rotate(uint32_t n) {
    for (; n > 0; --n) push(pop());
  }

  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  static constexpr uint32_t kLeast = 256;  // with this and all later ones a power of two

  void grow() {
    const uint32_t room = capacity_ == 0 ? kLeast : capacity_ * 2;
    auto** ring = static_cast<G**>(memory_.alloc(room * sizeof(void*), alignof(void*)));
    for (uint32_t i = 0; i < size_; ++i) ring[i] = ring_[(head_ + i) & (capacity_ - 1)];
    ring_ = ring;
    head_ = 0;
    capacity_ = room;
  }

  Arena memory_;  // what was outgrown stays in it: no more than is in use
  G** ring_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t head_ = 0;  // free-running
  uint32_t size_ = 0;
};

// RunQueue is a P's ring of 256 and its runnext slot. The owner puts and gets without a lock; other Ps steal
// by moving head. A thief reads slots that the owner may be overwriting, and lets the compare-and-swap of
// head decide whether what it read counts: hence atomic slots, and goroutine records that are never unmapped.
class RunQueue {
 public:
  static constexpr uint32_t kCapacity = 256;

  // Test mode (FAIRLEAD_DEBUG=shuffle): runnext is passed over every other time and batches change their
  // order, so that nothing may rely on either. Set before a second thread exists.
  static inline constinit bool shuffled = false;

  // put() makes gp the last, or with `next` the first to run; whom it displaces from there becomes the last.
  // When the ring is full, half of it and the newcomer go to overflow(), a span of them. Returns true when
  // that was a full fence already: the caller needs no other before it looks whether anybody must be woken.
  // Owner only.
  template <class F>
  bool put(G* gp, bool next, F&& overflow, bool thieves = true) {
    if (next && !(shuffled && random() % 2 == 0)) {
      gp = thieves ? runnext_.exchange(gp, std::memory_order_seq_cst) : swapNext(gp);
      if (gp == nullptr) return thieves;
    }
    while (!putTail(gp) && !spill(gp, overflow)) {
    }
    return false;
  }

  // getNext() empties the runnext slot: the goroutine in it continues the time slice of the one before. Owner
  // only.
  G* getNext(bool thieves = true) {
    if (!thieves) return swapNext(nullptr);
    G* gp = runnext_.load(std::memory_order_relaxed);
    if (gp == nullptr) return nullptr;
    // Only the owner fills the slot, so a failed exchange means that it was stolen.
    return runnext_.compare_exchange_strong(gp, nullptr, std::memory_order_acquire) ? gp : nullptr;
  }

  // get() takes the first of the ring. Owner only.
  G* get(bool thieves = true) {
    uint32_t head = head_.load(std::memory_order_acquire);
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    while (head != tail) {
      G* gp = slot(head).load(std::memory_order_relaxed);
      if (tail - head > kAhead) prefetch(slot(head + kAhead).load(std::memory_order_relaxed));
      if (!thieves) {
        head_.store(head + 1, std::memory_order_release);
        return gp;
      }
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel)) return gp;
    }
    return nullptr;
  }

  // stealFrom() moves the older half of the victim's ring (rounded up) here and returns one of them to be run
  // at once; from an empty ring it takes runnext if it may. nullptr: nothing to take. This queue's owner
  // only; it must be empty.
  G* stealFrom(RunQueue& victim, bool runnextToo) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    const uint32_t n = grab(victim, tail);
    if (n == 0) {
      G* gp = runnextToo ? victim.runnext_.load(std::memory_order_acquire) : nullptr;
      if (gp == nullptr || !victim.runnext_.compare_exchange_strong(gp, nullptr, std::memory_order_acq_rel))
        return nullptr;
      return gp;
    }
    G* last = slot(tail + n - 1).load(std::memory_order_relaxed);
    tail_.store(tail + n - 1, std::memory_order_release);
    return last;
  }

  // drain() calls take() for everybody, runnext first. Owner only.
  template <class F>
  void drain(F&& take) {
    if (G* gp = getNext()) take(gp);
    while (G* gp = get()) take(gp);
  }

  // empty() is exact for the owner; for others it never says yes while a goroutine is on its way from runnext
  // to the ring, for which it looks at tail twice.
  [[nodiscard]] bool empty() const {
    for (;;) {
      const uint32_t head = head_.load(std::memory_order_acquire);
      const uint32_t tail = tail_.load(std::memory_order_acquire);
      const G* next = runnext_.load(std::memory_order_acquire);
      if (tail == tail_.load(std::memory_order_acquire)) return head == tail && next == nullptr;
    }
  }

  // ringEmpty() leaves runnext out of account.
  [[nodiscard]] bool ringEmpty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }

  // nextEmpty() is for the owner.
  [[nodiscard]] bool nextEmpty() const { return runnext_.load(std::memory_order_relaxed) == nullptr; }

  // ringSize() is exact for the owner while nobody steals.
  [[nodiscard]] uint32_t ringSize() const {
    return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_acquire);
  }

 private:
  // Whoever is so far back in the ring will run when about a microsecond has passed: the time that it takes
  // to fetch the first lines of a goroutine that no cache has.
  static constexpr uint32_t kAhead = 4;

  std::atomic<G*>& slot(uint32_t i) { return ring_[i % kCapacity]; }

  uint32_t random() {
    random_ = random_ * 1664525U + 1013904223U;
    return random_ >> 8;
  }

  G* swapNext(G* gp) {
    G* before = runnext_.load(std::memory_order_relaxed);
    runnext_.store(gp, std::memory_order_release);
    return before;
  }

  bool putTail(G* gp) {
    const uint32_t head = head_.load(std::memory_order_acquire);
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head >= kCapacity) return false;
    slot(tail).store(gp, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // spill() moves the older half and gp to overflow(); false when thieves have made room meanwhile.
  template <class F>
  [[gnu::noinline]] bool spill(G* gp, F&& overflow) {
    constexpr uint32_t kHalf = kCapacity / 2;
    uint32_t head = head_.load(std::memory_order_acquire);
    if (tail_.load(std::memory_order_relaxed) - head < kCapacity) return false;
    std::array<G*, kHalf + 1> batch;
    for (uint32_t i = 0; i < kHalf; ++i) batch[i] = slot(head + i).load(std::memory_order_relaxed);
    if (!head_.compare_exchange_strong(head, head + kHalf, std::memory_order_acq_rel)) return false;
    if (shuffled) {
      for (uint32_t i = kHalf - 1; i > 0; --i) std::swap(batch[i], batch[random() % (i + 1)]);
    }
    batch[kHalf] = gp;
    overflow(std::span<G* const>(batch));
    return true;
  }

  // grab() copies the victim's older half behind our own tail and takes it off the victim.
  uint32_t grab(RunQueue& victim, uint32_t tail) {
    for (;;) {
      uint32_t head = victim.head_.load(std::memory_order_acquire);
      const uint32_t size = victim.tail_.load(std::memory_order_acquire) - head;
      const uint32_t n = size - size / 2;
      if (n == 0) return 0;
      if (n > kCapacity / 2) continue;  // head moved between the two reads
      for (uint32_t i = 0; i < n; ++i) {
        slot(tail + i).store(victim.slot(head + i).load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
      }
      if (victim.head_.compare_exchange_strong(head, head + n, std::memory_order_acq_rel)) return n;
    }
  }

  std::atomic<G*> runnext_{nullptr};
  uint32_t random_ = 0x9E3779B9U;  // the owner's, for shuffling
  // Free-running counters: the index of a slot is the counter modulo the capacity. On a cache line of their
  // own: who searches reads them all the time, and what the owner writes at every switch must not wait for
  // that.
  alignas(64) std::atomic<uint32_t> head_{0};  // moved by the owner and by thieves
  std::atomic<uint32_t> tail_{0};              // moved by the owner
  alignas(64) std::array<std::atomic<G*>, kCapacity> ring_{};
};

}  // namespace fairlead::runtime
