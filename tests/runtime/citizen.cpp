// A program that does, as its argument says, what only a process of its own can show about threads, processes
// and memory.
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "runtime/chan.h"
#include "runtime/exec.h"
#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/stack.h"
#include "runtime/sync.h"
#include "tests/runtime/ways.h"

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

// ---- memory and idleness -------------------------------------------------------------------------

// statusValue() is a number from /proc/self/status: kilobytes or a count.
long statusValue(const char* name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name)) return std::stol(line.substr(std::strlen(name) + 1));
  return -1;
}

long mappings() {
  std::ifstream maps("/proc/self/maps");
  long n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

// park() makes n goroutines that wait for what comes out of the channel it returns.
Chan<int> park(int n) {
  Chan<int> never;
  for (int i = 0; i < n; ++i) go([never] { never.receive(); });
  const auto parked = [] {
    int waiting = 0;
    forEachG([](G* gp, void* count) { *static_cast<int*>(count) += gp->status == GStatus::Waiting ? 1 : 0; },
             &waiting);
    return waiting;
  };
  while (parked() < n) sleep(1ms);
  return never;
}

// Prints what each of n parked goroutines costs: bytes resident, bytes of page tables; and all mappings.
int parked(int n) {
  const long rss = statusValue("VmRSS:");
  const long tables = statusValue("VmPTE:");
  const Chan<int> never = park(n);
  std::printf("%ld %ld %ld\n", (statusValue("VmRSS:") - rss) * 1024 / n,
              (statusValue("VmPTE:") - tables) * 1024 / n, mappings());
  return 0;
}

int parked100000() { return parked(100'000); }
int parked1000000() { return parked(1'000'000); }

// Usage is what the threads but the calling one have used since they began.
struct Usage {
  long switches = 0;  // voluntary: each began a sleep
  long cpu = 0;       // nanoseconds
  long threads = 0;
};

Usage usage() {
  Usage sum;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(gettid())) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("voluntary_ctxt_switches:")) sum.switches += std::stol(line.substr(24));
    long cpu = 0;
    std::ifstream(task.path() / "schedstat") >> cpu;
    sum.cpu += cpu;
    ++sum.threads;
  }
  return sum;
}

// Prints what the threads of a program with 10,000 parked goroutines do in a second: sleeps begun,
// nanoseconds run, and how many threads they are. The least of several seconds, as the machine is not ours
// alone.
int idle() {
#if defined(__SANITIZE_THREAD__)
  constexpr int kGoroutines = 500;  // dies of 8,000
#else
  constexpr int kGoroutines = 10'000;
#endif
  const Chan<int> never = park(kGoroutines);
  const Chan<int> measured;
  std::thread observer([measured] {
    Usage least{.switches = 1'000'000};
    for (int second = 0; second < 5 && least.switches > 1; ++second) {
      const Usage before = usage();
      std::this_thread::sleep_for(1s);
      const Usage after = usage();
      if (after.switches - before.switches < least.switches)
        least = {after.switches - before.switches, after.cpu - before.cpu, after.threads};
    }
    std::printf("%ld %ld %ld\n", least.switches, least.cpu, least.threads);
    measured.close();
  });
  measured.receive();
  observer.join();
  never.close();  // LeakSanitizer would look through the stacks of those that still live
  while (numGoroutine() > 1) sleep(1ms);
  return 0;
}

// startAllThreads() has every thread exist that the runtime may want: who wants one later may find no room
// for it.
void startAllThreads() {
  startSysmon();
  std::atomic<int> running{0};
  WaitGroup group;
  for (int i = 0; i < maxProcs(); ++i) {
    group.go([&] {
      for (++running; running < maxProcs();) cpuRelax();
    });
  }
  group.wait();
}

int outOfAddresses() {
  const Chan<int> never = park(500);
  startAllThreads();
  const auto limit = static_cast<rlim_t>(statusValue("VmSize:") + 256L * 1024) * 1024;
  const rlimit addresses{.rlim_cur = limit, .rlim_max = limit};
  if (setrlimit(RLIMIT_AS, &addresses) != 0) return 1;
  park(1'000'000);
  return 0;
}

constexpr Way kWays[] = {
    {"goexit-of-tainted-main", goexitOfTaintedMain},
    {"first-locks", firstLocks},
    {"exec-without-streams", execWithoutStreams},
    {"fork-exec", forkExec},
    {"fork-park", forkPark},
    {"fork-go", forkGo},
    {"fork-block", forkBlock},
    {"parked-100000", parked100000},
    {"parked-1000000", parked1000000},
    {"idle", idle},
    {"out-of-addresses", outOfAddresses},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) { return runtime::runWay(runtime::kWays, argc, argv); }
