// The runtime's side of the protocol: the verbs of CNI over a whole list of plugins.
#pragma once

#include <exception>
#include <set>
#include <string>
#include <vector>

#include "plugin/call.h"
#include "plugin/delegate.h"
#include "plugin/error.h"
#include "plugin/network_list.h"
#include "plugin/result.h"
#include "plugin/result_cache.h"

namespace fairlead::plugin {

// RuntimeConf is what a runtime knows of one container's interface.
struct RuntimeConf {
  std::string containerId;
  std::string netns;  // a path; may be empty for DEL
  std::string ifname;
  std::string args;  // CNI_ARGS
  Json capabilityArgs = Json::object();
};

// PluginFailure is one plugin's refusal of one verb.
struct PluginFailure {
  size_t index;  // place in the list, from 0
  std::string type;
  std::string command;  // the verb, as in CNI_COMMAND
  CniError error;
};

// ListError is a verb that failed: by one plugin, or, for DEL and GC, which go on, by several.
class ListError : public std::exception {
 public:
  explicit ListError(std::vector<PluginFailure> failures, bool rolledBack = false);

  // failures() is never empty. After an ADD the first is why, the others are what went wrong in rolling back.
  const std::vector<PluginFailure>& failures() const { return failures_; }
  // rolledBack() tells whether plugins had to be called to undo an ADD.
  bool rolledBack() const { return rolledBack_; }
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::vector<PluginFailure> failures_;
  bool rolledBack_;
  std::string what_;
};

// PluginPlan is what one plugin of the list would do in an ADD.
struct PluginPlan {
  std::string type;
  std::string path;  // the file
  bool builtin;
  std::vector<std::string> lines;
};

// ListRunner runs the verbs of one network. It must be used on the main goroutine, in the host's namespace.
// What a plugin refuses is thrown as ListError; the cache may throw netns::Error.
class ListRunner {
 public:
  // `list` and `cache` must outlive this. Plugins are looked for along `cniPath` (Delegate::find()).
  ListRunner(const NetworkList& list, std::string cniPath, const ResultCache& cache);

  // add() calls the plugins in order, each with the result of the one before, and caches the last result.
  // When one fails, those before it get a DEL, and so does the failed one unless it is built in: that has
  // undone itself, and its DEL could remove what was there before. Nor does one that found everything done.
  Result add(const RuntimeConf& conf) const;
  // del() calls the plugins in reverse order. It goes on after a failure; the cache is kept then.
  void del(const RuntimeConf& conf) const;
  // check() does nothing when the list says so, or throws CniError when its version has no CHECK.
  void check(const RuntimeConf& conf) const;
  // status() does nothing when the list's version has no STATUS.
  void status() const;
  // gc() tells each plugin which attachments are valid. Lists older than GC reach only the plugins that are
  // built in.
  void gc(const std::vector<Attachment>& valid) const;
  // explain() says what add() would do, and with what result. It does nothing.
  Result explain(const RuntimeConf& conf, std::vector<PluginPlan>& plans) const;

 private:
  Delegate find(size_t index) const;
  Environment environment(std::string_view command, const RuntimeConf& conf) const;
  std::optional<Result> cachedResult(const RuntimeConf& conf) const;
  // undo() sends DEL to the plugins before `end`, last first, but not to those in `spared`, and returns what
  // went wrong.
  std::vector<PluginFailure> undo(size_t end, const RuntimeConf& conf, const Result* result,
                                  const std::set<size_t>& spared = {}) const;

  const NetworkList& list_;
  std::string cniPath_;
  const ResultCache& cache_;
};

}  // namespace fairlead::plugin
