#include "tests/plugin/bridge_host.h"

#include <filesystem>

#include "netns/ip.h"

namespace fairlead::plugin {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string BridgeTest::kDataDir = "/run/reservations";

namespace {

std::set<std::string> filesBelow(const std::string& directory) {
  std::set<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::recursive_directory_iterator(directory, none)) {
    if (!entry.is_directory()) found.insert(entry.path().filename());
  }
  return found;
}

}  // namespace

void BridgeTest::SetUp() {
  HostTest::SetUp();
  if (!IsSkipped()) netns::shell("ip link set lo up");
}

void BridgeTest::TearDown() {
  if (IsSkipped()) return;
  for (const std::string& name : names_) netns::shell("ip netns del " + name);
  const CniOutcome collected = gc(conf());
  EXPECT_EQ(collected.status, 0) << collected.out;
  EXPECT_EQ(records(), std::set<std::string>{});
  EXPECT_EQ(reservations(), std::set<std::string>{});
  fs::remove_all(kDataDir);
  fs::remove_all("/run/fairlead");
  HostTest::TearDown();
}

std::string BridgeTest::conf(const json& members) {
  json result = {{"cniVersion", "1.1.0"},
                 {"name", "net"},
                 {"type", "bridge"},
                 {"bridge", "br0"},
                 {"isGateway", true},
                 {"ipam",
                  {{"type", "host-local"},
                   {"dataDir", kDataDir},
                   {"ranges", {{{{"subnet", "10.1.0.0/24"}}}}},
                   {"routes", {{{"dst", "0.0.0.0/0"}}}}}}};
  result.merge_patch(members);
  return result.dump();
}

std::string BridgeTest::container(const std::string& name) {
  EXPECT_EQ(netns::shell("ip netns add " + name).status, 0);
  names_.insert(name);
  return "/run/netns/" + name;
}

CniCall BridgeTest::call(const std::string& command, const std::string& conf, const std::string& netns,
                         const std::string& container) {
  return {.command = command, .conf = conf, .netns = netns, .container = container};
}

json BridgeTest::add(const std::string& conf, const std::string& netns, const std::string& container) {
  const CniOutcome outcome = cni(call("ADD", conf, netns, container));
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  return outcome.json();
}

void BridgeTest::del(const std::string& conf, const std::string& netns, const std::string& container,
                     const json& result) {
  const CniOutcome outcome = cni(call("DEL", withResult(conf, result), netns, container));
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

CniOutcome BridgeTest::gc(const std::string& conf, const std::set<std::string>& validContainers) {
  json valid = json::array();
  for (const std::string& id : validContainers) valid.push_back({{"containerID", id}, {"ifname", "eth0"}});
  json document = json::parse(conf);
  document["cniVersion"] = "1.1.0";
  document["cni.dev/valid-attachments"] = valid;
  return cni({.command = "GC", .conf = document.dump(), .netns = "", .container = "", .ifname = ""});
}

std::set<std::string> BridgeTest::links() {
  std::set<std::string> names;
  for (const json& link : netns::look("ip -j link")) names.insert(link.at("ifname").get<std::string>());
  return names;
}

std::set<std::string> BridgeTest::reservations() {
  std::set<std::string> found;
  for (const std::string& name : filesBelow(kDataDir)) {
    if (netns::IP::parse(name)) found.insert(name);
  }
  return found;
}

std::set<std::string> BridgeTest::records() { return filesBelow("/run/fairlead"); }

BridgeTest::State BridgeTest::state() {
  return {.links = links(),
          .reservations = reservations(),
          .records = records(),
          .rules = netns::shell("nft --stateless list ruleset").text};
}

std::string withResult(const std::string& conf, const json& result) {
  if (result.is_null()) return conf;
  json document = json::parse(conf);
  document["prevResult"] = result;
  return document.dump();
}

std::string inside(const std::string& netns, const std::string& command) {
  const netns::Output output = netns::shell("nsenter --net=" + netns + " " + command);
  return output.status == 0 ? output.text : "";
}

bool pings(const std::string& netns, const std::string& address) {
  return !inside(netns, "ping -c 1 -W 2 " + address).empty();
}

}  // namespace fairlead::plugin
