// A program that ends in the way its first argument names. Run by program_test, which knows what it must
// print.
#include <sched.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "runtime/chan.h"
#include "runtime/gmp.h"
#include "runtime/netpoll.h"
#include "runtime/preempt.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "runtime/time.h"
#include "tests/runtime/ways.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[512];
  frame[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : recurse(depth + 1) + frame[0];
}

int status() { return 7; }

int printAndReturn() {
  std::printf("printed without a newline");
  return 0;
}

int others() {  // main does not wait for them
  for (int i = 0; i < 10; ++i) go([] { sleep(1h); });
  std::printf("ends\n");
  return 3;
}

int alone() {
  {
    const BlockingSection blocking;
    usleep(1);
  }
  sleep(1ms);
  gosched();
  lockOSThread();
  const Chan<int> c(1);
  c.send(1);
  c.receive();
  WaitGroup group;
  group.wait();
  unlockOSThread();
  check(threads() == 1, "one thread");
  return 0;
}

int deadlock() {
  const Chan<int> c;
  c.receive();
  return 0;
}

int deadlockMany() {
  const Chan<int> c;
  WaitGroup group;
  group.go([c] { c.receive(); });
  group.go([] { Chan<int>(nullptr).send(1); });
  Mutex mutex;
  mutex.lock();
  go([&mutex] { mutex.lock(); });
  group.wait();
  return 0;
}

int deadlockLocked() {
  lockOSThread();
  return deadlock();
}

int deadlockLockedChild() {
  go([] {
    lockOSThread();
    Chan<int>().receive();
  });
  sleep(1ms);
  return deadlock();
}

int deadlockAfterSleep() {
  go([] { sleep(2ms); });
  return deadlock();
}

// All goroutines wait, one of them for a descriptor that has an event in a while.
int netpollDeadlock() {
  const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 20'000'000}};
  check(timerfd_settime(timer, 0, &soon, nullptr) == 0, "set");
  PollDesc* desc = PollDesc::open(timer);
  const Chan<int> done;
  go([desc, done] {
    desc->reset(PollMode::Read);
    desc->wait(PollMode::Read);
    done.send(1);
  });
  done.receive();
  desc->evict();
  desc->close(timer);
  check(true, "woken");
  return 0;
}

// Who sleeps until the timer that is stopped meanwhile must not keep the end from being noticed.
int deadlockAfterStop() {
  const Timer timer = newTimer(1h);
  go([] {
    for (int i = 0; i < 1000; ++i) gosched();
  });
  sleep(5ms);
  timer.stop();
  return deadlock();
}

int mainGoexit() {
  go([] {
    sleep(1ms);
    std::printf("child done\n");
    std::fflush(stdout);
  });
  goexit();
}

int mainGoexitLocked() {
  lockOSThread();
  const Chan<int> done;
  go([done] {
    for (int i = 0; i < 100; ++i) {
      gosched();
      if (onStartupThread()) check(false, "the startup thread is not used again");
    }
    check(threads() >= 2, "the startup thread is still there");
    std::fflush(stdout);
  });
  goexit();
}

int panicMain() { throw std::runtime_error("boom"); }

int panicChild() {
  go([] { throw std::runtime_error("child boom"); });
  sleep(10s);
  return 0;
}

int panicInt() { throw 42; }

int panicClosed() {
  const Chan<int> c(1);
  c.close();
  c.send(1);
  return 0;
}

int panicKeepsTheStack() {
  struct Unwound {
    ~Unwound() { std::printf("unwound\n"); }
  } unwound;
  throw std::runtime_error("not unwound");
}

int goNil() {
  go(std::function<void()>());
  return 0;
}

int goNilPointer() {
  void (*f)() = nullptr;
  go(f);
  return 0;
}

int unlockUnlocked() {
  Mutex mutex;
  try {
    mutex.unlock();
  } catch (...) {
    std::printf("recovered\n");
  }
  return 0;
}

int swallowed() {
  go([] {
    try {
      goexit();
    } catch (...) {
    }
  });
  sleep(10s);
  return 0;
}

int overflow() {
  WaitGroup group;
  group.go([] { recurse(0); });
  group.wait();
  return 0;
}

int badPointer() {
  WaitGroup group;
  group.go([] {
    volatile uintptr_t nowhere = 4096;
    *reinterpret_cast<volatile int*>(nowhere) = 1;  // NOLINT(performance-no-int-to-ptr): the very point
  });
  group.wait();
  return 0;
}

int foreignThread() {
  std::thread stranger([] { gosched(); });
  stranger.join();
  return 0;
}

// A foreign thread that may still do something: waiting for it is no deadlock.
int foreignThreadWakesLate() {
  const Chan<int> answer;
  std::thread([answer] {
    std::this_thread::sleep_for(200ms);
    while (!answer.trySend(7)) std::this_thread::yield();
  }).detach();
  check(answer.receive() == 7, "a thread that is not the runtime's woke main");
  return 0;
}

int exitFromGoroutine() {
  go([] {
    std::printf("leaves");
    exitProcess(5);
  });
  Chan<int>().receive();
  return 0;
}

// What the environment asks initialisers to do before goMain.
void initialise(const std::string& what) {
  if (what == "deadlock") Chan<int>(nullptr).receive();
  if (what == "lock") lockOSThread();
  if (what == "goexit") goexit();
  if (what != "unlock") return;
  unlockOSThread();
  check(m0.lockedInt == 1 && m0.lockedg == &mainG, "an unlock leaves main on its thread");
  for (int i = 0; i < 100; ++i) {
    WaitGroup group;
    group.go([] { gosched(); });
    group.wait();
  }
  check(onStartupThread(), "and there it stays over parks");
}

const Init kInitialiser([] {
  if (const char* what = std::getenv("FAIRLEAD_TEST_INIT")) initialise(what);
});

int afterInit() {
  check(m0.lockedInt == 0, "the runtime's own lock is gone");
  check(m0.lockedExt == 0 || mainG.lockedm == &m0, "what an initialiser locked is locked");
  return 0;
}

// Parks with a function that runs on the scheduler's stack, and there goes too deep.
int schedulerOverflow() {
  WaitGroup group;
  group.go([] { gopark([](G*, void*) { recurse(0); }, nullptr, WaitReason::Sleep); });
  group.wait();
  return 0;
}

int lockOrder() {
  Lock leaf;
  Lock timed(LockRank::Timed);
  Lock chan(LockRank::Chan);
  rankAcquire(&timed, LockRank::Timed);
  rankAcquire(&chan, LockRank::Chan);
  rankAcquire(&leaf, LockRank::Leaf);
  rankRelease(&timed);
  rankRelease(&leaf);
  rankRelease(&chan);
  check(true, "the right order, released in any");
  std::fflush(stdout);
  rankAcquire(&leaf, LockRank::Leaf);
  rankAcquire(&chan, LockRank::Chan);
  return 0;
}

// Parking, sleeping and blocking in the kernel while an exception unwinds the stack.
int parkWhileUnwinding() {
  struct Cleanup {
    ~Cleanup() {
      gosched();
      sleep(1ms);
      const BlockingSection blocking;
    }
  };
  go([] {
    for (;;) gosched();
  });
  try {
    const Cleanup cleanup;
    throw std::runtime_error("unwinds");
  } catch (const std::runtime_error& e) {
    check(std::strcmp(e.what(), "unwinds") == 0, "the exception arrives");
  }
  return 0;
}

// Goexit is an exception in C++: another that leaves a destructor meanwhile ends the program, as does Goexit
// from a destructor while another is on its way.
int panicDuringGoexit() {
  struct Throws {
    ~Throws() noexcept(false) { throw std::runtime_error("after goexit"); }
  };
  const Throws throws;
  goexit();
}

int goexitDuringPanic() {
  struct Exits {
    ~Exits() noexcept(false) { goexit(); }
  };
  try {
    const Exits exits;
    throw std::runtime_error("before goexit");
  } catch (const std::runtime_error&) {
  }
  return 0;
}

int recoveredDuringGoexit() {
  WaitGroup group;
  group.go([] {
    struct Recovers {
      ~Recovers() {
        try {
          throw std::runtime_error("inner");
        } catch (const std::runtime_error&) {
          check(true, "an exception inside a destructor is caught there");
        }
      }
    };
    const Recovers recovers;
    goexit();
  });
  group.wait();
  WaitGroup second;
  second.go([] {
    try {
      throw std::runtime_error("outer");
    } catch (const std::runtime_error&) {
      goexit();  // from a handler: the exception that it handled is destroyed
    }
  });
  second.wait();
  check(true, "both goroutines ended");
  return 0;
}

int threadExhaustion() {
  setMaxThreads(10);
  for (int i = 0; i < 100; ++i) {
    go([] {
      lockOSThread();
      Chan<int>().receive();
    });
  }
  for (;;) gosched();
}

// Twenty goroutines that never yield, threads for eight: main must get its turn all the same.
int asyncBound() {
  if (!enableAsyncPreemption({.maxThreads = 8})) {
    check(true, "not possible in this build");
    return 0;
  }
  setMaxProcs(1);
  static std::atomic<bool> stop{false};
  for (int i = 0; i < 20; ++i) {
    go([] {
      while (!stop.load(std::memory_order_relaxed)) {
      }
    });
  }
  gosched();
  check(threads() <= 30, "a bounded number of threads");
  stop = true;
  check(eventually([] { return numGoroutine() == 1; }), "all end");
  return 0;
}

int insideBlockingSection() {
  WaitGroup group;
  group.go([] {});
  group.wait();
  const BlockingSection blocking;
  Chan<int>().receive();
  return 0;
}

// A goroutine that gets the startup thread locks it and ends: main must go on elsewhere, and the process
// live.
int wedgeStartupThread() {
  const Chan<bool> took;
  for (int i = 0; i < 1000; ++i) {
    go([took] {
      if (onStartupThread()) lockOSThread();
      took.send(onStartupThread());
    });
    if (*took.receive()) {
      sleep(1ms);
      check(!onStartupThread(), "main goes on elsewhere");
      check(std::filesystem::exists("/proc/self/task/" + std::to_string(getpid())),
            "the startup thread is kept");
      for (int k = 0; k < 100; ++k) {
        WaitGroup group;
        group.go([] {
          if (onStartupThread()) check(false, "the startup thread is not used again");
        });
        group.wait();
      }
      return 0;
    }
  }
  check(false, "no goroutine ever got the startup thread");
  return 0;
}

constexpr Way kWays[] = {
    {"status", status},
    {"print", printAndReturn},
    {"others", others},
    {"alone", alone},
    {"deadlock", deadlock},
    {"deadlock-many", deadlockMany},
    {"deadlock-locked", deadlockLocked},
    {"deadlock-locked-child", deadlockLockedChild},
    {"deadlock-after-sleep", deadlockAfterSleep},
    {"netpoll-deadlock", netpollDeadlock},
    {"deadlock-after-stop", deadlockAfterStop},
    {"main-goexit", mainGoexit},
    {"main-goexit-locked", mainGoexitLocked},
    {"panic-main", panicMain},
    {"panic-child", panicChild},
    {"panic-int", panicInt},
    {"panic-closed", panicClosed},
    {"panic-keeps-the-stack", panicKeepsTheStack},
    {"go-nil", goNil},
    {"go-nil-pointer", goNilPointer},
    {"unlock-unlocked", unlockUnlocked},
    {"swallowed", swallowed},
    {"overflow", overflow},
    {"bad-pointer", badPointer},
    {"foreign-thread", foreignThread},
    {"foreign-thread-wakes-late", foreignThreadWakesLate},
    {"thread-exhaustion", threadExhaustion},
    {"async-bound", asyncBound},
    {"exit-from-goroutine", exitFromGoroutine},
    {"after-init", afterInit},
    {"scheduler-overflow", schedulerOverflow},
    {"lock-order", lockOrder},
    {"park-while-unwinding", parkWhileUnwinding},
    {"panic-during-goexit", panicDuringGoexit},
    {"goexit-during-panic", goexitDuringPanic},
    {"recovered-during-goexit", recoveredDuringGoexit},
    {"inside-blocking-section", insideBlockingSection},
    {"wedge-startup-thread", wedgeStartupThread},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) { return runtime::runWay(runtime::kWays, argc, argv); }
