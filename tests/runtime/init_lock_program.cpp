// A program of which two objects lock the startup thread before main, as Go's init functions do. Run by
// program_test.
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "runtime/time.h"
#include "tests/runtime/init_lock.h"
#include "tests/runtime/ways.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

const bool initialised = initLockA() && initLockB();

int initLockPins() {
  check(m0.lockedExt == 2, "locked twice before main");
  check(threads() == 1, "one thread");
  WaitGroup group;
  std::atomic<int> trespassers{0};
  const Chan<int> c;
  for (int i = 0; i < 200; ++i) {
    group.go([&] {
      gosched();
      if (onStartupThread()) ++trespassers;
    });
  }
  bool pinned = onStartupThread();
  for (int i = 0; i < 100; ++i) {
    gosched();
    pinned = pinned && onStartupThread();
    if (i % 10 == 0) sleep(100us);
    go([c] { c.send(1); });
    c.receive();
    pinned = pinned && onStartupThread();
  }
  group.wait();
  check(pinned && onStartupThread(), "main stays on the startup thread");
  check(trespassers == 0, "nobody else runs there");
  unlockOSThread();
  go([c] { c.send(1); });
  c.receive();
  check(onStartupThread(), "one unlock is not enough");
  unlockOSThread();
  check(m0.lockedExt == 0 && mainG.lockedm == nullptr, "two are");
  return 0;
}

// A goroutine locks its thread and ends; main, unlocked then, never meets that thread again.
int initLockChildExits() {
  const Chan<int> thread(1);
  go([thread] {
    lockOSThread();
    thread.send(threadId());
  });
  const int gone = *thread.receive();
  check(gone != getpid(), "the child has a thread of its own");
  check(eventually([gone] { return !std::filesystem::exists("/proc/self/task/" + std::to_string(gone)); }),
        "which ends with it");
  unlockOSThread();
  unlockOSThread();
  bool met = false;
  for (int i = 0; i < 100; ++i) {
    gosched();
    sleep(10us);
    met = met || threadId() == gone;
  }
  check(!met, "and is not used again");
  return 0;
}

constexpr Way kWays[] = {
    {"pins", initLockPins},
    {"child-exits", initLockChildExits},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) { return runtime::runWay(runtime::kWays, argc, argv); }
