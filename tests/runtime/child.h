// A program run to its end, for tests of what programs print and how they end.
#pragma once

#include <string>
#include <vector>

namespace fairlead::runtime {

struct Outcome {
  int status = -1;  // exit status; 128 + signal when killed by one
  std::string out;
  std::string err;
};

// runProgram() runs argv[0] with this process's environment and waits for it, at most a minute: then it is
// killed. The calling thread blocks in a BlockingSection.
Outcome runProgram(const std::vector<std::string>& argv);

}  // namespace fairlead::runtime
