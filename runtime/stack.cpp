#include "runtime/stack.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>

#include "runtime/arena.h"
#include "runtime/fatal.h"
#include "runtime/gmp.h"

namespace fairlead::runtime {
namespace {

// Linux 6.13; not yet in libc's headers. Puts a marker in the page table in place of a mapping of its own:
// two mappings per stack would meet vm.max_map_count at 32,000 goroutines.
constexpr int kMadvGuardInstall = 102;
constexpr uint32_t kMostProtected = 16'000;  // two mappings each: half of vm.max_map_count
constexpr uint32_t kStacksPerSlab = 64;
// A process has 128 TiB of addresses. Half of them go to stacks of full size, a quarter million; the next
// million goroutines share the rest.
constexpr uint32_t kFullSlabs = 4096;
constexpr size_t kLeanStackSize = kStackSize / 4;
// Stacks begin at different lines of their pages: were it the same one, what is in use of all stacks would
// share a few sets of the caches, and a thousand goroutines in turn would take twice as long. Half a page of
// colours, so that the frames of one that waits still fit into the rest.
constexpr size_t kColors = 32;
constexpr size_t kColorSize = 64;
constexpr const char* kSchedulerOverflow = "stack overflow on a scheduler stack";
constexpr ptrdiff_t kPage = 4096;  // what libc puts below a thread's stack
constexpr size_t kAltStackSize = 32UL * 1024;

// A slab is a mapping of 64 stacks, handed out from the bottom and never returned: records must stay
// readable.
struct Slab {
  Slab* next = nullptr;
  char* base = nullptr;
  size_t stackSize = 0;
  std::atomic<uint32_t> used{0};

  [[nodiscard]] size_t size() const { return kStacksPerSlab * stackSize; }
  [[nodiscard]] char* stack(size_t i) const { return base + i * stackSize; }
  // The record is at the top of its stack.
  [[nodiscard]] G* record(size_t i) const {
    return reinterpret_cast<G*>(stack(i + 1) - sizeof(G) - i % kColors * kColorSize);
  }
};

struct Slabs {
  Lock lock;                          // guards taking a stack
  std::atomic<Slab*> first{nullptr};  // newest first; readers walk it without the lock
  bool noMarkers = false;             // the kernel has no guard markers: protect pages instead
  uint32_t pagesProtected = 0;
  uint32_t count = 0;
  Arena records;
};

constinit Slabs slabs;
struct sigaction previous;

Slab* newSlab() {
  auto* slab = new (slabs.records.alloc(sizeof(Slab), alignof(Slab))) Slab;
  slab->stackSize = ++slabs.count <= kFullSlabs ? kStackSize : kLeanStackSize;
  void* base = mmap(nullptr, slab->size(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (base == MAP_FAILED) fatal("out of memory", "runtime: cannot map goroutine stacks\n");
  // A huge page would make every goroutine pay for eight stacks.
  madvise(base, slab->size(), MADV_NOHUGEPAGE);
  slab->next = slabs.first.load(std::memory_order_relaxed);
  slab->base = static_cast<char*>(base);
  slabs.first.store(slab, std::memory_order_release);
  return slab;
}

// guard() makes the lowest pages of a stack inaccessible. Where that takes a mapping of its own, only the
// first so many stacks get one: a program of more goroutines is better off without guards than without memory
// maps.
void guard(char* base) {
#if !defined(__SANITIZE_ADDRESS__)  // LeakSanitizer reads what /proc/self/maps calls readable
  if (!slabs.noMarkers && madvise(base, kGuardSize, kMadvGuardInstall) == 0) return;
  slabs.noMarkers = true;
#endif
  if (slabs.pagesProtected == kMostProtected) return;
  if (mprotect(base, kGuardSize, PROT_NONE) != 0)
    fatal("out of memory", "runtime: cannot protect a goroutine stack\n");
  ++slabs.pagesProtected;
}

void onFault(int signal, siginfo_t* info, void* context) {
  const auto* at = static_cast<const char*>(info->si_addr);
  for (const Slab* slab = slabs.first.load(std::memory_order_acquire); slab != nullptr; slab = slab->next) {
    if (at < slab->base || at >= slab->base + slab->size()) continue;
    const size_t i = static_cast<size_t>(at - slab->base) / slab->stackSize;
    if (at >= slab->stack(i) + kGuardSize) continue;
    const G& g = *slab->record(i);
    if (g.status.load(std::memory_order_relaxed) == GStatus::Dead) fatal(kSchedulerOverflow);  // m0's g0
    fatalOverflow(g, at, context);
  }
  const M* m = getmOrNull();
  if (m != nullptr && m->curg == nullptr && m->g0Low != nullptr && at < m->g0Low && m->g0Low - at <= kPage) {
    fatal(kSchedulerOverflow);
  }
  // Not ours: returning repeats the fault, and then whoever was there before us sees it.
  sigaction(signal, &previous, nullptr);
}

}  // namespace

// fairleadLayout is how gdb.py finds goroutines in a process or a core without debug information: where the
// records are, and where in them. The script knows the order of the words, and refuses a version that is not
// its own: count that up with every change here.
struct Layout {
  uint64_t version = 3;
  uint64_t words = sizeof(Layout) / sizeof(uint64_t);
  const void* mainG = &fairlead::runtime::mainG;
  const void* firstSlab = &slabs.first;
  uint64_t slabNext = offsetof(Slab, next);
  uint64_t slabBase = offsetof(Slab, base);
  uint64_t slabUsed = offsetof(Slab, used);
  uint64_t slabStackSize = offsetof(Slab, stackSize);
  uint64_t record = sizeof(G);
  uint64_t colors = kColors;
  uint64_t colorSize = kColorSize;
  uint64_t sp = offsetof(G, gobuf) + offsetof(Gobuf, sp);
  uint64_t goid = offsetof(G, goid);
  uint64_t parent = offsetof(G, parent);
  uint64_t createdAt = offsetof(G, createdAt);
  uint64_t status = offsetof(G, status);
  uint64_t waitReason = offsetof(G, waitReason);
  uint64_t m = offsetof(G, m);
  uint64_t lockedm = offsetof(G, lockedm);
  uint64_t procid = offsetof(M, procid);
  uint64_t reasons = static_cast<uint64_t>(WaitReason::Preempted) + 1;
  std::array<const char*, static_cast<size_t>(WaitReason::Preempted) + 1> reason;

  constexpr Layout() {
    for (size_t i = 0; i < reason.size(); ++i) reason.at(i) = describe(static_cast<WaitReason>(i));
  }
};
extern "C" [[gnu::used, gnu::retain]] constinit const Layout fairleadLayout{};

G* newStack() {
  slabs.lock.lock();
  Slab* slab = slabs.first.load(std::memory_order_relaxed);
  if (slab == nullptr || slab->used.load(std::memory_order_relaxed) == kStacksPerSlab) slab = newSlab();
  const uint32_t i = slab->used.load(std::memory_order_relaxed);
  guard(slab->stack(i));
  G* gp = new (slab->record(i)) G;
  gp->stackLow = slab->stack(i) + kGuardSize;
  slab->used.fetch_add(1, std::memory_order_release);
  slabs.lock.unlock();
  return gp;
}

void forEachG(void (*f)(G*, void*), void* arg) {
  f(&mainG, arg);
  for (const Slab* slab = slabs.first.load(std::memory_order_acquire); slab != nullptr; slab = slab->next) {
    const uint32_t used = slab->used.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < used; ++i) f(slab->record(i), arg);
  }
}

void installFaultHandler() {
  struct sigaction action {};
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &previous);
}

void* installAltStack(void* memory) {
  const long minimum = sysconf(_SC_MINSIGSTKSZ);  // grows with the processor's vector registers
  const size_t size = kAltStackSize + (minimum > 0 ? static_cast<size_t>(minimum) : 0);
  if (memory == nullptr) memory = persistentalloc(size, alignof(std::max_align_t));
  const stack_t stack{.ss_sp = memory, .ss_flags = 0, .ss_size = size};
  sigaltstack(&stack, nullptr);
  return memory;
}

void removeAltStack() {
  const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
  sigaltstack(&none, nullptr);
}

}  // namespace fairlead::runtime
