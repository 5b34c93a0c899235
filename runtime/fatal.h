// Internal: how a program ends that cannot go on, in Go's words: the text on stderr, goroutines, exit
// status 2.
#pragma once

#include <cstdint>

namespace fairlead::runtime {

struct G;

// fatal() is for broken invariants and for misuse that must not be survived. `before` are lines to print
// first. It takes no lock and allocates nothing, so it may be called anywhere. The first caller wins, later
// ones wait for the end.
[[noreturn]] void fatal(const char* text, const char* before = "");

// fatalDeadlock() is fatal() with every goroutine and what it waits for, and no trace of its own.
[[noreturn]] void fatalDeadlock(const char* text);

// fatalOverflow() reports a goroutine that ran over the end of its stack. Called on the signal stack.
[[noreturn]] void fatalOverflow(const G& g, const void* at);

// installPanicHandler() makes an exception that leaves a goroutine, and any other std::terminate, a panic.
void installPanicHandler();

// waitIfDying() never returns once somebody is printing: the end of main must not cut the text short.
void waitIfDying();

}  // namespace fairlead::runtime
