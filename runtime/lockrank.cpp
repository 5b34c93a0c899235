// The check of the order in which locks are taken, for builds that ask for it.
#include <algorithm>
#include <array>
#include <cstddef>

#include "runtime/fatal.h"
#include "runtime/lock.h"

namespace fairlead::runtime {
namespace {

struct Held {
  const Lock* lock;
  LockRank rank;
};

// A select may hold many. Goroutines change only while at most the locks are held that the next one releases,
// so the list belongs to the thread, like the locks.
constexpr size_t kMost = 256;
constinit thread_local std::array<Held, kMost> held{};
constinit thread_local size_t heldCount = 0;

bool mayFollow(const Held& before, const Lock* lock, LockRank rank) {
  if (rank == LockRank::Chan && before.rank == LockRank::Chan) return before.lock < lock;
  return rank > before.rank;
}

}  // namespace

[[gnu::noinline]] void rankAcquire(const Lock* lock, LockRank rank) {
  if (heldCount == kMost) fatal("lock ordering problem", "runtime: too many locks held\n");
  for (size_t i = 0; i < heldCount; ++i) {
    if (!mayFollow(held[i], lock, rank)) fatal("lock ordering problem");
  }
  held[heldCount++] = {lock, rank};
}

[[gnu::noinline]] void rankRelease(const Lock* lock) {
  for (size_t i = heldCount; i-- > 0;) {
    if (held[i].lock != lock) continue;
    std::copy(held.begin() + static_cast<ptrdiff_t>(i) + 1, held.begin() + static_cast<ptrdiff_t>(heldCount),
              held.begin() + static_cast<ptrdiff_t>(i));
    --heldCount;
    return;
  }
  fatal("lock ordering problem", "runtime: release of a lock that is not held\n");
}

}  // namespace fairlead::runtime
