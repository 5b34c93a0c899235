#include "runtime/held_locks.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <utility>

#include "runtime/debugvars.h"
#include "runtime/dump.h"
#include "runtime/fatal.h"
#include "runtime/print.h"

namespace fairlead::runtime {
namespace {

// Held is what a thread has locked: the addresses of the first few, and how many.
struct Held {
  static constexpr uint32_t kMost = 16;

  std::array<const void*, kMost> locks{};
  uint32_t count = 0;

  void add(const void* lock) {
    if (count < kMost) locks[count] = lock;
    ++count;
  }
  // remove() of one that is not there is that of a goroutine which has changed threads: reported already.
  void remove(const void* lock) {
    for (uint32_t i = std::min(count, kMost); i > 0; --i) {
      if (locks[i - 1] != lock) continue;
      std::copy(locks.begin() + i, locks.begin() + std::min(count, kMost), locks.begin() + i - 1);
      --count;
      return;
    }
  }
};

constinit thread_local Held held;

// Behind functions, as the thread may be another one at each call.
[[gnu::noipa]] void locked(const void* lock) { held.add(lock); }
[[gnu::noipa]] void unlocked(const void* lock) { held.remove(lock); }
// takeHeld() forgets them as well: the goroutines that run here next do not hold them.
[[gnu::noipa]] Held takeHeld() { return std::exchange(held, Held{}); }

// firstTime() tells whether nobody has parked in this way before.
bool firstTime(const Backtrace& trace) {
  static constinit std::array<std::atomic<uint64_t>, 256> seen{};
  constexpr uint64_t kPrime = 0x100000001B3;
  uint64_t site = 1;
  for (uint32_t i = 0; i < trace.count; ++i) site = (site ^ trace.frames[i].pc) * kPrime;
  for (std::atomic<uint64_t>& one : seen) {
    uint64_t free = 0;
    if (one.compare_exchange_strong(free, site)) return true;
    if (free == site) return false;
  }
  return false;
}

}  // namespace

void reportHeldLocks(const G& gp) {
  const Held locks = takeHeld();
  if (locks.count == 0) return;
  GoroutineState state;
  state.read(gp);
  state.trace = {};
  callersBacktrace(state.trace, 0);
  if (!firstTime(state.trace)) return;
  const Printer print;
  print("runtime: goroutine %" PRIu64 " parks while its thread holds %u pthread lock%s, the last at %p\n",
        state.goid, locks.count, locks.count == 1 ? "" : "s",
        locks.locks[std::min(locks.count, Held::kMost) - 1]);
  Dump(print, {}).goroutine(state);
  if (debugText("heldlocks") == "fatal") fatal("runtime: pthread lock held over a park");
}

}  // namespace fairlead::runtime

// The linker calls these instead of pthread_mutex_lock and so on, and gives us those as __real_...
extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's.
#define FAIRLEAD_LOCKS(type, name)                   \
  int __real_##name(type* lock);                     \
  int __wrap_##name(type* lock);                     \
  int __wrap_##name(type* lock) {                    \
    const int error = __real_##name(lock);           \
    if (error == 0) fairlead::runtime::locked(lock); \
    return error;                                    \
  }
#define FAIRLEAD_UNLOCKS(type, name)   \
  int __real_##name(type* lock);       \
  int __wrap_##name(type* lock);       \
  int __wrap_##name(type* lock) {      \
    fairlead::runtime::unlocked(lock); \
    return __real_##name(lock);        \
  }

FAIRLEAD_LOCKS(pthread_mutex_t, pthread_mutex_lock)
FAIRLEAD_LOCKS(pthread_mutex_t, pthread_mutex_trylock)
FAIRLEAD_UNLOCKS(pthread_mutex_t, pthread_mutex_unlock)
FAIRLEAD_LOCKS(pthread_rwlock_t, pthread_rwlock_rdlock)
FAIRLEAD_LOCKS(pthread_rwlock_t, pthread_rwlock_tryrdlock)
FAIRLEAD_LOCKS(pthread_rwlock_t, pthread_rwlock_wrlock)
FAIRLEAD_LOCKS(pthread_rwlock_t, pthread_rwlock_trywrlock)
FAIRLEAD_UNLOCKS(pthread_rwlock_t, pthread_rwlock_unlock)
// NOLINTEND(bugprone-reserved-identifier)

}  // extern "C"
