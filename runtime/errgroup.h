// ErrGroup: Go's x/sync errgroup, goroutines that work on parts of one task, which fails with the first of
// them.
//
//     ErrGroup group(parent);
//     for (const auto& address : addresses) group.go([&] { probe(group.context(), address); });
//     group.wait();   // throws what the first failure threw
//
// A function fails by an exception. A Panic is no failure but a mistake, and ends the program as in any
// goroutine. The group must not be destroyed before wait() has returned.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "runtime/chan.h"
#include "runtime/context.h"
#include "runtime/goexit.h"
#include "runtime/once.h"
#include "runtime/waitgroup.h"

namespace fairlead::runtime {

class ErrGroup {
 public:
  ErrGroup() : context_(background()) {}
  // The group's context is cancelled by the first failure, which is the cause, and when wait() returns.
  explicit ErrGroup(const Context& parent) {
    auto [context, cancel] = withCancel(parent);
    context_ = std::move(context);
    cancel_ = std::move(cancel);
  }
  ErrGroup(const ErrGroup&) = delete;
  ErrGroup& operator=(const ErrGroup&) = delete;

  [[nodiscard]] const Context& context() const { return context_; }

  // go() runs f on a new goroutine. It blocks while as many are active as the limit says.
  template <class F>
  void go(F f) {
    if (active_) active_->send({});
    start(std::move(f));
  }

  // tryGo() returns false, f not run, where go() would block.
  template <class F>
  bool tryGo(F f) {
    if (active_ && !active_->trySend({})) return false;
    start(std::move(f));
    return true;
  }

  // setLimit() is the greatest number of active goroutines from now on; negative: any, 0: none. Throws Panic
  // while there are active ones.
  void setLimit(int n) {
    if (active_ && active_->len() != 0) {
      throw Panic("errgroup: modify limit while " + std::to_string(active_->len()) +
                  " goroutines in the group are still active");
    }
    active_.reset();
    if (n >= 0) active_.emplace(n);
  }

  // wait() waits for all, and throws the first failure.
  void wait() {
    group_.wait();
    cancel_(error_);
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  template <class F>
  void start(F f) {
    group_.go([this, f = std::move(f)]() mutable {
      struct Leave {
        const std::optional<Chan<Nothing>>& active;
        ~Leave() {
          if (active) active->receive();
        }
      } leave{active_};
      try {
        std::invoke(f);
      } catch (const Goexit&) {
        throw;
      } catch (const Panic&) {
        throw;
      } catch (...) {
        fail(std::current_exception());
      }
    });
  }

  void fail(const std::exception_ptr& error) {
    failed_.call([&] {
      error_ = error;
      cancel_(error);
    });
  }

  Context context_;
  CancelFunc cancel_;
  WaitGroup group_;
  std::optional<Chan<Nothing>> active_;  // holds a value for each active goroutine
  Once failed_;
  std::exception_ptr error_;
};

}  // namespace fairlead::runtime
