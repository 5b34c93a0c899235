#include "runtime/tls.h"

#include "runtime/fatal.h"

namespace fairlead::runtime {

extern "C" {
// Link-time optimisation does not see that the assembly names it.
[[gnu::used, gnu::externally_visible]] thread_local constinit ThreadBlock fairleadThread{};
}

void noM() { fatal("runtime: called before main or on a thread that is not the runtime's"); }

}  // namespace fairlead::runtime
