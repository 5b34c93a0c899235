// Running a program under ptrace(2), and striking it at one of its system calls.
//
// Threads and children are followed from their first instruction. Each entry into a system call, of whichever
// of them, counts one in the order in which they are seen, from the first one of the program's start-up code
// on: what happens before main counts. With several threads that order differs from run to run, so a point is
// nothing that a second run is sure to meet again; striking at 1, 2, 3, ... until a run ends unharmed tries
// all of them.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/faults.h"

namespace fairlead::crash {

// Program is what to run, in the calling thread's namespaces.
struct Program {
  std::string path;
  std::vector<std::string> args = {};  // without the program's name
  std::vector<std::string> env = {};   // the whole environment
  std::string input = {};              // standard input
};

// Strike is what happens to it.
struct Strike {
  enum class Kind {
    None,   // nothing, not even tracing
    Kill,   // the program and its children are killed as it enters its n-th call, which is not carried out
    Error,  // a call fails: n counts the pairs of a call and an error that it can give
  };
  Kind kind = Kind::None;
  long at = 0;  // counts from 1
};

struct Ending {
  bool hung = false;        // killed, because it had not come to its end after kLimit
  int signal = 0;           // that ended the program
  int status = -1;          // exit status, -1 when there is none
  bool struck = false;      // false: the program was through before
  bool beforeMain = false;  // the strike came before main
  SystemCall call = {};     // where
  int error = 0;            // what it was made to fail with
  std::string out;
  std::string err;

  // where() is "before openat 17 of the run" or "openat fails with EMFILE".
  std::string where() const;
};

// run() returns when the program and everything that it started has ended, in kLimitSeconds at the latest.
// Who stays behind gets SIGTERM once there is nothing left to strike. Throws std::system_error when it cannot
// be started. The process must have one thread and no other children.
constexpr int kLimitSeconds = 40;
Ending run(const Program& program, const Strike& strike = {});

// adoptOrphans() makes this process the parent of what programs leave running, so that run() can wait for it.
void adoptOrphans();

}  // namespace fairlead::crash
