#include "runtime/timer.h"

#include <cerrno>
#include <chrono>
#include <utility>

#include "runtime/gmp.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {

constinit Timers timers;

namespace {

// meld() joins two heaps, either of which may be empty.
Timer* meld(Timer* a, Timer* b) {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (b->when < a->when) std::swap(a, b);
  b->sibling = a->child;
  a->child = b;
  return a;
}

// withoutRoot() is the heap that is left: its children, melded in pairs from the left and then together.
Timer* withoutRoot(Timer* root) {
  Timer* pairs = nullptr;
  for (Timer* child = root->child; child != nullptr;) {
    Timer* a = child;
    Timer* b = a->sibling;
    child = b != nullptr ? b->sibling : nullptr;
    a->sibling = nullptr;
    if (b != nullptr) b->sibling = nullptr;
    Timer* pair = meld(a, b);
    pair->sibling = pairs;
    pairs = pair;
  }
  Timer* heap = nullptr;
  while (pairs != nullptr) {
    Timer* pair = std::exchange(pairs, pairs->sibling);
    pair->sibling = nullptr;
    heap = meld(heap, pair);
  }
  return heap;
}

void sleepThread(int64_t until) {
  const timespec at{.tv_sec = until / 1'000'000'000, .tv_nsec = until % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
  }
}

}  // namespace

void Timers::add(Timer& timer) {
  lock_.lock();
  root_ = meld(root_, &timer);
  const bool first = root_ == &timer;
  if (first) next_.store(timer.when, std::memory_order_seq_cst);
  lock_.unlock();
  if (!first) return;
  changes_.fetch_add(1, std::memory_order_seq_cst);
  if (kept_.load(std::memory_order_seq_cst)) {
    futexWake(changes_);
  } else if (getm()->curg !=
             nullptr) {  // else we are on g0, about to look for work or to keep the timers ourselves
    wakep();
  }
}

void Timers::run(P* p) {
  if (!pending()) return;
  const int64_t now = nanotime();
  if (now < next_.load(std::memory_order_relaxed)) return;
  GQueue due;
  GQueue overflow;
  lock_.lock();
  while (root_ != nullptr && root_->when <= now) {
    due.push(root_->gp);
    root_ = withoutRoot(root_);
  }
  next_.store(root_ != nullptr ? root_->when : kNever, std::memory_order_seq_cst);
  lock_.unlock();
  if (due.empty()) return;
  while (G* gp = due.pop()) {
    gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
    p->runq.put(gp, false, overflow);
  }
  globrunqputBatch(overflow);
  wakep();
}

bool Timers::keep() {
  if (!pending() || kept_.exchange(true, std::memory_order_seq_cst)) return false;
  for (;;) {
    const uint32_t changes = changes_.load(std::memory_order_seq_cst);
    const int64_t next = next_.load(std::memory_order_seq_cst);
    if (next == kNever || nanotime() >= next) break;
    futexSleep(changes_, changes, next);
  }
  kept_.store(false, std::memory_order_seq_cst);
  return true;
}

bool Timers::wantKeeper() const {
  return pending() && !kept_.load(std::memory_order_seq_cst) &&
         sched.npidle.load(std::memory_order_seq_cst) != 0;
}

void sleep(std::chrono::nanoseconds d) {
  if (d.count() <= 0) return;
  const int64_t now = nanotime();
  const int64_t when = d.count() > std::numeric_limits<int64_t>::max() - now
                           ? std::numeric_limits<int64_t>::max() - 1
                           : now + d.count();
  M* m = getm();
  if (!sched.multi.load(std::memory_order_relaxed)) return sleepThread(when);
  if (m->lockedExt.load(std::memory_order_relaxed) !=
      0) {  // nobody else may use this thread: let it keep the time
    entersyscallblock();
    sleepThread(when);
    return exitsyscall();
  }
  Timer timer{.when = when, .gp = m->curg};
  gopark([](G*, void* t) { timers.add(*static_cast<Timer*>(t)); }, &timer, WaitReason::Sleep);
}

}  // namespace fairlead::runtime
