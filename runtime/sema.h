// Internal: a counting semaphore for goroutines, first come, first served. What RWMutex is made of.
#pragma once

#include <cstdint>

#include "runtime/g.h"
#include "runtime/lock.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime {

class Sema {
 public:
  constexpr Sema() = default;
  Sema(const Sema&) = delete;
  Sema& operator=(const Sema&) = delete;

  // acquire() takes one permit, and parks until there is one.
  void acquire(WaitReason reason);
  // release() gives n permits, to those who wait first. Any thread may call it.
  void release(uint32_t n = 1);

 private:
  Lock guard_{LockRank::Chan};  // guards what follows
  uint32_t permits_ = 0;
  WaitList waiters_;  // empty unless permits_ is 0
};

}  // namespace fairlead::runtime
