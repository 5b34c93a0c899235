// Internal: the only include of CLI11. It must come before anything else that could include <iostream>.
//
// The command line and the plugins are one binary, and what a header initialises statically runs before every
// plugin call, too. CLI11 2.1 would cost each of them about as much as all of the JSON work:
//  - it includes <iostream>, whose hidden object sets up eight streams and the locale. Nothing in CLI11 that
//  is used
//    here needs more of that header than the declarations, so these stand in for it, under libstdc++'s
//    include guard. The streams are never set up: they must not be used, and App::exit() must be given
//    others.
//  - it defines ready-made validators as namespace-scope objects, some of which format numbers to describe
//  themselves.
//    They are unused here; macros turn the definitions into those of null pointers while the header is read.
// A test makes sure that nothing of either is left: cli.cpp has no static initialiser at all.
#pragma once

#ifdef _GLIBCXX_IOSTREAM
#error "<iostream> has been included already"
#endif
#include <istream>
#include <ostream>

#define _GLIBCXX_IOSTREAM 1  // NOLINT(bugprone-reserved-identifier): libstdc++'s own
namespace std {              // NOLINT(cert-dcl58-cpp): the declarations of the header that is left out
extern istream cin;
extern ostream cout;
extern ostream cerr;
extern ostream clog;
}  // namespace std

#define ExistingFile *const kNoExistingFile = nullptr
#define ExistingDirectory *const kNoExistingDirectory = nullptr
#define ExistingPath *const kNoExistingPath = nullptr
#define NonexistentPath *const kNoNonexistentPath = nullptr
#define ValidIPV4 *const kNoValidIPV4 = nullptr
#define Number(...) *const kNoNumber = nullptr
#define NonNegativeNumber(...) *const kNoNonNegativeNumber = nullptr
#define PositiveNumber(...) *const kNoPositiveNumber = nullptr

#include <CLI/CLI.hpp>

#undef ExistingFile
#undef ExistingDirectory
#undef ExistingPath
#undef NonexistentPath
#undef ValidIPV4
#undef Number
#undef NonNegativeNumber
#undef PositiveNumber
