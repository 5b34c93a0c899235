// Singleflight: Go's x/sync singleflight. Of several calls for the same key at the same time only the first
// does the work; the others get its outcome.
//
// The outcome of a call is its value, or the exception it ended in, which all callers get. A call that ends
// its goroutine by goexit() ends those of all callers.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/chan.h"
#include "runtime/goexit.h"
#include "runtime/mutex.h"
#include "runtime/panic.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"

namespace fairlead::runtime {

template <class Key, class Value>
class Singleflight {
  struct Call;

 public:
  struct Shared {
    Value value;
    bool shared;  // somebody else got the same
  };
  struct Outcome {
    std::optional<Value> value;
    std::exception_ptr error;  // instead of the value
    bool shared = false;
  };

  Singleflight() = default;
  Singleflight(const Singleflight&) = delete;
  Singleflight& operator=(const Singleflight&) = delete;

  // run() calls f, or waits for the call that goes on already (Go: Do).
  template <class F>
  Shared run(const Key& key, F&& f) {
    std::unique_lock lock(mutex_);
    const auto [at, first] = calls_.try_emplace(key);
    if (first) at->second = std::make_shared<Call>();
    const std::shared_ptr<Call> call = at->second;
    if (!first) ++call->others;
    lock.unlock();
    first ? execute(key, *call, std::forward<F>(f)) : call->done.wait();
    if (call->error != nullptr) std::rethrow_exception(call->error);
    return {*call->value, call->shared};
  }

  // runChan() does not wait: the outcome will be sent to the channel, which is never closed (Go: DoChan). f
  // runs on a goroutine of its own. A Panic ends the program, as nobody might look at the outcome.
  template <class F>
  Chan<Outcome> runChan(const Key& key, F f) {
    Chan<Outcome> outcome(1);
    const std::lock_guard lock(mutex_);
    const auto [at, first] = calls_.try_emplace(key);
    if (first) at->second = std::make_shared<Call>();
    const std::shared_ptr<Call> call = at->second;
    call->channels.push_back(outcome);
    if (!first) {
      ++call->others;
      return outcome;
    }
    go([this, key, call, f = std::move(f)]() mutable {
      execute(key, *call, std::move(f));
      if (holds<Goexit>(call->error)) std::rethrow_exception(call->error);
    });
    return outcome;
  }

  // forget() has the next call for the key do the work anew, whether one goes on or not.
  void forget(const Key& key) {
    const std::lock_guard lock(mutex_);
    calls_.erase(key);
  }

 private:
  struct Call {
    Call() { done.add(1); }
    WaitGroup done;
    int others = 0;                       // under mutex_
    std::vector<Chan<Outcome>> channels;  // likewise
    std::optional<Value> value;           // these when done
    std::exception_ptr error;
    bool shared = false;
  };

  template <class F>
  void execute(const Key& key, Call& call, F&& f) {
    try {
      call.value.emplace(std::invoke(std::forward<F>(f)));
    } catch (...) {
      call.error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      const auto at = calls_.find(key);
      if (at != calls_.end() && at->second.get() == &call) calls_.erase(at);  // else it was forgotten
      call.shared = call.others > 0;
    }
    call.done.done();
    if (call.channels.empty() || holds<Goexit>(call.error)) return;
    if (holds<Panic>(call.error)) go([error = call.error] { std::rethrow_exception(error); });
    for (const auto& channel : call.channels) channel.send({call.value, call.error, call.shared});
  }

  Mutex mutex_;
  std::unordered_map<Key, std::shared_ptr<Call>> calls_;  // under mutex_
};

}  // namespace fairlead::runtime
