#include "runtime/debug.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include "runtime/dump.h"
#include "runtime/gmp.h"
#include "runtime/halt.h"
#include "runtime/runtime.h"
#include "runtime/stack.h"

namespace fairlead::runtime {
namespace {

constexpr size_t kMost = 100'000;
constexpr size_t kSpare = 64;  // goroutines that are made before all threads have halted

// Snapshot is the state of all goroutines, the caller first, in memory of its own: while others are halted
// nothing can be allocated.
class Snapshot {
 public:
  explicit Snapshot(uintptr_t from);
  ~Snapshot() { munmap(states_, bytes()); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  [[nodiscard]] const GoroutineState* begin() const { return states_; }
  [[nodiscard]] const GoroutineState* end() const { return states_ + count_; }

 private:
  [[nodiscard]] size_t bytes() const { return room_ * sizeof(GoroutineState); }
  void add(const G& g) {
    if (count_ < room_) std::construct_at(&states_[count_++])->read(g);
  }

  const size_t room_;
  size_t count_ = 0;
  GoroutineState* states_ = nullptr;
  const G* self_;
};

Snapshot::Snapshot(uintptr_t from)
    : room_(std::min(kMost, static_cast<size_t>(numGoroutine()) + kSpare)), self_(getm()->curg) {
  void* memory =
      mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "snapshot: mmap");
  states_ = static_cast<GoroutineState*>(memory);
  add(*self_);
  callersBacktrace(states_[0].trace, from);
  haltLock.lock();
  {
    const Halt halt;
    forEachG(
        [](G* gp, void* to) {
          auto* snapshot = static_cast<Snapshot*>(to);
          if (gp == snapshot->self_ || gp->status.load(std::memory_order_relaxed) == GStatus::Dead) return;
          snapshot->add(*gp);
        },
        this);
  }
  haltLock.unlock();
}

}  // namespace

[[gnu::noinline]] std::string stackDump(bool all) {
  std::string text;
  const Printer print(text);
  Dump dump(print, {.mayAllocate = true});
  const auto from = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  if (all) {
    for (const GoroutineState& state : Snapshot(from)) dump.goroutine(state);
  } else {
    GoroutineState state;
    state.read(*getm()->curg);
    callersBacktrace(state.trace, from);
    dump.goroutine(state);
  }
  return text.substr(1);  // each goroutine begins with an empty line
}

[[gnu::noinline]] std::vector<GoroutineInfo> goroutines() {
  std::vector<GoroutineInfo> result;
  Printer nowhere;
  Dump dump(nowhere, {.mayAllocate = true});
  for (const GoroutineState& state : Snapshot(reinterpret_cast<uintptr_t>(__builtin_return_address(0)))) {
    GoroutineInfo& info = result.emplace_back();
    info.id = state.goid;
    info.parent = state.parent;
    if (state.parent != 0) info.createdAt = dump.place({.exact = 0, .pc = state.createdAt});
    info.state = state.word();
    info.waited = std::chrono::nanoseconds(state.waited);
    info.lockedToThread = state.locked;
    info.thread = state.thread;
    info.p = state.p;
    for (uint32_t i = 0; i < state.trace.count; ++i) {
      const Frame frame = state.trace.frames[i];
      if (dump.shows(frame)) info.stack.emplace_back(dump.place(frame));
    }
  }
  return result;
}

}  // namespace fairlead::runtime
