// Calling another plugin: an IPAM, or a list's next plugin. One that CNI_PATH resolves to this same binary
// runs in-process; any other is executed as the specification says.
#pragma once

#include <string>
#include <string_view>

#include "plugin/call.h"
#include "plugin/error.h"
#include "plugin/plugin.h"
#include "plugin/result.h"

namespace fairlead::plugin {

// Delegate is a plugin found by its type along CNI_PATH.
class Delegate {
 public:
  // find() searches the directories of `cniPath` as the reference does. Throws CniError 999: "no plugin name
  // provided", "invalid plugin name: x", "no paths provided", "failed to find plugin "x" in path [d1 d2]".
  static Delegate find(std::string_view type, std::string_view cniPath);

  // The verbs pass `call` on with CNI_COMMAND replaced; `call.input` goes to standard input byte for byte. A
  // failure of the delegate is thrown as CniError with its own code, msg and details. Must run in the host's
  // namespace.
  Result add(const Call& call) const;
  void del(const Call& call) const;
  // alreadyDone() is Plugin::alreadyDone(), of an ADD; false of a foreign one, and where it cannot be told.
  bool alreadyDone(const Call& call) const;
  void check(const Call& call) const;
  void gc(const Call& call) const;
  void status(const Call& call) const;
  // explain() asks a built-in one; of a foreign one it only says that it would be executed.
  Explanation explain(const Call& call) const;

  // builtin() is the plugin when it runs in-process, else null.
  const Plugin* builtin() const { return builtin_; }
  const std::string& path() const { return path_; }

 private:
  Delegate(std::string type, std::string path, const Plugin* builtin);
  void run(const Call& call, const char* verb) const;
  std::string execute(const Call& call) const;
  Result addExecuted(const Call& call) const;

  std::string type_;
  std::string path_;
  const Plugin* builtin_;
};

// DelegateLost is a plugin that was started and gave no answer, or none that can be understood: what it has
// done is unknown.
class DelegateLost : public CniError {
 public:
  using CniError::CniError;
};

// execPlugin() runs the plugin at `path` with `env` merged over the process's environment and `input` on its
// standard input, and returns its standard output. Output is bounded (4 MiB), and so is the time
// (`FAIRLEAD_EXEC_TIMEOUT` seconds, 120 by default): then the child's process group is killed. Throws
// CniError by the reference's table ("netplugin failed with no error message: exit status N", ...),
// DelegateLost when a plugin that was started ended neither with success nor with an error document.
std::string execPlugin(const std::string& path, const Environment& env, std::string_view input);

}  // namespace fairlead::plugin
