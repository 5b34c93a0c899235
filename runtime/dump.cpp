#include "runtime/dump.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "runtime/gmp.h"
#include "runtime/halt.h"
#include "runtime/stack.h"

namespace fairlead::runtime {
namespace {

constexpr int64_t kMinute = 60'000'000'000;

// hidden() are the functions through which every goroutine comes to life and leaves its stack: they say
// nothing that the header does not.
bool hidden(const char* mangled) {
  if (mangled == nullptr) return false;
  const std::string_view name = mangled;
  if (name == "fairleadEntry" || name == "fairleadSwitch") return true;
  constexpr std::string_view kRuntime = "_ZN8fairlead7runtime";
  if (!name.starts_with(kRuntime)) return false;
  const std::string_view rest = name.substr(kRuntime.size());
  for (const std::string_view one :
       {"11switchStack", "10switchAway", "6gopark", "11stoplockedm", "14goroutineEntry"}) {
    if (rest.starts_with(one)) return true;
  }
  return false;
}

}  // namespace

// Threads that could not be halted go on meanwhile: what is read of theirs may be a moment old.
__attribute__((no_sanitize("thread"))) void GoroutineState::read(const G& g) {
  goid = g.goid.load(std::memory_order_relaxed);
  parent = g.parent;
  createdAt = g.createdAt;
  status = g.status.load(std::memory_order_relaxed);
  waitReason = g.waitReason.load(std::memory_order_relaxed);
  const int64_t since = g.waitsince.load(std::memory_order_relaxed);
  if (status == GStatus::Waiting && since != 0) waited = nanotime() - since;
  const M* lockedm = g.lockedm.load(std::memory_order_relaxed);
  locked = lockedm != nullptr;
  // One that waits may not have left its stack yet, and what it left there the last time is no more. Main's
  // stack is not known.
  const bool running = status == GStatus::Running || status == GStatus::Syscall ||
                       (g.m != nullptr && g.stackLow != nullptr && Halt::on(*g.m, g.stackLow, g.stackHigh()));
  const M* m = running ? g.m : lockedm;
  if (m == nullptr) return parkedBacktrace(trace, g);
  thread = m->procid.load(std::memory_order_relaxed);
  if (const P* owned = m->p; owned != nullptr) p = static_cast<int>(owned->id);
  if (const Backtrace* halted = Halt::of(*m)) {
    trace = *halted;
  } else if (m == getmOrNull()) {
    callersBacktrace(trace, 0);
  }
}

const char* GoroutineState::word() const {
  switch (status) {
    case GStatus::Dead:
      return "dead";
    case GStatus::Runnable:
      return waitReason == WaitReason::Preempted ? "preempted" : "runnable";
    case GStatus::Running:
      return "running";
    case GStatus::Syscall:
      return "syscall";
    case GStatus::Waiting:
      break;
  }
  return describe(waitReason);
}

void Dump::header(const GoroutineState& state) const {
  print_("goroutine %" PRIu64 " [%s", state.goid, state.word());
  if (state.waited >= kMinute) print_(", %" PRId64 " minutes", state.waited / kMinute);
  if (state.locked) print_(", locked to thread");
  print_("]:\n");
}

const char* Dump::place(Frame frame) {
  const Symbol symbol = symbols_.find(frame);
  if (symbol.name == nullptr) return "?";
  constexpr size_t kOffset = 24;
  demangle(symbol.name, place_.data(), place_.size() - kOffset, style_.mayAllocate);
  char* end = place_.data() + std::strlen(place_.data());
  std::snprintf(end, kOffset, "+%#" PRIxPTR, symbol.offset);
  return place_.data();
}

bool Dump::shows(Frame frame) { return style_.system || !hidden(symbols_.find(frame).name); }

void Dump::frames(const Backtrace& trace) {
  if (trace.count == 0) return print_("\tgoroutine running on other thread; stack unavailable\n");
  for (uint32_t i = 0; i < trace.count; ++i) {
    const Frame frame = trace.frames[i];
    if (shows(frame)) print_("\t%#" PRIxPTR " %s\n", static_cast<uintptr_t>(frame.pc), place(frame));
  }
  if (trace.elided) print_("\t...additional frames elided...\n");
}

void Dump::goroutine(const GoroutineState& state) {
  print_("\n");
  header(state);
  if (state.thread != 0) print_("\tthread %d", state.thread);
  if (state.thread != 0 && state.p >= 0) print_(", P %d", state.p);
  if (state.thread != 0) print_("\n");
  frames(state.trace);
  if (state.parent == 0) return;
  print_("created by goroutine %" PRIu64 " at %s\n", state.parent,
         place({.exact = 0, .pc = state.createdAt}));
}

void Dump::others(const G* except) {
  struct To {
    Dump* dump;
    const G* except;
  } to{this, except};
  forEachG(
      [](G* gp, void* arg) {
        const To& to = *static_cast<To*>(arg);
        if (gp == to.except || gp->status.load(std::memory_order_relaxed) == GStatus::Dead) return;
        GoroutineState state;
        state.read(*gp);
        to.dump->goroutine(state);
      },
      &to);
}

}  // namespace fairlead::runtime
