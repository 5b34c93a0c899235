#include "runtime/netpoll.h"

#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/keeper.h"

namespace fairlead::runtime {
namespace {

constexpr uintptr_t kNil = 0;
constexpr uintptr_t kReady = 1;
constexpr uintptr_t kWait = 2;

struct FreeDescs {
  Lock lock;
  PollDesc* first = nullptr;
};

constinit FreeDescs freeDescs;
constinit std::atomic<uint32_t> waiters{0};

}  // namespace

uint32_t netpollWaiters() { return waiters.load(std::memory_order_seq_cst); }

PollDesc* PollDesc::get() {
  freeDescs.lock.lock();
  PollDesc* desc = freeDescs.first;
  if (desc != nullptr) freeDescs.first = desc->link_;
  freeDescs.lock.unlock();
  return desc != nullptr ? desc : new PollDesc;
}

void PollDesc::put() {
  freeDescs.lock.lock();
  link_ = std::exchange(freeDescs.first, this);
  freeDescs.lock.unlock();
}

PollDesc* PollDesc::open(int fd) {
  PollDesc* desc = get();
  desc->hungUp_.store(false, std::memory_order_relaxed);
  desc->closing_.store(false, std::memory_order_relaxed);
  for (Direction* direction : {&desc->read_, &desc->write_}) {
    direction->waiter.store(kNil, std::memory_order_relaxed);
    direction->expired.store(false, std::memory_order_relaxed);
  }
  const int error = netpollOpen(fd, desc, desc->tag_.load(std::memory_order_relaxed));
  if (error == 0) return desc;
  desc->put();
  if (error == EPERM) return nullptr;
  throw std::system_error(error, std::generic_category(), "epoll_ctl");
}

void PollDesc::close(int fd) {
  if (!closing_.load(std::memory_order_relaxed)) fatal("runtime: close polldesc w/o unblock");
  netpollClose(fd);
  tag_.fetch_add(1, std::memory_order_release);  // events on their way are nobody's now
  put();
}

PollResult PollDesc::check(const Direction& direction) const {
  if (closing_.load(std::memory_order_seq_cst)) return PollResult::Closing;
  if (direction.expired.load(std::memory_order_seq_cst)) return PollResult::Timeout;
  return PollResult::Ready;
}

PollResult PollDesc::reset(PollMode mode) {
  Direction& direction = of(mode);
  const PollResult result = check(direction);
  if (result == PollResult::Ready) direction.waiter.store(kNil, std::memory_order_seq_cst);
  return result;
}

PollResult PollDesc::wait(PollMode mode) {
  Direction& direction = of(mode);
  for (;;) {
    if (const PollResult result = check(direction); result != PollResult::Ready) return result;
    if (block(direction)) return PollResult::Ready;
    // Woken without an edge: by a deadline that has been moved meanwhile, or else check() will say why.
  }
}

// block() returns true when there has been an edge, which it uses up.
bool PollDesc::block(Direction& direction) {
  for (;;) {
    uintptr_t seen = kReady;
    if (direction.waiter.compare_exchange_strong(seen, kNil, std::memory_order_seq_cst)) return true;
    if (seen != kNil) fatal("runtime: double wait");
    if (direction.waiter.compare_exchange_strong(seen, kWait, std::memory_order_seq_cst)) break;
  }
  // Looked at after kWait is set: whoever changes the answer then sees kWait, and takes it away.
  if (direction.desc.check(direction) == PollResult::Ready) {
    constexpr UnlockFn commit = [](G* gp, void* word) {
      waiters.fetch_add(1, std::memory_order_seq_cst);
      uintptr_t wait = kWait;
      auto& waiter = *static_cast<std::atomic<uintptr_t>*>(word);
      if (waiter.compare_exchange_strong(wait, std::bit_cast<uintptr_t>(gp), std::memory_order_seq_cst))
        return;
      waiters.fetch_sub(1, std::memory_order_seq_cst);  // the edge came while we left
      goready(gp);
    };
    gopark(commit, &direction.waiter, WaitReason::IOWait);
  }
  return direction.waiter.exchange(kNil, std::memory_order_seq_cst) == kReady;
}

// unblock() returns who is parked there, if anybody. Without an edge it is the answer of check() that has
// changed.
G* PollDesc::unblock(Direction& direction, bool edge) {
  uintptr_t seen = direction.waiter.load(std::memory_order_seq_cst);
  do {
    if (seen == kReady || (seen == kNil && !edge)) return nullptr;
  } while (!direction.waiter.compare_exchange_weak(seen, edge ? kReady : kNil, std::memory_order_seq_cst));
  if (seen == kNil || seen == kWait) return nullptr;
  waiters.fetch_sub(1, std::memory_order_seq_cst);
  return std::bit_cast<G*>(seen);
}

void PollDesc::event(uint16_t tag, bool read, bool write, bool hangup, GQueue& ready) {
  if (tag_.load(std::memory_order_acquire) != tag) return;
  if (hangup) hungUp_.store(true, std::memory_order_release);
  if (read) {
    if (G* gp = unblock(read_, true)) ready.push(gp);
  }
  if (write) {
    if (G* gp = unblock(write_, true)) ready.push(gp);
  }
}

void PollDesc::evict() {
  lock_.lock();
  closing_.store(true, std::memory_order_seq_cst);
  timers.clear(read_);
  timers.clear(write_);
  G* reader = unblock(read_, false);
  G* writer = unblock(write_, false);
  lock_.unlock();
  if (reader != nullptr) goready(reader);
  if (writer != nullptr) goready(writer);
}

// setAlarm() returns true when the keeper must hear of it; lock_ is held.
bool PollDesc::setAlarm(Direction& direction, int64_t when) {
  direction.expired.store(when != 0 && when <= nanotime(), std::memory_order_seq_cst);
  if (when != 0 && !direction.expired.load(std::memory_order_relaxed)) return timers.set(direction, when);
  timers.clear(direction);
  return false;
}

void PollDesc::setDeadline(int64_t when, bool read, bool write) {
  lock_.lock();
  if (closing_.load(std::memory_order_relaxed)) return lock_.unlock();
  const bool readEarlier = read && setAlarm(read_, when);
  const bool writeEarlier = write && setAlarm(write_, when);
  G* reader = read_.expired.load(std::memory_order_relaxed) ? unblock(read_, false) : nullptr;
  G* writer = write_.expired.load(std::memory_order_relaxed) ? unblock(write_, false) : nullptr;
  lock_.unlock();
  if (readEarlier || writeEarlier) timers.announce();
  if (reader != nullptr) goready(reader);
  if (writer != nullptr) goready(writer);
}

void PollDesc::Direction::onAlarm(Alarm& alarm, uint32_t seq, int64_t) {
  auto& direction = static_cast<Direction&>(alarm);
  direction.desc.lock_.lock();
  G* gp = nullptr;
  if (seq == direction.seq) {
    direction.expired.store(true, std::memory_order_seq_cst);
    gp = unblock(direction, false);
  }
  direction.desc.lock_.unlock();
  if (gp != nullptr) goready(gp);
}

}  // namespace fairlead::runtime
