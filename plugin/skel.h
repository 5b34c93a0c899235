// The skeleton around a plugin: environment and standard input in, one JSON document and an exit status out.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "netns/netns.h"
#include "plugin/call.h"
#include "plugin/plugin.h"

namespace fairlead::plugin {

// Outcome is what a call leaves: what belongs on standard output and standard error, and the exit status.
struct Outcome {
  int status = 0;
  std::string out;
  std::string err;
  // Of an ADD that succeeded: to be called when `out` has been delivered, or cannot be (the ADD is undone
  // then).
  std::function<void(bool delivered)> settle = {};
};

// run() carries out one call by the rules of the CNI specification, section "Execution Protocol", in the
// order in which the reference skeleton applies them. `readInput` is called at most once, and not for
// VERSION. Never throws.
Outcome run(const Plugin& plugin, const Environment& env, const std::function<std::string()>& readInput);

// serve() is run() on the process's own environment, standard input and standard output. Returns the exit
// status.
int serve(const Plugin& plugin);

// dispatch() hands a checked call to the plugin, after the checks that need both: the version, and that ADD
// and DEL are not about the host's own namespace. The result is ADD's. Throws CniError only: any other
// std::exception becomes code 999 with its text, and a failure without details gets the call's (plugin,
// network, container, interface).
std::optional<Result> dispatch(const Plugin& plugin, const Call& call);

// refuseOwnNetNS() throws CniError 8 when `given` is the host's own namespace, unless CNI_NETNS_OVERRIDE
// allows that. The reference does so after it has acted, which has taken hosts offline (loopback's DEL sets
// lo down). Must run in the host's namespace, which is asked for once in a process.
void refuseOwnNetNS(const Environment& env, const netns::NetNS::Identity& given);

// makeCall() checks the environment and the configuration for a verb and builds the Call. Throws CniError.
Call makeCall(const Environment& env, std::string input);

}  // namespace fairlead::plugin
