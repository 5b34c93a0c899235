#include "runtime/timer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include "runtime/gmp.h"
#include "runtime/keeper.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {

constinit Timers timers;

namespace {

constexpr uint32_t kChildren = 4;
constexpr uint32_t kFirstCapacity = 64;
constexpr size_t kBatch = 64;  // sleepers made ready per turn of the lock

void sleepThread(int64_t until) {
  const timespec at{.tv_sec = until / 1'000'000'000, .tv_nsec = until % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
  }
}

}  // namespace

Alarm::Alarm(Fire fire) : fire(fire) {
  timers.reserve();
  timers.lock_.unlock();
}

Alarm::~Alarm() {
  timers.lock_.lock();
  --timers.reserved_;
  timers.lock_.unlock();
}

// The heap moves to a larger array, which is allocated while the lock is not held.
void Timers::reserve() {
  lock_.lock();
  while (reserved_ == capacity_) {
    const uint32_t wanted = std::max(kFirstCapacity, 2 * capacity_);
    lock_.unlock();
    std::unique_ptr<Entry[]> other(new Entry[wanted]);
    lock_.lock();
    if (capacity_ < wanted) {
      std::copy_n(heap_, size_, other.get());
      other.reset(std::exchange(heap_, other.release()));
      capacity_ = wanted;
    }
    lock_.unlock();
    other.reset();
    lock_.lock();
  }
  ++reserved_;
}

void Timers::place(uint32_t at, Entry entry) {
  heap_[at] = entry;
  if (Alarm* alarm = entry.alarm()) alarm->at = at;
}

void Timers::siftUp(uint32_t at, Entry entry) {
  while (at > 0) {
    const uint32_t parent = (at - 1) / kChildren;
    if (heap_[parent].when <= entry.when) break;
    place(at, heap_[parent]);
    at = parent;
  }
  place(at, entry);
}

void Timers::siftDown(uint32_t at, Entry entry) {
  for (;;) {
    const uint32_t first = at * kChildren + 1;
    if (first >= size_) break;
    uint32_t least = first;
    for (uint32_t i = first + 1; i < std::min(first + kChildren, size_); ++i) {
      if (heap_[i].when < heap_[least].when) least = i;
    }
    if (heap_[least].when >= entry.when) break;
    place(at, heap_[least]);
    at = least;
  }
  place(at, entry);
}

void Timers::insert(Entry entry) { siftUp(size_++, entry); }

void Timers::remove(uint32_t at) {
  if (Alarm* alarm = heap_[at].alarm()) alarm->at = Alarm::kUnset;
  const Entry last = heap_[--size_];
  if (at == size_) return;
  if (at > 0 && last.when < heap_[(at - 1) / kChildren].when) return siftUp(at, last);
  siftDown(at, last);
}

bool Timers::publishNext() {
  const int64_t before = next_.load(std::memory_order_relaxed);
  const int64_t next = size_ > 0 ? heap_[0].when : kNever;
  if (next != before) next_.store(next, std::memory_order_seq_cst);
  return next < before;
}

void Timers::addSleeper(G* gp, int64_t when) {
  reserve();
  insert(Entry(when, gp));
  const bool earlier = publishNext();
  lock_.unlock();
  if (earlier) announce();
}

bool Timers::set(Alarm& alarm, int64_t when) {
  lock_.lock();
  ++alarm.seq;
  if (alarm.at != Alarm::kUnset) remove(alarm.at);
  insert(Entry(when, &alarm));
  const bool earlier = publishNext();
  lock_.unlock();
  return earlier;
}

bool Timers::clear(Alarm& alarm) {
  lock_.lock();
  ++alarm.seq;
  const bool wasSet = alarm.at != Alarm::kUnset;
  if (wasSet) remove(alarm.at);
  publishNext();
  lock_.unlock();
  return wasSet;
}

void Timers::announce() {
  const NoPreempt noPreempt;
  // On g0 we are about to look for work, or to be the keeper ourselves.
  if (!keeper.expect(next()) && getm()->curg != nullptr) wakep();
}

void Timers::runDue(P* p) {
  const int64_t now = nanotime();
  std::array<G*, kBatch> sleepers;
  while (next_.load(std::memory_order_relaxed) <= now) {
    size_t n = 0;
    Alarm* alarm = nullptr;
    uint32_t seq = 0;
    lock_.lock();
    while (size_ > 0 && heap_[0].when <= now && n < kBatch && alarm == nullptr) {
      const Entry first = heap_[0];
      remove(0);
      if (G* gp = first.sleeper()) {
        --reserved_;
        __builtin_prefetch(gp, 1);
        sleepers[n++] = gp;
      } else {
        alarm = first.alarm();
        seq = alarm->seq;
      }
    }
    publishNext();
    lock_.unlock();
    for (size_t i = 0; i < n; ++i) {
      sleepers[i]->status.store(GStatus::Runnable, std::memory_order_relaxed);
      p->runq.put(sleepers[i], false, globrunqputAll);
    }
    if (n > 0) wakep();
    if (alarm != nullptr) alarm->fire(*alarm, seq, now);
  }
}

int64_t timeAfter(int64_t d) {
  const int64_t now = nanotime();
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max() - 1;
  return d > kLast - now ? kLast : now + d;
}

void sleep(std::chrono::nanoseconds d) {
  if (d.count() <= 0) return;
  int64_t when = timeAfter(d.count());
  M* m = getm();
  if (!sched.multi.load(std::memory_order_relaxed)) return sleepThread(when);
  if (m->lockedExt.load(std::memory_order_relaxed) !=
      0) {  // nobody else may use this thread: let it keep the time
    entersyscallblock();
    sleepThread(when);
    return exitsyscall();
  }
  gopark([](G* gp, void* until) { timers.addSleeper(gp, *static_cast<int64_t*>(until)); }, &when,
         WaitReason::Sleep);
}

}  // namespace fairlead::runtime
