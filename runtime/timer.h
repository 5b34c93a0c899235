// Internal: what is to happen at a time: goroutines that sleep, and alarms.
//
// One 4-ary heap for all, under one lock. An entry carries its time, so ordering the heap touches nothing but
// the heap: the sleepers' stacks are cold, and far apart. Ms look at it whenever they come through the
// scheduler; while all have something else to do or sleep, the keeper watches the clock (keeper.h).
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "runtime/futex.h"
#include "runtime/g.h"
#include "runtime/lock.h"

namespace fairlead::runtime {

struct P;

// Alarm calls a function at a time. It is part of what it belongs to, whose lock guards it, and which must
// live while the alarm is set and until `fire` has been called. The room that it needs in the heap is
// reserved when it is made, so that setting it allocates nothing.
struct Alarm {
  // Fire is called by whoever finds the alarm due, on any M that has a P, on any stack, without a lock. It
  // must not park. When `seq` is not alarm.seq any more, under the owner's lock, the alarm has been set or
  // cleared since and nothing may happen.
  using Fire = void (*)(Alarm& alarm, uint32_t seq, int64_t now);
  static constexpr uint32_t kUnset = std::numeric_limits<uint32_t>::max();

  explicit Alarm(Fire fire);
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  const Fire fire;
  uint32_t seq = 0;      // times set and cleared; written under the owner's lock and Timers' own
  uint32_t at = kUnset;  // place in the heap; under Timers' lock
};

class Timers {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  constexpr Timers() = default;

  // addSleeper() has gp made ready at `when` (nanotime()), maybe at once: it must have left its stack.
  void addSleeper(G* gp, int64_t when);

  // set() sets the alarm to `when`, also when it is set already. Returns true when something is due earlier
  // than before: the caller must announce() once it holds no lock.
  [[nodiscard]] bool set(Alarm& alarm, int64_t when);
  // clear() returns true when the alarm was set: `fire` will not be called. Else that has happened or is
  // about to.
  bool clear(Alarm& alarm);
  // announce() makes sure that somebody watches the clock who knows of the first entry.
  void announce();

  // run() does what is due. Goroutines become runnable on p, which the caller owns.
  void run(P* p) {
    if (pending()) runDue(p);
  }
  [[nodiscard]] bool pending() const { return next_.load(std::memory_order_seq_cst) != kNever; }
  // due() looks at the clock if there is a timer at all.
  [[nodiscard]] bool due() const {
    const int64_t next = next_.load(std::memory_order_relaxed);
    return next != kNever && nanotime() >= next;
  }
  // next() is when the first is due.
  [[nodiscard]] int64_t next() const { return next_.load(std::memory_order_seq_cst); }

 private:
  // Entry is a sleeper or an alarm: one of the two pointers, told apart by the lowest bit.
  class Entry {
   public:
    Entry() = default;
    Entry(int64_t when, G* gp) : when(when), what_(std::bit_cast<uintptr_t>(gp) | kSleeper) {}
    Entry(int64_t when, Alarm* alarm) : when(when), what_(std::bit_cast<uintptr_t>(alarm)) {}
    [[nodiscard]] G* sleeper() const {
      return (what_ & kSleeper) != 0 ? std::bit_cast<G*>(what_ - kSleeper) : nullptr;
    }
    [[nodiscard]] Alarm* alarm() const {
      return (what_ & kSleeper) == 0 ? std::bit_cast<Alarm*>(what_) : nullptr;
    }

    int64_t when = 0;

   private:
    static constexpr uintptr_t kSleeper = 1;
    uintptr_t what_ = 0;
  };

  friend Alarm;

  void runDue(P* p);
  // reserve() takes the lock and room for one entry more. The others expect the lock to be held.
  void reserve();
  void insert(Entry entry);
  void remove(uint32_t at);
  void siftUp(uint32_t at, Entry entry);
  void siftDown(uint32_t at, Entry entry);
  void place(uint32_t at, Entry entry);
  bool publishNext();  // true when the first entry is earlier than it was

  Lock lock_;
  Entry* heap_ = nullptr;  // under lock_, like the three that follow
  uint32_t size_ = 0;
  uint32_t reserved_ = 0;  // sleepers in the heap, and alarms that exist
  uint32_t capacity_ = 0;
  std::atomic<int64_t> next_{kNever};  // when of the first; written under lock_
};

extern Timers timers;

// timeAfter() is nanotime() + d, at most the last moment before kNever: the sum saturates.
int64_t timeAfter(int64_t d);

}  // namespace fairlead::runtime
