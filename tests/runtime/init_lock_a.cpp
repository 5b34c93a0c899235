// The first of two objects of a static library that wire main to the startup thread during static
// initialisation.
#include "runtime/runtime.h"
#include "tests/runtime/init_lock.h"

namespace fairlead::runtime {
namespace {

const bool locked = [] {
  lockOSThread();
  return true;
}();

}  // namespace

bool initLockA() { return locked; }

}  // namespace fairlead::runtime
