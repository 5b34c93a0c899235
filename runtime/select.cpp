// How one of several operations is chosen and all others left alone.
//
// First each case is tried by itself, in random order: one that succeeds is as good as if all had been looked
// at in that moment. When none does, all channels are locked, in the order of their addresses so that two
// selects cannot wait for each other, and looked at again. If still nothing is ready, the goroutine queues at
// all of them and parks, which releases the locks. Whoever finds it in a queue must win the exchange of
// `fired_` to wake it, so that only one case is carried out; back again, it leaves the other queues.
//
// This is the one place where a thread holds more than one Lock.
#include "runtime/select.h"

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {
namespace detail {

using Result = ChanCore::Result;

class Select {
 public:
  explicit Select(std::span<SelectCase> cases) : cases_(cases) {}

  static void clear(std::span<SelectCase> cases) {
    for (SelectCase& c : cases) {
      if (c.kind_ == SelectCase::Kind::Receive && c.chan_ != nullptr) c.chan_->clear(c.value_);
    }
  }

  int run() {
    if (cases_.size() == 1 && !isOtherwise(cases_.front())) return plain(cases_.front());
    shuffle();
    for (std::size_t i = 0; i < count_; ++i) {
      SelectCase& c = *cases_[i].polled_;
      if (operate(c, false) != Result::NotReady) return indexOf(c);
    }
    // What has just been refused is the truth of one moment if it was alone.
    if (otherwise_ != nullptr && count_ <= 1) return indexOf(*otherwise_);
    return choose();
  }

 private:
  static bool isOtherwise(const SelectCase& c) { return c.kind_ == SelectCase::Kind::Otherwise; }
  static bool isSend(const SelectCase& c) { return c.kind_ == SelectCase::Kind::Send; }
  int indexOf(const SelectCase& c) const { return static_cast<int>(&c - cases_.data()); }

  static Result operate(SelectCase& c, bool block) {
    return isSend(c) ? c.chan_->send(c.value_, block) : c.chan_->receive(c.value_, block);
  }

  static int plain(SelectCase& c) {
    if (c.chan_ == nullptr) ChanCore::blockForever(isSend(c));
    operate(c, true);
    return 0;
  }

  // shuffle() puts the cases that can ever be ready in a random order, each order as likely as any other.
  void shuffle() {
    P* p = getm()->p;
    if (p == nullptr) fatal("runtime: select inside a BlockingSection");
    for (SelectCase& c : cases_) {
      if (isOtherwise(c)) {
        if (otherwise_ != nullptr) throw Panic("reflect.Select: multiple default cases");
        otherwise_ = &c;
      } else if (c.chan_ != nullptr) {
        const std::size_t at = count_ == 0 ? 0 : (uint64_t{fastrand(p)} * (count_ + 1)) >> 32;
        cases_[count_].polled_ = cases_[at].polled_;
        cases_[at].polled_ = &c;
        ++count_;
      }
    }
  }

  int choose() {
    lockAll();
    for (std::size_t i = 0; i < count_; ++i) {
      SelectCase& c = *cases_[i].polled_;
      G* wake = nullptr;
      const Result result =
          isSend(c) ? c.chan_->sendNow(c.value_, wake) : c.chan_->receiveNow(c.value_, wake);
      if (result == Result::NotReady) continue;
      unlockAll();
      if (wake != nullptr) goready(wake);
      return chosen(c, result == Result::Done);
    }
    if (otherwise_ == nullptr) return wait();
    unlockAll();
    return indexOf(*otherwise_);
  }

  int wait() {
    G* gp = getm()->curg;
    for (std::size_t i = 0; i < count_; ++i) {
      SelectCase& c = *cases_[i].locked_;
      std::construct_at(&c.waiter_, Waiter{.gp = gp, .value = c.value_, .fired = &fired_});
      c.chan_->waiters(isSend(c)).pushBack(&c.waiter_);
    }
    gopark([](G*, void* self) { static_cast<Select*>(self)->unlockAll(); }, this,
           cases_.empty() ? WaitReason::SelectNoCases : WaitReason::Select);
    const Waiter* fired = fired_.load(std::memory_order_relaxed);
    SelectCase* done = nullptr;
    for (std::size_t i = 0; i < count_; ++i) {
      SelectCase& c = *cases_[i].locked_;
      if (&c.waiter_ == fired) {
        done = &c;
      } else {
        c.chan_->lock();
        c.chan_->waiters(isSend(c)).remove(&c.waiter_);
        c.chan_->unlock();
      }
    }
    return chosen(*done, fired->granted);
  }

  // chosen() is the end of a select; `done` is false when the channel is closed.
  int chosen(const SelectCase& c, bool done) const {
    if (!done && isSend(c)) throw Panic("send on closed channel");
    return indexOf(c);
  }

  void lockAll() {
    for (SelectCase& c : cases_.first(count_)) c.locked_ = c.polled_;
    sortByChannel();
    const ChanCore* last = nullptr;
    for (SelectCase& c : cases_.first(count_)) {
      if (c.locked_->chan_ != last) c.locked_->chan_->lock();
      last = c.locked_->chan_;
    }
  }

  // sortByChannel() is a heap sort over the pointers `locked_` alone: the cases themselves stay where they
  // are, as the channels know their waiters, and a view of the pointers is more than clang 14 can make of GCC
  // 12's library.
  void sortByChannel() {
    const auto before = [&](std::size_t a, std::size_t b) {
      return std::less<>{}(cases_[a].locked_->chan_, cases_[b].locked_->chan_);
    };
    const auto sink = [&](std::size_t root, std::size_t end) {
      for (std::size_t child = 2 * root + 1; child < end; child = 2 * root + 1) {
        if (child + 1 < end && before(child, child + 1)) ++child;
        if (!before(root, child)) return;
        std::swap(cases_[root].locked_, cases_[child].locked_);
        root = child;
      }
    };
    for (std::size_t root = count_ / 2; root-- > 0;) sink(root, count_);
    for (std::size_t end = count_; end-- > 1;) {
      std::swap(cases_[0].locked_, cases_[end].locked_);
      sink(0, end);
    }
  }

  // unlockAll() runs while the goroutine may already be on its way back. It cannot get past the last channel,
  // whose lock it wants or whose owner could not wake it before, so nothing is touched after that.
  void unlockAll() {
    const std::size_t n = count_;
    for (std::size_t i = 0; i < n; ++i) {
      ChanCore* chan = cases_[i].locked_->chan_;
      if (i + 1 == n || cases_[i + 1].locked_->chan_ != chan) chan->unlock();
    }
  }

  std::span<SelectCase> cases_;
  std::size_t count_ = 0;  // of cases that can ever be ready
  const SelectCase* otherwise_ = nullptr;
  std::atomic<Waiter*> fired_{nullptr};
};

int selectGo(std::span<SelectCase> cases) {
  const int chosen = Select(cases).run();
  checkpoint();
  return chosen;
}

}  // namespace detail

int select(std::span<SelectCase> cases) {
  detail::Select::clear(cases);
  return detail::selectGo(cases);
}

}  // namespace fairlead::runtime
