#include "runtime/schedtrace.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <ctime>
#include <string>

#include "runtime/debugvars.h"
#include "runtime/dump.h"
#include "runtime/gmp.h"
#include "runtime/print.h"
#include "runtime/stack.h"

namespace fairlead::runtime {
namespace {

constexpr int64_t kMillisecond = 1'000'000;  // nanoseconds
constexpr int64_t kSecond = 1'000'000'000;

constinit ThreadRequest request;

// queued() is the length of p's ring, without runnext, as in Go. Thieves may move its ends between the two
// looks.
int queued(const P& p) { return std::max(0, static_cast<int>(p.runq.ringSize())); }

void printLine(const Printer& print, int64_t since) {
  sched.lock.lock();
  const int threads = sched.mcount;
  const int idle = sched.nmidle;
  sched.lock.unlock();
  const uint32_t procs = sched.nprocs;
  print("SCHED %" PRId64 "ms: gomaxprocs=%u idleprocs=%u threads=%d spinningthreads=%d needspinning=0", since,
        procs, sched.npidle.load(), threads, sched.nmspinning.load());
  print(" idlethreads=%d runqueue=%u [", idle, sched.runqsize.load());
  for (uint32_t i = 0; i < procs; ++i) print(" %d", queued(*sched.p(i)));
  print(" ] schedticks=[");
  for (uint32_t i = 0; i < procs; ++i) print(" %u", sched.p(i)->schedtick.load(std::memory_order_relaxed));
  print(" ]\n");
}

const char* word(PStatus status) {
  constexpr std::array<const char*, 5> kWords = {"idle", "running", "syscall", "gcstop", "dead"};
  return kWords.at(static_cast<size_t>(status));
}

void printP(const Printer& print, const P& p) {
  const M* m = p.m.load(std::memory_order_relaxed);
  print("  P%u: status=%s schedtick=%u syscalltick=%u m=%d runqsize=%d\n", p.id, word(p.status),
        p.schedtick.load(std::memory_order_relaxed), p.syscalltick.load(std::memory_order_relaxed),
        m != nullptr ? m->procid.load(std::memory_order_relaxed) : 0, queued(p));
}

uint64_t numberOf(const G* gp) { return gp != nullptr ? gp->goid.load(std::memory_order_relaxed) : 0; }

// What belongs to a thread is read while it runs, and may be a moment old.
__attribute__((no_sanitize("thread"))) void printM(const Printer& print, const M& m) {
  const P* p = m.p;
  print("  M%d: p=%d curg=%" PRIu64 " spinning=%s lockedg=%" PRIu64 "\n",
        m.procid.load(std::memory_order_relaxed), p != nullptr ? static_cast<int>(p->id) : -1,
        numberOf(m.curg), m.spinning ? "true" : "false", numberOf(m.lockedg.load(std::memory_order_relaxed)));
}

__attribute__((no_sanitize("thread"))) void printG(const Printer& print, const G& g) {
  GoroutineState state;
  state.goid = g.goid.load(std::memory_order_relaxed);
  state.status = g.status.load(std::memory_order_relaxed);
  state.waitReason = g.waitReason.load(std::memory_order_relaxed);
  const M* m = g.m;
  const M* locked = g.lockedm.load(std::memory_order_relaxed);
  const bool running = state.status == GStatus::Running || state.status == GStatus::Syscall;
  print("  G%" PRIu64 ": status=%s m=%d lockedm=%d\n", state.goid, state.word(),
        running && m != nullptr ? m->procid.load(std::memory_order_relaxed) : 0,
        locked != nullptr ? locked->procid.load(std::memory_order_relaxed) : 0);
}

void printDetail(const Printer& print) {
  for (uint32_t i = 0; i < sched.nprocs; ++i) printP(print, *sched.p(i));
  for (const M* m = sched.allm.load(std::memory_order_acquire); m != nullptr; m = m->alllink)
    printM(print, *m);
  forEachG(
      [](G* gp, void* to) {
        if (gp->status.load(std::memory_order_relaxed) == GStatus::Dead) return;
        printG(*static_cast<const Printer*>(to), *gp);
      },
      const_cast<Printer*>(&print));
}

void* schedtrace(void*) {
  registerHelperThread();
  const int64_t interval = debugVar("schedtrace") * kMillisecond;
  const bool detail = debugVar("scheddetail") != 0;
  const int64_t begin = nanotime();
  for (int64_t at = begin;; at += interval) {
    const timespec until{.tv_sec = at / kSecond, .tv_nsec = at % kSecond};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
    std::string text;  // one write for all, so that nothing comes between
    const Printer print(text);
    printLine(print, (nanotime() - begin) / kMillisecond);
    if (detail) printDetail(print);
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, text.data(), text.size());
  }
}

}  // namespace

void startSchedtrace() {
  if (debugVar("schedtrace") <= 0) return;
  request = {.start = schedtrace};
  expectHelperThread();
  newThread(request);
}

}  // namespace fairlead::runtime
