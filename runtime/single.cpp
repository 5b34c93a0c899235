// The verbs as they are for a program of one goroutine: main, on the startup thread.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "runtime/runtime.h"

namespace fairlead::runtime {
namespace {
constinit uint32_t lockedExt = 0;
}  // namespace

void lockOSThread() { ++lockedExt; }
void unlockOSThread() {
  if (lockedExt > 0) --lockedExt;
}
void startTemplateThread() {}
void gosched() {}
uint64_t goid() { return 1; }
int numGoroutine() { return 1; }

int maxProcs() {
  if (const char* text = std::getenv("FAIRLEAD_MAXPROCS")) return std::max(1, std::atoi(text));
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

void sleep(std::chrono::nanoseconds d) {
  if (d.count() <= 0) return;
  timespec left{.tv_sec = d.count() / 1'000'000'000, .tv_nsec = d.count() % 1'000'000'000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

BlockingSection::BlockingSection() = default;
BlockingSection::~BlockingSection() = default;

int runMain(int argc, char** argv) {
  const int status = goMain(argc, argv);
  std::fflush(nullptr);
  _exit(status);
}

}  // namespace fairlead::runtime
