#include "runtime/gobuf.h"

#include <cxxabi.h>
#include <pthread.h>

#include <cerrno>

namespace fairlead::runtime {
namespace {

// What fairleadSwitch() leaves at the saved stack pointer, lowest address first. kEntryWord is the register
// from which fairleadEntry() takes the function that it calls.
#if defined(__x86_64__)
// r15 r14 r13 r12 rbx rbp, the address to continue at
constexpr size_t kSavedWords = 7;
constexpr size_t kEntryWord = 3;
constexpr size_t kFrameWord = 5;
constexpr size_t kContinueWord = 6;
#elif defined(__aarch64__)
// x29, x30 (the address to continue at), x19 to x28, d8 to d15
constexpr size_t kSavedWords = 20;
constexpr size_t kEntryWord = 2;
constexpr size_t kFrameWord = 0;
constexpr size_t kContinueWord = 1;
#else
#error "runtime: write gobuf_<architecture>.S for this machine and describe its frame here"
#endif

}  // namespace

void prepareGobuf(Gobuf& c, [[maybe_unused]] void* low, void* high, void (*entry)()) {
  // fairleadEntry() is reached by a return with the stack pointer just above the saved words: 16-byte aligned
  // there.
  auto* top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(high) & ~uintptr_t{15});
  void** frame = top - kSavedWords;
  for (size_t i = 0; i < kSavedWords; ++i) frame[i] = nullptr;
  frame[kEntryWord] = reinterpret_cast<void*>(entry);
  frame[kContinueWord] = reinterpret_cast<void*>(&fairleadEntry);
  c = Gobuf{};
  c.sp = frame;
#if defined(__SANITIZE_ADDRESS__)
  c.stackLow = low;
  c.stackSize = static_cast<size_t>(static_cast<char*>(high) - static_cast<char*>(low));
#endif
#if defined(__SANITIZE_THREAD__)
  c.fiber = __tsan_create_fiber(0);
#endif
}

ThreadState adoptThread([[maybe_unused]] Gobuf& c) {
#if defined(__SANITIZE_ADDRESS__)
  pthread_attr_t attributes;
  void* low = nullptr;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
  }
  c.stackLow = low;
  c.stackSize = size;
#endif
#if defined(__SANITIZE_THREAD__)
  c.fiber = __tsan_get_current_fiber();
#endif
  return {.exceptions = reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals()), .error = &errno};
}

// Not instrumented: between telling ThreadSanitizer of the switch and the switch itself no instrumented
// function may begin or end, or it would do so on the other fiber's shadow stack.
[[gnu::noinline]] __attribute__((no_sanitize("thread"))) void switchStack(Gobuf& from, Gobuf& to,
                                                                          const ThreadState& here,
                                                                          [[maybe_unused]] bool dying) {
  from.exceptions = *here.exceptions;
  from.error = *here.error;
  *here.exceptions = to.exceptions;
  *here.error = to.error;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(dying ? nullptr : &from.fakeStack, to.stackLow, to.stackSize);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
  fairleadSwitch(&from.sp, to.sp);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fakeStack, nullptr, nullptr);
#endif
}

// A stack that is not the caller's; if its goroutine cannot be halted, one that is in use.
__attribute__((no_sanitize("address", "thread"))) ParkedFrame parkedFrame(const Gobuf& c) {
  const auto* words = static_cast<const uintptr_t*>(c.sp);
  return {.pc = words[kContinueWord], .fp = words[kFrameWord]};
}

void retireGobuf([[maybe_unused]] Gobuf& c) {
#if defined(__SANITIZE_THREAD__)
  if (c.fiber != nullptr) __tsan_destroy_fiber(c.fiber);
  c.fiber = nullptr;
#endif
}

}  // namespace fairlead::runtime
