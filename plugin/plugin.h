// The interface of a plugin, and the table of those that are built in.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/call.h"
#include "plugin/result.h"
#include "plugin/version.h"

namespace fairlead::plugin {

// Explanation is what an ADD would do: the result it would print, and the commands that say the same, in
// order.
struct Explanation {
  Result result;
  std::vector<std::string> lines;
};

// Plugin is one CNI plugin. All callbacks run on the main goroutine, which is locked to the startup thread,
// in the host's namespace. They throw CniError (or netns::Error, which becomes code 999).
class Plugin {
 public:
  virtual ~Plugin() = default;

  // type() is the name it is called by.
  virtual std::string_view type() const = 0;
  virtual std::span<const std::string_view> versions() const { return kAllVersions; }

  virtual Result add(const Call& call) const = 0;
  // delivered() is called when the result of add() has reached the runtime: only then does the attachment
  // exist for it. What a crash in between leaves, another ADD may clear away.
  virtual void delivered(const Call&) const {}
  // alreadyDone() tells, before an add(), whether there is nothing left to do for it. Whoever undoes that ADD
  // then leaves the plugin out: its DEL would take away what others rely on.
  virtual bool alreadyDone(const Call&) const { return false; }
  virtual void del(const Call& call) const = 0;
  virtual void check(const Call& call) const = 0;
  virtual void gc(const Call&) const {}
  virtual void status(const Call&) const {}
  // explain() touches nothing.
  virtual Explanation explain(const Call& call) const = 0;
};

// findPlugin() returns the built-in plugin of that type, or null.
const Plugin* findPlugin(std::string_view type);
// plugins() lists the built-in ones.
std::vector<const Plugin*> plugins();

}  // namespace fairlead::plugin
