// A plan: what an attachment consists of, as ordered typed steps. One engine applies, undoes, verifies and
// explains it.
//
// ADD applies the plan and undoes it in reverse on failure; DEL undoes all of it and tolerates what is not
// there; CHECK verifies every step and reports the drift; `explain` prints it. A plugin is a function from
// what is asked to a plan, and never talks to the kernel itself.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/link.h"
#include "netns/netlink.h"
#include "netns/netns.h"
#include "netns/straggler.h"
#include "plugin/error.h"
#include "plugin/result.h"

namespace fairlead::plugin {

// World is what the steps of one plan share: a socket per namespace and family, opened on first use, and the
// links that earlier steps found or made. It lives on the main goroutine, which is locked to its thread.
class World {
 public:
  // `container` may be null (a DEL whose namespace is gone) and must outlive this. `share` is
  // RecordStore::shareLock() of an ADD.
  explicit World(const netns::NetNS* container, netns::Fd share = {})
      : container_(container), share_(std::move(share)) {}

  bool hasContainer() const { return container_ != nullptr; }
  const netns::NetNS& containerNS() const { return *container_; }
  netns::Socket& host();
  netns::Socket& container();
  // straggler() sits out what a removal takes the kernel. Nothing that was given to it is waited for.
  netns::Straggler& straggler() { return straggler_; }

  // find() returns a link of the host, asked for at most once unless `fresh`. nullptr when there is none.
  const netns::Link* find(const std::string& name, bool fresh = false);
  // learn() keeps what a step has found out; forget() drops it.
  const netns::Link& learn(netns::Link link);
  void forget(const std::string& name) { links_.erase(name); }
  // alone() is true when no other ADD relies on shared things at this time, and none will until this World
  // ends.
  bool alone() const;
  // The link inside the container, once a step knows it.
  std::optional<netns::Link> inner;

 private:
  const netns::NetNS* container_;
  netns::Fd share_;
  std::optional<netns::Socket> hostSocket_;
  std::optional<netns::Socket> containerSocket_;
  netns::Straggler straggler_;
  std::map<std::string, netns::Link> links_;
};

// Drift is a difference between a plan and the kernel. `text` is what the reference plugin says of it, if it
// looks.
struct Drift {
  std::string text;
  std::string wanted;
  std::string found;
  std::string mend;  // the command that would put it right
};

// Step is one part of a plan.
class Step {
 public:
  Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  virtual ~Step() = default;

  // what() is a few words for timings: "veth pair".
  virtual std::string_view what() const = 0;
  // apply() does it, wholly or not at all: when it throws it has cleaned up after itself.
  virtual void apply(World& world) = 0;
  // undo() removes what belongs to this attachment alone, and what is shared only if this very object's
  // apply() made it and nobody else uses it. What is already gone is no error.
  virtual void undo(World& world) = 0;
  // verify() compares with the kernel.
  virtual void verify(World&, std::vector<Drift>&) const {}
  // explain() appends the commands that do the same. Touches nothing.
  virtual void explain(std::vector<std::string>& lines) const = 0;
};

class Plan {
 public:
  void add(std::unique_ptr<Step> step) { steps_.push_back(std::move(step)); }

  // apply() throws the first failure after undoing what was done; failures of the undoing go to its details.
  void apply(World& world);
  // undo() does all of it in reverse and returns what went wrong, one line each.
  std::vector<std::string> undo(World& world);
  std::vector<Drift> verify(World& world) const;
  std::vector<std::string> explain() const;

 private:
  static std::vector<std::string> undo(World& world, const std::vector<Step*>& steps);

  std::vector<std::unique_ptr<Step>> steps_;
};

// failure() is a kernel error as the reference words it, with the command in the details.
CniError failure(std::string_view prefix, const netns::Error& error);

}  // namespace fairlead::plugin
