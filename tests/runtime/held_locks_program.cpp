// A program that parks with standard locks held, as its argument says.
#include <cstdio>
#include <cstring>
#include <mutex>
#include <shared_mutex>

#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/ways.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

std::mutex mutex;
std::shared_mutex shared;

template <class L>
[[gnu::noinline]] void parkHolding(L& lock) {
  const std::lock_guard guard(lock);
  sleep(1us);
}

// onGoroutine() runs f on a goroutine that is not the only one.
template <class F>
int onGoroutine(F f) {
  WaitGroup group;
  group.go(f);
  group.wait();
  return 0;
}

int clean() {
  return onGoroutine([] {
    for (int i = 0; i < 100; ++i) {
      {
        const std::lock_guard guard(mutex);
        const std::shared_lock reader(shared);
      }
      sleep(1us);
    }
  });
}

int once() {
  return onGoroutine([] {
#pragma GCC unroll 1  // one place, not three
    for (int i = 0; i < 3; ++i) parkHolding(mutex);
    sleep(1us);
  });
}

int reader() {
  return onGoroutine([] {
    const std::shared_lock guard(shared);
    sleep(1us);
  });
}

int locked() {
  return onGoroutine([] {
    lockOSThread();
    parkHolding(mutex);
    unlockOSThread();
  });
}

constexpr Way kWays[] = {{"clean", clean}, {"once", once}, {"reader", reader}, {"locked", locked}};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) { return runtime::runWay(runtime::kWays, argc, argv); }
