#include "runtime/halt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "runtime/gmp.h"
#include "runtime/machine.h"

namespace fairlead::runtime {

constinit Lock haltLock(LockRank::Outer);

namespace {

constexpr int64_t kPatience = 100'000'000;  // nanoseconds

struct Halting {
  std::atomic<uint32_t> round{0};  // odd: whoever gets the signal halts until it changes
  std::atomic<uint32_t> halted{0};
};

constinit Halting halting;

int haltSignal() { return SIGRTMAX - 1; }

void onHalt(int, siginfo_t*, void* context) {
  M* m = getmOrNull();
  const uint32_t round = halting.round.load(std::memory_order_acquire);
  if (m == nullptr || round % 2 == 0 || m->haltedIn.load(std::memory_order_relaxed) == round) return;
  const int error = errno;
  Backtrace trace;
  callersBacktrace(trace, programCounter(context));
  m->haltedAt.store(&trace, std::memory_order_relaxed);
  m->haltedOn.store(stackPointer(context), std::memory_order_relaxed);
  m->haltedIn.store(round, std::memory_order_release);
  halting.halted.fetch_add(1, std::memory_order_release);
  futexWake(halting.halted);
  while (halting.round.load(std::memory_order_acquire) == round) futexSleep(halting.round, round);
  errno = error;
}

bool installHandler() {
  struct sigaction action {};
  if (sigaction(haltSignal(), nullptr, &action) != 0) return false;
  if (action.sa_sigaction == onHalt) return true;
  if (action.sa_handler != SIG_DFL) return false;  // the program's
  action.sa_sigaction = onHalt;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&action.sa_mask);
  return sigaction(haltSignal(), &action, nullptr) == 0;
}

}  // namespace

Halt::Halt() {
  // Past those that are still halted for one that has failed over its work.
  const uint32_t before = halting.round.load(std::memory_order_relaxed);
  halting.halted.store(0, std::memory_order_relaxed);
  halting.round.store(before + 1 + before % 2, std::memory_order_release);
  if (!installHandler()) return;
  const pid_t process = getpid();
  const pid_t self = gettid();
  uint32_t asked = 0;
  for (const M* m = sched.allm.load(std::memory_order_acquire); m != nullptr; m = m->alllink) {
    const pid_t thread = m->procid.load(std::memory_order_relaxed);
    if (thread != 0 && thread != self && tgkill(process, thread, haltSignal()) == 0) ++asked;
  }
  const int64_t deadline = nanotime() + kPatience;
  for (uint32_t halted = 0; (halted = halting.halted.load(std::memory_order_acquire)) < asked;) {
    if (nanotime() >= deadline) return;
    futexSleep(halting.halted, halted, deadline);
  }
}

Halt::~Halt() {
  halting.round.fetch_add(1, std::memory_order_release);
  futexWakeAll(halting.round);
}

const Backtrace* Halt::of(const M& m) {
  const uint32_t round = halting.round.load(std::memory_order_relaxed);
  if (round % 2 == 0 || m.haltedIn.load(std::memory_order_acquire) != round) return nullptr;
  return m.haltedAt.load(std::memory_order_relaxed);
}

bool Halt::on(const M& m, const void* low, const void* high) {
  const uintptr_t sp = m.haltedOn.load(std::memory_order_relaxed);
  return of(m) != nullptr && sp >= reinterpret_cast<uintptr_t>(low) && sp < reinterpret_cast<uintptr_t>(high);
}

}  // namespace fairlead::runtime
