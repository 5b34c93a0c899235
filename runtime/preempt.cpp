#include "runtime/preempt.h"

#include <elf.h>
#include <link.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "runtime/gmp.h"
#include "runtime/machine.h"
#include "runtime/runtime.h"
#include "runtime/trace.h"

namespace fairlead::runtime {

namespace detail {
// Begins at 1: until sysmon runs, poll points themselves look whether it is needed.
constinit std::atomic<uint32_t> preemptWanted{1};
}  // namespace detail

namespace {

using detail::preemptWanted;

#if defined(__SANITIZE_THREAD__)
constexpr bool kSignalsAreDelayed = true;  // until the program calls the C library
#else
constexpr bool kSignalsAreDelayed = false;
#endif

// A range of instructions that may be interrupted.
struct CodeRange {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

struct Async {
  std::atomic<int> signal{0};  // 0: off
  std::atomic<int> left{0};    // goroutines that may be preempted besides those that are
  std::array<CodeRange, 64> ranges;
  size_t rangeCount = 0;
  bool dynamic = false;
};

constinit Async async;

// Code of these may hold a lock that every other thread needs: malloc's, the loader's, the unwinder's. It is
// left alone; a goroutine does not stay in there for long.
bool holdsProcessWideLocks(std::string_view path) {
  const std::string_view name = path.substr(path.find_last_of('/') + 1);
  for (const std::string_view prefix : {"libc.", "libc-", "ld-", "ld64", "libgcc_s", "libstdc++", "libc++",
                                        "libpthread", "libasan", "libubsan", "libtsan", "linux-vdso"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

int collectRanges(dl_phdr_info* object, size_t, void*) {
  const std::string_view path = object->dlpi_name;
  if (holdsProcessWideLocks(path)) {
    async.dynamic = async.dynamic || !path.starts_with("linux-vdso");
    return 0;
  }
  for (int i = 0; i < object->dlpi_phnum && async.rangeCount < async.ranges.size(); ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    async.ranges[async.rangeCount++] = {begin, begin + segment.p_memsz};
  }
  return 0;
}

// blockedOnFutex() is true when the signal came while the thread slept in futex(): the kernel has moved the
// program counter back to the system call, to do it again. Who waits for a mutex there may wait for a
// preempted goroutine, so its P must not be stuck with it.
bool blockedOnFutex(const void* context) {
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  constexpr std::array<unsigned char, 2> kSystemCall = {0x0F, 0x05};
  const auto number = machine.gregs[REG_RAX];
#elif defined(__aarch64__)
  constexpr uint32_t kSystemCall = 0xD4000001;
  const auto number = machine.regs[8];
#endif
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it comes from a register
  const auto* at = reinterpret_cast<const void*>(programCounter(context));
  return number == SYS_futex && std::memcmp(at, &kSystemCall, sizeof kSystemCall) == 0;
}

bool mayStopAt(const void* context) {
  const uintptr_t at = programCounter(context);
  for (size_t i = 0; i < async.rangeCount; ++i) {
    if (at >= async.ranges[i].begin && at < async.ranges[i].end) return true;
  }
  return blockedOnFutex(context);
}

// asyncPreempt() gives m's P away and sleeps until the goroutine is scheduled again, all inside the signal
// handler. From the moment it is in the global queue anyone may pick the goroutine and hand a P back.
void asyncPreempt(M* m) {
  G* gp = m->curg;
  lockInternal(m, gp);
  gp->waitReason.store(WaitReason::Preempted, std::memory_order_relaxed);
  gp->status.store(GStatus::Runnable, std::memory_order_relaxed);
  trace(TraceKind::Preempt, gp);
  P* p = releasep(m);
  ++p->preempted;
  globrunqput(gp);
  handoffp(p);
  stoplockedm(m);
  unlockInternal(m, gp);
}

void onPreempt(int, siginfo_t*, void* context) {
  ThreadBlock* thread = threadBlock();
  M* m = thread->m;
  if (m == nullptr || thread->locks != 0 || m->p == nullptr || m->curg == nullptr) return;
  if (!m->p->preempt.load(std::memory_order_relaxed)) return;
  if (!mayStopAt(context)) return;
  const int error = errno;
  acquirem();
  if (async.left.fetch_sub(1, std::memory_order_relaxed) > 0) asyncPreempt(m);
  async.left.fetch_add(1, std::memory_order_relaxed);
  releasem();
  errno = error;
}

void request(P* p) {
  if (!p->preempt.exchange(true, std::memory_order_relaxed)) {
    preemptWanted.fetch_add(1, std::memory_order_relaxed);
  }
}

[[gnu::noinline]] void poll(M* m) {
  const NoPreempt noPreempt;
  if (m->p == nullptr || m->curg == nullptr || threadBlock()->locks > 1) return;
  pollWithoutSysmon(m);
  if (m->p->preempt.load(std::memory_order_relaxed)) gopreempt(m);
}

}  // namespace

void detail::preemptSlow() {
  M* m = getmOrNull();  // the goroutine keeps its thread also when a signal preempts it here
  if (m != nullptr && !pollCounted(m)) poll(m);
}

void preemptServed(P* p) {
  if (!p->preempt.load(std::memory_order_relaxed)) return;
  if (p->preempt.exchange(false, std::memory_order_relaxed)) {
    preemptWanted.fetch_sub(1, std::memory_order_relaxed);
  }
}

void preemptone(P* p) {
  request(p);
  const int signal = async.signal.load(std::memory_order_relaxed);
  const M* m = p->m.load(std::memory_order_acquire);
  if (m == nullptr) return;
  const pid_t thread = m->procid.load(std::memory_order_relaxed);
  // The thread may have ended meanwhile, or serve another P: the handler looks again.
  if (signal != 0 && thread != 0) syscall(SYS_tgkill, getpid(), thread, signal);
}

void preemptall() {
  const P* mine = getm()->p;
  for (uint32_t i = 0; i < sched.nprocs; ++i) {
    P* p = sched.p(i);
    if (p != mine && p->status.load(std::memory_order_relaxed) == PStatus::Running) preemptone(p);
  }
}

void allowOneMorePreempted() {
  if (async.left.load(std::memory_order_relaxed) <= 0) async.left.fetch_add(1, std::memory_order_relaxed);
}

bool preemptionPending() {
  return async.signal.load(std::memory_order_relaxed) != 0 &&
         async.left.load(std::memory_order_relaxed) > 0 && preemptWanted.load(std::memory_order_relaxed) != 0;
}

bool enableAsyncPreemption(const AsyncPreemption& how) {
  if (kSignalsAreDelayed) return false;
  if (async.signal.load() != 0) return true;
  dl_iterate_phdr(collectRanges, nullptr);
  if (!async.dynamic) return false;
  if (!sched.multi.load()) schedinit();
  startTemplateThread();  // a handler cannot make a thread
  startSysmon();
  async.left.store(how.maxThreads);
  struct sigaction action {};
  action.sa_sigaction = onPreempt;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (sigaction(how.signal, &action, nullptr) != 0) return false;
  async.signal.store(how.signal);
  return true;
}

}  // namespace fairlead::runtime
