#include "runtime/fatal.h"

#include <cxxabi.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <typeinfo>

#include "runtime/debugvars.h"
#include "runtime/dump.h"
#include "runtime/gmp.h"
#include "runtime/halt.h"
#include "runtime/lastwords.h"
#include "runtime/machine.h"
#include "runtime/trace.h"

namespace fairlead::runtime {
namespace {

constexpr int kExitStatus = 2;
constexpr int kThirdFailure = 4;  // exit status, as in Go

// How much FAIRLEAD_TRACEBACK asks for, in the words and the order of GOTRACEBACK.
enum class Level { None, Single, All, System, Crash };

constinit std::atomic<bool> dying{false};
constinit std::atomic<pid_t> dyingThread{0};
constinit int failures = 0;  // of the dying thread
constinit Printer print;
constinit std::atomic<LastWords> lastWords{nullptr};

Level level() {
  const char* text = std::getenv("FAIRLEAD_TRACEBACK");
  constexpr std::array<std::string_view, 5> kWords = {"none", "single", "all", "system", "crash"};
  for (size_t i = 0; text != nullptr && i < kWords.size(); ++i) {
    if (text == kWords[i]) return static_cast<Level>(i);
  }
  return Level::Single;
}

[[noreturn]] void waitForEnd() {
  for (;;) pause();
}

[[noreturn]] void end() {
  writeTrace(false);
  if (level() == Level::Crash) {
    signal(SIGABRT, SIG_DFL);
    std::abort();
  }
  _exit(kExitStatus);
}

// beginDying() returns for one thread only; false when that thread fails again, over its own report.
bool beginDying() {
  if (!dying.exchange(true)) {
    dyingThread = gettid();
    return true;
  }
  if (dyingThread != gettid()) waitForEnd();
  if (++failures > 1) {
    print("stack trace unavailable\n");
    _exit(kThirdFailure);
  }
  print("panic during panic\n");
  return false;
}

// say() is for the thread that dies, at its first failure. `before` ends in a line feed, if it is not empty.
void say(const char* kind, const char* text, const char* before = "") {
  const LastWords f = lastWords.exchange(nullptr);
  if (f == nullptr) return;
  const std::string_view more = std::string_view(before).substr(0, std::string_view(before).find('\n'));
  std::array<char, 512> why;
  std::snprintf(why.data(), why.size(), "%s: %s%s%.*s", kind, text, more.empty() ? "" : ": ",
                static_cast<int>(more.size()), more.data());
  f(why.data());
}

const G* callingG() {
  const M* m = getmOrNull();
  return m != nullptr ? m->curg : nullptr;
}

// Report is what is printed of whom.
struct Report {
  const G* caller = nullptr;  // nullptr: none, the scheduler or a foreign thread
  uintptr_t from = 0;         // where the caller's backtrace begins
  bool all = false;           // even if FAIRLEAD_TRACEBACK does not ask for it
  bool mayAllocate = false;
};

void printGoroutines(const Report& report) {
  const Level wanted = level();
  if (wanted == Level::None) return;
  const DumpStyle style{.system = wanted >= Level::System, .mayAllocate = report.mayAllocate};
  if (report.caller != nullptr) {
    GoroutineState state;
    state.read(*report.caller);
    callersBacktrace(state.trace, report.from);
    Dump(print, style).goroutine(state);
  }
  if (!report.all && wanted < Level::All) return;
  const Halt halt;
  Dump(print, {.system = style.system, .mayAllocate = false}).others(report.caller);
}

// ---- panics

using Causes = std::array<std::exception_ptr, 8>;

std::exception_ptr nestedIn(const std::exception_ptr& outer) {
  try {
    std::rethrow_exception(outer);
  } catch (const std::nested_exception& e) {
    return e.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

// collectCauses() finds what nobody caught, then what was being handled when that was thrown, then what those
// carry inside; newest first. It takes them off the thread's list of exceptions that are being handled.
size_t collectCauses(Causes& causes) {
  size_t n = 0;
  const auto add = [&](const std::exception_ptr& cause) {
    const auto* known = std::find(causes.begin(), causes.begin() + n, cause);
    if (cause != nullptr && n < causes.size() && known == causes.begin() + n) causes[n++] = cause;
  };
  for (size_t i = 0; i < causes.size() && std::current_exception() != nullptr; ++i) {
    add(std::current_exception());
    abi::__cxa_end_catch();
  }
  for (size_t i = 0; i < n; ++i) add(nestedIn(causes[i]));
  return n;
}

void sayCause(const std::exception_ptr& cause) {
  try {
    if (cause != nullptr) std::rethrow_exception(cause);
    say("panic", "terminate called");
  } catch (const std::exception& e) {
    say("panic", e.what());
  } catch (...) {
    say("panic", "an exception without words");
  }
}

void printCause(const std::exception_ptr& cause) {
  try {
    std::rethrow_exception(cause);
  } catch (const std::exception& e) {
    print("panic: %s", e.what());
  } catch (...) {
    std::array<char, 256> name;
    const char* symbol = abi::__cxa_current_exception_type()->name();
    std::snprintf(name.data(), name.size(), "%s", symbol);
    int status = 0;
    char* readable = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
    print("panic: (%s)", readable != nullptr ? readable : name.data());
    std::free(readable);
  }
}

void printCauses() {
  const bool unwinding = std::uncaught_exceptions() > 0;
  Causes causes;
  const size_t n = collectCauses(causes);
  sayCause(causes[0]);
  if (n == 0) print("panic: terminate called\n");
  for (size_t i = n; i-- > 0;) {
    if (i + 1 < n) print("\t");
    printCause(causes[i]);
    print(i > 0 ? " [recovered]\n" : "\n");
  }
  if (unwinding) print("\t[while another exception unwound the stack]\n");
}

[[noreturn]] void onTerminate() {
  const bool first = beginDying();
  if (!first) {
    print("fatal error: panic while printing panic value\n");
    end();
  }
  std::fflush(nullptr);
  const auto from = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  printCauses();
  printGoroutines({.caller = callingG(), .from = from, .mayAllocate = true});
  end();
}

void onQuit(int, siginfo_t* info, void* context) {
  if (dying) return;
  beginDying();
  const uintptr_t pc = programCounter(context);
  print("SIGQUIT: quit\nPC=%#" PRIxPTR " m=%d sigcode=%d\n", pc, gettid(), info->si_code);
  printGoroutines({.caller = callingG(), .from = pc, .all = true});
  end();
}

}  // namespace

void fatal(const char* text, const char* before) {
  const bool first = beginDying();
  say("fatal error", text, before);
  print("%sfatal error: %s\n", before, text);
  const auto from = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  if (first) printGoroutines({.caller = callingG(), .from = from, .all = true});
  end();
}

void fatalDeadlock(const char* text) {
  beginDying();
  say("fatal error", text);
  std::fflush(nullptr);
  print("fatal error: %s\n", text);
  printGoroutines({.all = true, .mayAllocate = true});
  end();
}

void fatalOverflow(const G& g, const void* at, void* context) {
  beginDying();
  say("fatal error", "stack overflow");
  print("runtime: goroutine stack exceeds %zu-byte limit\nruntime: address %p is below stack=[%p, %p]\n",
        static_cast<size_t>(g.stackHigh() - g.stackLow), at, static_cast<const void*>(g.stackLow),
        static_cast<const void*>(g.stackHigh()));
  print("fatal error: stack overflow\n");
  printGoroutines({.caller = &g, .from = programCounter(context), .all = true});
  end();
}

void setLastWords(LastWords f) { lastWords = f; }

void fatalError(const char* text) { fatal(text); }

void installPanicHandler() { std::set_terminate(onTerminate); }

void installQuitHandler() {
  struct sigaction action {};
  if (debugVar("nosigquit") != 0) return;
  if (sigaction(SIGQUIT, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_sigaction = onQuit;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGQUIT, &action, nullptr);
}

void waitIfDying() {
  if (dying) waitForEnd();
}

}  // namespace fairlead::runtime
