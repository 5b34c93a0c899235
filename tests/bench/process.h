// Running a plugin as a container runtime does, and measuring it.
#pragma once

#include <string>
#include <vector>

namespace fairlead::bench {

// Command is a program, its whole environment, its standard input and its arguments.
struct Command {
  std::string path;
  std::vector<std::string> env;
  std::string input = {};
  std::vector<std::string> args = {};
};

// Finished is what a command left. Times are in microseconds: `wall` from before the spawn to after the
// reaping, `cpu` user and system time of the process and the children that it waited for.
struct Finished {
  int status = 0;  // as wait(2) has it
  double wall = 0;
  double cpu = 0;
  std::string out;
  std::string err;

  bool ok() const { return status == 0; }
};

// run() spawns the command in the calling thread's namespaces and waits for it. Throws std::system_error when
// it cannot be started. Threads may call it at the same time.
Finished run(const Command& command);

// peakMemory() runs the command on its own and returns the most it had resident, in KiB. (A child's ru_maxrss
// will not do: it counts what the parent had resident at the time of the spawn.) The children of the command
// do not count.
long peakMemory(const Command& command);

// adoptOrphans() makes this process the parent of what commands leave running.
void adoptOrphans();
// reapOrphans() waits until all of those have ended and returns the CPU time that they took. Not beside
// run().
double reapOrphans();

}  // namespace fairlead::bench
