// A P that is in the same time slice at two looks has had no poll point, no park and no system call that the
// runtime knows of in between. Only when it is so does anybody halt for a moment.
#include "runtime/stall.h"

#include <cerrno>
#include <cinttypes>
#include <ctime>
#include <string>
#include <vector>

#include "runtime/debugvars.h"
#include "runtime/dump.h"
#include "runtime/gmp.h"
#include "runtime/halt.h"
#include "runtime/keeper.h"
#include "runtime/print.h"

namespace fairlead::runtime {
namespace {

constinit ThreadRequest request;

// Seen is what a P did at the last look.
struct Seen {
  bool running = false;
  bool shown = false;
  uint32_t slice = 0;
};

bool othersWait() {
  return sched.npidle.load(std::memory_order_seq_cst) == 0 && (workExists() || keeper.needed());
}

// readCurrent() returns false when p has gone on since. The caller has halted its thread, or tried to.
__attribute__((no_sanitize("thread"))) bool readCurrent(const P& p, uint32_t slice, GoroutineState& state) {
  const M* m = p.m.load(std::memory_order_acquire);
  const G* gp = m != nullptr ? m->curg : nullptr;
  if (gp == nullptr || p.schedtick.load(std::memory_order_relaxed) != slice) return false;
  state.read(*gp);
  return state.status == GStatus::Running;
}

// show() returns false when there was nothing to show any more.
bool show(const P& p, uint32_t slice, int interval) {
  GoroutineState state;
  haltLock.lock();
  bool found = false;
  {
    const Halt halt;
    found = readCurrent(p, slice, state);
  }
  haltLock.unlock();
  if (!found) return false;
  std::string text;  // one write for all, so that nothing comes between
  const Printer print(text);
  print("STALL: goroutine %" PRIu64 " has kept P %u for %d ms while others wait\n", state.goid, p.id,
        interval);
  Dump(print, {.mayAllocate = true}).goroutine(state);
  [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, text.data(), text.size());
  return true;
}

void look(const P& p, Seen& seen, int interval) {
  const bool running = p.status.load(std::memory_order_relaxed) == PStatus::Running;
  const uint32_t slice = p.schedtick.load(std::memory_order_relaxed);
  if (!running || !seen.running || slice != seen.slice) {
    seen = {.running = running, .slice = slice};
  } else if (!seen.shown && othersWait()) {
    seen.shown = show(p, slice, interval);
  }
}

void* watch(void*) {
  registerHelperThread();
  const int interval = debugVar("stall");
  const timespec span{.tv_sec = interval / 1000, .tv_nsec = interval % 1000 * 1'000'000L};
  std::vector<Seen> seen;
  for (;;) {
    nanosleep(&span, nullptr);
    seen.resize(sched.nprocs);
    for (uint32_t i = 0; i < seen.size(); ++i) look(*sched.p(i), seen[i], interval);
  }
}

}  // namespace

void startStallWatch() {
  if (debugVar("stall") <= 0) return;
  request = {.start = watch};
  expectHelperThread();
  newThread(request);
}

}  // namespace fairlead::runtime
