#include "runtime/backtrace.h"

#include <unwind.h>

// The highest address of the startup thread's stack, from the dynamic loader or, in a static program, libc.
extern "C" void* __libc_stack_end;  // NOLINT(bugprone-reserved-identifier): the C library's name

namespace fairlead::runtime {
namespace {

struct Collecting {
  Backtrace& trace;
  uintptr_t from;
};

_Unwind_Reason_Code collect(_Unwind_Context* context, void* arg) {
  Collecting& to = *static_cast<Collecting*>(arg);
  int exact = 0;
  const uintptr_t pc = _Unwind_GetIPInfo(context, &exact);
  if (pc == 0) return _URC_END_OF_STACK;
  if (pc == to.from) to.trace.count = 0;
  if (!to.trace.push(pc, exact != 0)) return _URC_END_OF_STACK;
  return _URC_NO_REASON;
}

}  // namespace

bool Backtrace::push(uintptr_t pc, bool exact) {
  if (count == kMost) {
    elided = true;
    return false;
  }
  frames[count++] = {.exact = exact, .pc = pc};
  return true;
}

void callersBacktrace(Backtrace& trace, uintptr_t from) {
  trace.count = 0;
  Collecting to{trace, from};
  _Unwind_Backtrace(collect, &to);
}

// Both machines keep the same record at a frame pointer: the caller's frame pointer, then the return address.
__attribute__((no_sanitize("address", "thread", "undefined"))) void parkedBacktrace(Backtrace& trace,
                                                                                    const G& g) {
  const auto sp = reinterpret_cast<uintptr_t>(g.gobuf.sp);
  const auto low = g.stackLow != nullptr ? reinterpret_cast<uintptr_t>(g.stackLow) : sp;
  const auto high = reinterpret_cast<uintptr_t>(g.stackLow != nullptr ? g.stackHigh() : __libc_stack_end);
  constexpr uintptr_t kRecord = 2 * sizeof(uintptr_t);
  if (sp == 0 || sp < low || sp >= high) return;  // above a stack lies its G, so a whole frame can be read
  auto [pc, fp] = parkedFrame(g.gobuf);
  if (fp == 0) {  // it has not run yet
    trace.push(reinterpret_cast<uintptr_t>(g.entry), true);
    return;
  }
  uintptr_t above = sp;
  while (pc != 0 && trace.push(pc, false)) {
    if (fp <= above || fp % sizeof(uintptr_t) != 0 || fp > high - kRecord) return;
    above = fp;
    const auto* record = reinterpret_cast<const uintptr_t*>(fp);  // NOLINT(performance-no-int-to-ptr)
    fp = record[0];
    pc = record[1];
  }
}

}  // namespace fairlead::runtime
