#include "runtime/fatal.h"

#include <cxxabi.h>
#include <unistd.h>
#include <unwind.h>

#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <typeinfo>

#include "runtime/gmp.h"
#include "runtime/runtime.h"
#include "runtime/stack.h"

namespace fairlead::runtime {
namespace {

constexpr int kExitStatus = 2;
constexpr int kMaxFrames = 50;
constexpr size_t kMaxLine = 2048;

constinit std::atomic<bool> dying{false};
constinit std::atomic<pid_t> dyingThread{0};

[[gnu::format(printf, 1, 2)]] void print(const char* format, ...) {
  std::array<char, kMaxLine> line;
  va_list args;
  va_start(args, format);
  const int n = std::vsnprintf(line.data(), line.size(), format, args);
  va_end(args);
  if (n <= 0) return;
  const size_t length = std::min(static_cast<size_t>(n), line.size() - 1);
  [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, line.data(), length);
}

[[noreturn]] void waitForEnd() {
  for (;;) pause();
}

// beginDying() returns for one thread only. A second failure of that same thread ends the program at once.
void beginDying() {
  if (!dying.exchange(true)) {
    dyingThread = gettid();
    return;
  }
  if (dyingThread == gettid()) _exit(kExitStatus);
  waitForEnd();
}

const char* describe(const G& g) {
  switch (g.status.load(std::memory_order_relaxed)) {
    case GStatus::Runnable:
      return "runnable";
    case GStatus::Running:
      return "running";
    case GStatus::Syscall:
      return "syscall";
    default:
      break;
  }
  switch (g.waitReason.load(std::memory_order_relaxed)) {
    case WaitReason::ChanReceive:
      return "chan receive";
    case WaitReason::ChanReceiveNil:
      return "chan receive (nil chan)";
    case WaitReason::ChanSend:
      return "chan send";
    case WaitReason::ChanSendNil:
      return "chan send (nil chan)";
    case WaitReason::Select:
      return "select";
    case WaitReason::SelectNoCases:
      return "select (no cases)";
    case WaitReason::MutexLock:
      return "sync.Mutex.Lock";
    case WaitReason::RWMutexRLock:
      return "sync.RWMutex.RLock";
    case WaitReason::RWMutexLock:
      return "sync.RWMutex.Lock";
    case WaitReason::CondWait:
      return "sync.Cond.Wait";
    case WaitReason::Semacquire:
      return "semacquire";
    case WaitReason::WaitGroupWait:
      return "sync.WaitGroup.Wait";
    case WaitReason::Sleep:
      return "sleep";
    default:
      return "waiting";
  }
}

void printHeader(const G& g) {
  const bool locked = g.lockedm.load(std::memory_order_relaxed) != nullptr;
  print("goroutine %" PRIu64 " [%s%s]:\n", g.goid.load(std::memory_order_relaxed), describe(g),
        locked ? ", locked to thread" : "");
}

_Unwind_Reason_Code printFrame(_Unwind_Context* frame, void* count) {
  if (++*static_cast<int*>(count) > kMaxFrames) return _URC_NORMAL_STOP;
  print("\t%#" PRIxPTR "\n", static_cast<uintptr_t>(_Unwind_GetIP(frame)));
  return _URC_NO_REASON;
}

// printCaller() is for the goroutine that brought the end about: who it is, and the addresses on its stack.
void printCaller(const G& g) {
  printHeader(g);
  int count = 0;
  _Unwind_Backtrace(printFrame, &count);
}

void printOthers(const G* caller) {
  forEachG(
      [](G* gp, void* except) {
        const GStatus status = gp->status.load(std::memory_order_relaxed);
        if (gp == except || status == GStatus::Dead) return;
        print("\n");
        printHeader(*gp);
        if (gp->parent != 0) print("\tcreated by goroutine %" PRIu64 "\n", gp->parent);
      },
      const_cast<G*>(caller));
}

const G* callingG() {
  const M* m = getmOrNull();
  return m != nullptr ? m->curg : nullptr;
}

void printException() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return print("panic: terminate called\n");
  try {
    throw;
  } catch (const std::exception& e) {
    print("panic: %s\n", e.what());
  } catch (...) {
    int status = 0;
    char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    print("panic: (%s)\n", name != nullptr ? name : type->name());
    std::free(name);
  }
}

[[noreturn]] void onTerminate() {
  beginDying();
  std::fflush(nullptr);
  printException();
  if (const G* gp = callingG()) {
    print("\n");
    printCaller(*gp);
  }
  _exit(kExitStatus);
}

}  // namespace

void fatal(const char* text, const char* before) {
  beginDying();
  print("%sfatal error: %s\n", before, text);
  const G* caller = callingG();
  if (caller != nullptr) {
    print("\n");
    printCaller(*caller);
  }
  printOthers(caller);
  _exit(kExitStatus);
}

void fatalDeadlock(const char* text) {
  beginDying();
  std::fflush(nullptr);
  print("fatal error: %s\n", text);
  printOthers(nullptr);
  _exit(kExitStatus);
}

void fatalOverflow(const G& g, const void* at) {
  beginDying();
  print("runtime: goroutine stack exceeds %zu-byte limit\nruntime: address %p is below stack=[%p, %p]\n",
        static_cast<size_t>(g.stackHigh - g.stackLow), at, static_cast<const void*>(g.stackLow),
        static_cast<const void*>(g.stackHigh));
  print("fatal error: stack overflow\n\n");
  printHeader(g);
  printOthers(&g);
  _exit(kExitStatus);
}

void installPanicHandler() { std::set_terminate(onTerminate); }

void waitIfDying() {
  if (dying) waitForEnd();
}

}  // namespace fairlead::runtime
