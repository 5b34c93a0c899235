// A program that does, as its argument says, what only a process of its own can show about threads, processes
// and memory.
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

// say() prints at once, whatever ends the program afterwards.
void say(const char* line) {
  std::puts(line);
  std::fflush(stdout);
}

// Main enters another network namespace, and its other goroutines go on without it.
int goexitOfTaintedMain() {
  lockOSThread();
  const Chan<int> start;
  go([start] {
    start.receive();
    bool clean = true;
    for (int i = 0; i < 200; ++i) {
      WaitGroup group;
      for (int k = 0; k < 4; ++k) {
        group.go([&clean] {
          if (threadId() == getpid()) clean = false;
          const BlockingSection blocking;
          usleep(10);
        });
      }
      group.wait();
    }
    say(clean ? "ok" : "WRONG: ran on the thread of main");
  });
  startTemplateThread();
  if (unshare(CLONE_NEWNET) != 0) return 1;
  start.send(1);
  goexit();
}

int firstLocks() {
  std::atomic<bool> stop{false};
  std::atomic<int> ready{0};
  WaitGroup locks;
  WaitGroup hogs;
  for (int i = 0; i < 2; ++i) {
    hogs.go([&] {
      while (!stop) gosched();
    });
    locks.go([&] {
      ++ready;
      while (ready < 2) gosched();
      lockOSThread();
      const Chan<int> child;
      go([child] { child.send(1); });
      child.receive();
      unlockOSThread();
    });
  }
  locks.wait();
  stop = true;
  hogs.wait();
  say("ok");
  return 0;
}

struct Way {
  const char* name;
  int (*run)();
};

constexpr Way kWays[] = {
    {"goexit-of-tainted-main", goexitOfTaintedMain},
    {"first-locks", firstLocks},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  for (const auto& way : runtime::kWays) {
    if (argc == 2 && std::strcmp(argv[1], way.name) == 0) return way.run();
  }
  return 64;
}
