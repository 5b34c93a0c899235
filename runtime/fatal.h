// Internal: how a program ends that cannot go on, in Go's words: the text on stderr, goroutines, exit
// status 2.
//
// FAIRLEAD_TRACEBACK says how many goroutines are shown, as GOTRACEBACK does: `none`; `single`, the default:
// the one that panicked, all where no single one is to blame; `all`; `system`: with the runtime's own frames;
// `crash`: the same, and then SIGABRT, for a core file.
#pragma once

#include <cstdint>

namespace fairlead::runtime {

struct G;

// fatal() is for broken invariants and for misuse that must not be survived. `before` are lines to print
// first. It takes no lock and allocates nothing, so it may be called anywhere. The first caller wins, later
// ones wait for the end.
[[noreturn, gnu::noinline]] void fatal(const char* text, const char* before = "");

// fatalDeadlock() is fatal() with every goroutine and what it waits for, and no trace of its own.
[[noreturn]] void fatalDeadlock(const char* text);

// fatalOverflow() reports a goroutine that ran over the end of its stack. Called by the signal's handler,
// with its context.
[[noreturn]] void fatalOverflow(const G& g, const void* at, void* context);

// installPanicHandler() makes an exception that leaves a goroutine, and any other std::terminate, a panic.
void installPanicHandler();

// installQuitHandler() makes SIGQUIT print every goroutine and end the program, unless the program has a use
// for that signal or FAIRLEAD_DEBUG says nosigquit.
void installQuitHandler();

// waitIfDying() never returns once somebody is printing: the end of main must not cut the text short.
void waitIfDying();

}  // namespace fairlead::runtime
