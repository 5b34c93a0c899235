#include "tests/runtime/observe.h"

#include "runtime/stack.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {

bool parked(int n, WaitReason reason) {
  struct Count {
    int n;
    WaitReason reason;
  };
  return eventually([&] {
    Count count{0, reason};
    forEachG(
        [](G* gp, void* arg) {
          auto* c = static_cast<Count*>(arg);
          if (gp->status == GStatus::Waiting && gp->waitReason == c->reason) ++c->n;
        },
        &count);
    return count.n == n;
  });
}

}  // namespace fairlead::runtime
