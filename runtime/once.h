// Once, onceFunc and onceValue: what is done one time only, by the first to ask, while the others wait.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/mutex.h"

namespace fairlead::runtime {

// Once is Go's sync.Once.
class Once {
 public:
  constexpr Once() = default;
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;

  // call() runs f unless a call before did (Go: Do). It returns when f is done, by whomever. A call that
  // ended in an exception, which goes to its caller, counts as done. f must not call the same Once: it would
  // wait for itself for ever.
  template <class F>
  void call(F&& f) {
    if (!done_.load(std::memory_order_acquire)) callSlow(std::forward<F>(f));
  }

 private:
  template <class F>
  void callSlow(F&& f) {
    const std::lock_guard lock(mutex_);
    if (done_.load(std::memory_order_relaxed)) return;
    struct Done {
      std::atomic<bool>& flag;
      ~Done() { flag.store(true, std::memory_order_release); }
    } done{done_};
    std::invoke(std::forward<F>(f));
  }

  std::atomic<bool> done_{false};
  Mutex mutex_;
};

// onceValue() makes of f a function that calls it once and returns its value, by reference, each time. If f
// throws, every call throws the same. Copies are the same function; f is destroyed after its call.
template <class F>
auto onceValue(F f) {
  using Value = std::invoke_result_t<F&>;
  struct State {
    explicit State(F&& function) : f(std::move(function)) {}
    Once once;
    std::optional<F> f;
    std::optional<Value> value;
    std::exception_ptr error;
  };
  return [state = std::make_shared<State>(std::move(f))]() -> const Value& {
    state->once.call([&] {
      try {
        state->value.emplace(std::invoke(*state->f));
      } catch (...) {
        state->error = std::current_exception();
      }
      state->f.reset();
    });
    if (state->error != nullptr) std::rethrow_exception(state->error);
    return *state->value;
  };
}

// onceFunc() is onceValue() for a function without a value.
template <class F>
auto onceFunc(F f) {
  return [once = onceValue([f = std::move(f)]() mutable {
            std::invoke(f);
            return true;
          })] { once(); };
}

}  // namespace fairlead::runtime
