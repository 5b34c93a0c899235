// Programs that do what their first argument names, for tests of whole processes: a table of ways, and what
// most of them need.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <span>

#include "runtime/gmp.h"
#include "runtime/time.h"

namespace fairlead::runtime {

struct Way {
  const char* name;
  int (*run)();
};

// runWay() is such a program's goMain: the named way's exit status; 99, and a word on stderr, for a name that
// is not in the table.
inline int runWay(std::span<const Way> ways, int argc, char** argv) {
  for (const Way& way : ways) {
    if (argc == 2 && std::strcmp(argv[1], way.name) == 0) return way.run();
  }
  std::fprintf(stderr, "unknown way\n");
  return 99;
}

// check() prints a line that the test reads.
inline void check(bool condition, const char* what) {
  std::printf("%s %s\n", condition ? "ok:" : "WRONG:", what);
}

inline bool onStartupThread() { return threadId() == getpid(); }

inline int threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

// eventually() looks at `condition` until it holds, and gives up after ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    sleep(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace fairlead::runtime
