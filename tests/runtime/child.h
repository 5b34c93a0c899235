// A program run to its end, for tests of what programs print and how they end.
#pragma once

#include <cstdlib>
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

// Environment has a variable set for a scope, for programs run meanwhile.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

}  // namespace fairlead::runtime
