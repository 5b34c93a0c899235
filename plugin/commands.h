// The verbs of the command line, with everything that was typed already understood.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "plugin/call.h"
#include "plugin/json.h"

namespace fairlead::plugin {

// Options is a command line. What was not given has its default; empty means "none".
struct Options {
  std::string network;  // a file, or a name in netDir
  std::string netns;    // as it was typed: a path, a name or a process id
  std::string ifname = "eth0";
  std::string containerId;
  std::string args;  // CNI_ARGS
  Json capabilityArgs = Json::object();
  std::string netDir = "/etc/cni/net.d";
  std::string cniPath;
  std::string cacheDir = "/var/lib/cni";
  std::vector<std::string> valid;  // CONTAINER/IFNAME; for gc
  bool dryRun = false;
  bool json = false;
  bool verbose = false;
};

// UsageError is a command line that cannot be meant: exit status 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Each carries out one verb and prints its result to standard output. They throw UsageError, ConfigError,
// ListError, CniError and netns::Error. Main goroutine, host's namespace.
void addCommand(const Options& options);
void checkCommand(const Options& options);
void delCommand(const Options& options);
void statusCommand(const Options& options);
void explainCommand(const Options& options);
void lsCommand(const Options& options);
// gcCommand() without a network is of all: it prints a document each, tells of failures and goes on, and is
// false then.
bool gcCommand(const Options& options);
// doctorCommand() is false when it has found something.
bool doctorCommand(const Options& options);
void versionCommand(const Options& options);

}  // namespace fairlead::plugin
