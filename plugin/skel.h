// The skeleton around a plugin: environment and standard input in, one JSON document and an exit status out.
#pragma once

#include <functional>
#include <string>

#include "plugin/call.h"
#include "plugin/plugin.h"

namespace fairlead::plugin {

// Outcome is what a call leaves: what belongs on standard output and standard error, and the exit status.
struct Outcome {
  int status = 0;
  std::string out;
  std::string err;
};

// run() carries out one call by the rules of the CNI specification, section "Execution Protocol", in the order in which
// the reference skeleton applies them. `readInput` is called at most once, and not for VERSION. Never throws.
Outcome run(const Plugin& plugin, const Environment& env, const std::function<std::string()>& readInput);

// serve() is run() on the process's own environment, standard input and standard output. Returns the exit status.
int serve(const Plugin& plugin);

// makeCall() checks the environment and the configuration for a verb and builds the Call. Throws CniError.
Call makeCall(const Environment& env, std::string input);

}  // namespace fairlead::plugin
