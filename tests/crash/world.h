// The host that a campaign strikes in: a network namespace with a neighbour on the network already, a
// container to be wired, and all files in a /run of its own.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/bench/host.h"
#include "tests/crash/tracer.h"

namespace fairlead::crash {

// Subject is a plugin in one configuration.
struct Subject {
  std::string name;                // as the table shows it
  std::string plugin;              // the file in the plugin directory
  nlohmann::json conf;             // without name, cniVersion and type
  std::vector<std::string> verbs;  // those that it has
  bool alone = false;              // no neighbour: the first on its network, and GC may take the network away
  bool executed = false;           // its IPAM is another file than itself, so it is executed
  bool leases = true;              // GC takes back what an ADD did (loopback and static have nothing to take)
};

// World is one throw-away host. The machine is hidden (bench::hideMachine) before the first.
class World {
 public:
  // `plugins` is the directory of the plugins.
  World(const Subject& subject, const std::string& plugins);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // call() is a CNI call for the container. CHECK and DEL get the result of the last ADD, or none if that did
  // not come to its end; GC gets the neighbour as the only valid attachment.
  Ending call(const std::string& verb, const Strike& strike = {});

  // result() is what the last ADD printed, even if it was killed later; null when it is not whole.
  const nlohmann::json& result() const { return result_; }

  // state() is all that is to be as before: links, addresses, routes, policy rules and nftables of the host,
  // the same of the container, and every file of the plugins with its content. A directory may stay when it
  // is empty; of host-local's, so may the lock and the memory of the last address, which its contract keeps.
  std::string state() const;

 private:
  Program program(const std::string& verb, const std::string& container, const std::string& netns,
                  const nlohmann::json& result) const;
  Ending within(const Program& program, const Strike& strike = {}) const;
  std::string look(const bench::NetworkNamespace& ns, const Program& program) const;

  const Subject& subject_;
  std::string directory_;
  bench::NetworkNamespace host_;
  bench::NetworkNamespace neighbour_;
  bench::NetworkNamespace container_;
  nlohmann::json result_;  // null: none
};

// difference() names the lines that only one of two states has: "- was", "+ is". Empty when they are equal.
std::string difference(const std::string& before, const std::string& after);

}  // namespace fairlead::crash
