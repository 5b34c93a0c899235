// A host with a bridge network, for root tests of the bridge plugin.
#pragma once

#include <map>
#include <set>
#include <string>

#include "netns/netns.h"
#include "tests/netns/host.h"
#include "tests/plugin/cni.h"

namespace fairlead::plugin {

// BridgeTest is a host in which containers are wired by the plugin's binary. At its end a GC with nothing
// valid has to leave neither link, rule, record nor reservation; HostTest looks.
class BridgeTest : public netns::HostTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  // conf() is a configuration of network `net`: bridge br0 with its gateway and host-local on 10.1.0.0/24,
  // and `members` merged into it; null removes a member.
  static std::string conf(const nlohmann::json& members = nlohmann::json::object());

  // container() makes a named namespace, removed at the end; its path.
  std::string container(const std::string& name);
  static CniCall call(const std::string& command, const std::string& conf, const std::string& netns,
                      const std::string& container = "c1");
  // add() and del() must succeed.
  static nlohmann::json add(const std::string& conf, const std::string& netns,
                            const std::string& container = "c1");
  static void del(const std::string& conf, const std::string& netns, const std::string& container = "c1",
                  const nlohmann::json& result = nullptr);
  static CniOutcome gc(const std::string& conf, const std::set<std::string>& validContainers = {});

  // What the host has now, as other tools see it.
  static std::set<std::string> links();
  static std::set<std::string> reservations();
  static std::set<std::string> records();
  struct State {
    std::set<std::string> links, reservations, records;
    std::string rules;
    friend bool operator==(const State&, const State&) = default;
  };
  static State state();

  static const std::string kDataDir;

 private:
  std::set<std::string> names_;
};

// withResult() is a configuration with prevResult, as CHECK and DEL get it.
std::string withResult(const std::string& conf, const nlohmann::json& result);
// inside() runs a command in a named namespace and returns what it printed, or "" when it failed.
std::string inside(const std::string& netns, const std::string& command);
bool pings(const std::string& netns, const std::string& address);

}  // namespace fairlead::plugin
