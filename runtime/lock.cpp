// Waiting for a lock that somebody else has.
#include "runtime/lock.h"

#include <algorithm>

namespace fairlead::runtime {
namespace {

constexpr int kLeast = 4;     // pauses before the first look
constexpr int kMost = 512;    // about 25 microseconds
constexpr int kEnough = 256;  // pauses after which the thread sleeps, but not before its second look
// Nanoseconds between two encounters that belong together: three times the wait of the first, and a little.
constexpr int64_t kStreakPerPause = 150;
constexpr int64_t kStreak = 200;
constexpr int64_t kOversight = 1'000'000;  // nanoseconds

// Encounters is the thread's memory of having met another one at a lock.
struct Encounters {
  int64_t last = 0;
  int pauses = kLeast;
  bool vain = false;  // the lock was still, or again, in use when we looked after the last of them
};

constinit thread_local Encounters encounters;

// Every look at a lock that is in use takes its cache line from the owner's CPU, and what it guards follows:
// a hundred nanoseconds each. Two threads that meet again and again are faster when each stays away for the
// time of many operations of the other: two Ps pass three times as many values through one channel. But who
// finds the lock free after its stay need not stay longer: the two take turns.
int pausesBetweenLooks() {
  const int64_t now = nanotime();
  Encounters& mine = encounters;
  if (now - mine.last >= mine.pauses * kStreakPerPause + kStreak) {
    mine.pauses = kLeast;
  } else if (mine.vain) {
    mine.pauses = std::min(mine.pauses * 2, kMost);
  }
  mine.last = now;
  mine.vain = false;
  return mine.pauses;
}

}  // namespace

[[gnu::noinline, gnu::cold]] void Lock::lockSlow() {
  const int pauses = pausesBetweenLooks();
  for (int spent = 0; spent < std::max(kEnough, 2 * pauses); spent += pauses) {
    for (int i = 0; i < pauses; ++i) cpuRelax();
    if (held_.load(std::memory_order_relaxed) == 0 && held_.exchange(1, std::memory_order_acquire) == 0)
      return;
    encounters.vain = true;
  }
  // Said before each attempt: whoever wakes one takes it back for all.
  for (;;) {
    sleepers_.store(1, std::memory_order_relaxed);
    if (held_.exchange(1, std::memory_order_acquire) == 0) return;
    futexSleep(sleepers_, 1, nanotime() + kOversight);
  }
}

}  // namespace fairlead::runtime
