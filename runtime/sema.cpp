#include "runtime/sema.h"

#include "runtime/gmp.h"

namespace fairlead::runtime {

void Sema::acquire(WaitReason reason) {
  guard_.lock();
  if (permits_ > 0) {
    --permits_;
    return guard_.unlock();
  }
  Waiter self{.gp = getm()->curg};
  waiters_.pushBack(&self);
  gopark([](G*, void* guard) { static_cast<Lock*>(guard)->unlock(); }, &guard_, reason);
}

void Sema::release(uint32_t n) {
  WaitList released;
  guard_.lock();
  for (; n > 0 && !waiters_.empty(); --n) released.pushBack(waiters_.pop());
  permits_ += n;
  guard_.unlock();
  while (Waiter* w = released.pop()) goready(w->gp);
}

}  // namespace fairlead::runtime
