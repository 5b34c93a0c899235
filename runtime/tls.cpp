// The one thread_local of the runtime, in a file of its own so that no inlining can cache its address.
#include "runtime/fatal.h"
#include "runtime/gmp.h"

namespace fairlead::runtime {
namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local M* current = nullptr;

}  // namespace

[[gnu::noipa]] M* getmOrNull() { return current; }

[[gnu::noipa]] M* getm() {
  M* m = current;
  if (m == nullptr) fatal("runtime: called before main or on a thread that is not the runtime's");
  return m;
}

[[gnu::noipa]] void setm(M* m) { current = m; }

}  // namespace fairlead::runtime
