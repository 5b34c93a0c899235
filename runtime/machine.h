// Internal: what of a signal's context depends on the machine. `context` is the handler's third argument.
#pragma once

#include <ucontext.h>

#include <cstdint>

namespace fairlead::runtime {

// programCounter() is the instruction at which a signal interrupted its thread.
inline uintptr_t programCounter(const void* context) {
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return machine.pc;
#endif
}

// stackPointer() is that of the interrupted code.
inline uintptr_t stackPointer(const void* context) {
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(machine.gregs[REG_RSP]);
#elif defined(__aarch64__)
  return machine.sp;
#endif
}

}  // namespace fairlead::runtime
