// A program that does, as its argument says, what only a process of its own can show about threads, processes
// and memory.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>

#include "runtime/chan.h"
#include "runtime/exec.h"
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

// ---- processes -----------------------------------------------------------------------------------

int execWithoutStreams() {
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  close(STDERR_FILENO);
  const ProcessState state =
      runtime::run({.path = "/bin/sh", .args = {"sh", "-c", "cat; echo err >&2"}, .input = "in"});
  return state.success() && state.out == "in" && state.err == "err\n" ? 0 : 1;
}

// statusOfFork() runs f in the child of a fork of a process that has goroutines, and is the child's status.
int statusOfFork(void (*f)()) {
  WaitGroup group;
  for (int i = 0; i < 50; ++i) group.go([] { gosched(); });
  group.wait();
  const pid_t child = fork();
  if (child == 0) {
    f();
    _exit(0);
  }
  int status = 0;
  const BlockingSection blocking;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int forkExec() {
  return statusOfFork([] { execl("/bin/echo", "echo", "from the child", nullptr); });
}

int forkPark() {
  return statusOfFork([] { Chan<int>().receive(); });
}

int forkGo() {
  return statusOfFork([] { go([] {}); });
}

int forkBlock() {
  return statusOfFork([] { const BlockingSection blocking; });
}

struct Way {
  const char* name;
  int (*run)();
};

constexpr Way kWays[] = {
    {"goexit-of-tainted-main", goexitOfTaintedMain},
    {"first-locks", firstLocks},
    {"exec-without-streams", execWithoutStreams},
    {"fork-exec", forkExec},
    {"fork-park", forkPark},
    {"fork-go", forkGo},
    {"fork-block", forkBlock},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  for (const auto& way : runtime::kWays) {
    if (argc == 2 && std::strcmp(argv[1], way.name) == 0) return way.run();
  }
  return 64;
}
