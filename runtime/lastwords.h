// Last words: a program that owes somebody an answer gives it even when it cannot go on.
#pragma once

namespace fairlead::runtime {

// LastWords is told why the program ends: "fatal error: newosproc: ..." or "panic: ...", one line. It may run
// on any thread, with locks held, on a signal's stack, and without memory left: it may do what a signal
// handler may, and nothing of the runtime.
using LastWords = void (*)(const char* why);

// setLastWords() has `f` called once, before the report, when the program ends by a fatal error or a panic;
// null for nothing, as at first. Not when somebody ends it from outside, be it by SIGQUIT. (Go has nothing
// like it: there one cannot run out of threads and tell.)
void setLastWords(LastWords f);

// fatalError() ends the program as the runtime does for a broken invariant: the text, the goroutines, exit
// status 2. For a layer above whose thread must not go on. (Go: runtime.throw.)
[[noreturn]] void fatalError(const char* text);

}  // namespace fairlead::runtime
