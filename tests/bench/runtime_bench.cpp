// What the runtime's operations cost: medians of rounds, in nanoseconds per operation.
//
// Compare with Go on the same machine by its own suite (proc_test.go, chan_test.go; golang/go#18023 for the
// locked round trip). FAIRLEAD_MAXPROCS sets the number of Ps.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/bench/measure.h"

namespace fairlead::runtime {
namespace {

void spawnAndJoin(int n) {
  for (int i = 0; i < n; ++i) {
    WaitGroup group;
    group.go([] {});
    group.wait();
  }
}

void spawnBatch(int n) {
  WaitGroup group;
  for (int i = 0; i < n; ++i) group.go([] {});
  group.wait();
}

void uncontended(int n) {
  const Chan<int> c(1);
  for (int i = 0; i < n; ++i) {
    c.send(i);
    c.receive();
  }
}

// roundTrips() sends n values to a server and takes its answers, either side locked to its thread or not.
void roundTrips(int n, bool lockClient, bool lockServer) {
  const Chan<int> ask;
  const Chan<int> answer;
  WaitGroup server;
  server.go([=] {
    if (lockServer) lockOSThread();
    for (const int value : ask) answer.send(value);
    if (lockServer) unlockOSThread();
  });
  if (lockClient) lockOSThread();
  for (int i = 0; i < n; ++i) {
    ask.send(i);
    answer.receive();
  }
  if (lockClient) unlockOSThread();
  ask.close();
  server.wait();
}

void yields(int n, int goroutines) {
  WaitGroup group;
  for (int i = 0; i < goroutines; ++i) {
    group.go([=] {
      for (int k = 0; k < n / goroutines; ++k) gosched();
    });
  }
  group.wait();
}

void locks(int n) {
  for (int i = 0; i < n; ++i) {
    lockOSThread();
    unlockOSThread();
  }
}

void sections(int n) {
  for (int i = 0; i < n; ++i) const BlockingSection blocking;
}

void lockedExits(int n) {
  for (int i = 0; i < n; ++i) {
    WaitGroup group;
    group.go([] { lockOSThread(); });
    group.wait();
  }
}

// starts() runs this program with an argument that makes it end in goMain at once.
void starts(int n, const char* path, const char* argument) {
  for (int i = 0; i < n; ++i) {
    char* argv[] = {const_cast<char*>(path), const_cast<char*>(argument), nullptr};
    pid_t child = 0;
    if (posix_spawn(&child, path, nullptr, nullptr, argv, environ) != 0) return std::perror(path);
    waitpid(child, nullptr, 0);
  }
}

void all() {
  heading();
  measure("process start, to goMain and out", 100, [](int n) { starts(n, "/proc/self/exe", "nothing"); });
  measure("process start, one goroutine started and joined", 100,
          [](int n) { starts(n, "/proc/self/exe", "one"); });
  measure("blocking section, alone", 1'000'000, sections);
  measure("spawn and join", 20'000, spawnAndJoin);
  measure("blocking section, others exist", 1'000'000, sections);
  measure("spawn, joined 1000 at a time", 1'000, spawnBatch);
  measure("buffered send and receive, one goroutine", 100'000, uncontended);
  measure("unbuffered round trip", 20'000, [](int n) { roundTrips(n, false, false); });
  measure("unbuffered round trip, client locked", 5'000, [](int n) { roundTrips(n, true, false); });
  measure("unbuffered round trip, server locked", 5'000, [](int n) { roundTrips(n, false, true); });
  measure("unbuffered round trip, both locked", 5'000, [](int n) { roundTrips(n, true, true); });
  measure("gosched, 1 goroutine", 100'000, [](int n) { yields(n, 1); });
  measure("gosched, 1000 goroutines", 100'000, [](int n) { yields(n, 1000); });
  measure("lock and unlock the thread", 100'000, locks);
  measure("spawn, lock, end locked, join", 200, lockedExits);
}

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  using namespace fairlead::runtime;
  const char* way = argc > 1 ? argv[1] : "";
  if (std::strcmp(way, "nothing") == 0) return 0;
  if (std::strcmp(way, "one") == 0) {
    spawnAndJoin(1);
    return 0;
  }
  all();
  return 0;
}
