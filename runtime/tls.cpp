#include "runtime/tls.h"

#include "runtime/fatal.h"
#include "runtime/fork.h"

namespace fairlead::runtime {

extern "C" {
// Link-time optimisation does not see that the assembly names it.
[[gnu::used, gnu::externally_visible]] thread_local constinit ThreadBlock fairleadThread{};
}

void noM() {
  fatal(inForkedChild() ? "runtime: used in the child of a fork, where only exec may follow"
                        : "runtime: called before main or on a thread that is not the runtime's");
}

}  // namespace fairlead::runtime
