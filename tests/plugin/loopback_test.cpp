// loopback through the real binary, in namespaces of its own.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "netns/netns.h"
#include "plugin/version.h"
#include "tests/netns/host.h"
#include "tests/plugin/cni.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;
using netns::NetNS;

class LoopbackTest : public netns::HostTest {
 protected:
  static std::string conf(std::string_view version, const std::string& members = "") {
    return R"({"cniVersion":")" + std::string(version) + R"(","name":"lo","type":"loopback")" + members + "}";
  }
  static CniOutcome call(const std::string& command, const std::string& netns, const std::string& conf) {
    return cni({.command = command, .conf = conf, .netns = netns, .type = "loopback"});
  }
  static bool isUp(const NetNS& ns) {
    const auto flags = netns::lookIn(ns, "ip -j link show lo")[0]["flags"];
    return std::ranges::find(flags, "UP") != flags.end();
  }
  // addresses() is what ip shows of lo: "127.0.0.1 ::1".
  static std::string addresses(const NetNS& ns) {
    std::string text;
    const auto shown = netns::lookIn(ns, "ip -j addr show lo");
    for (const auto& address : shown[0]["addr_info"])
      text += (text.empty() ? "" : " ") + address["local"].get<std::string>();
    return text;
  }
};

TEST_F(LoopbackTest, SetsLoUpAndTellsSoInEveryVersion) {
  for (const std::string_view version : kAllVersions) {
    const NetNS ns = NetNS::create();
    ASSERT_FALSE(isUp(ns));
    const CniOutcome added = call("ADD", ns.path(), conf(version));
    ASSERT_EQ(added.status, 0) << added.out;
    EXPECT_EQ(added.err, "");
    EXPECT_TRUE(isUp(ns));
    EXPECT_EQ(addresses(ns), "127.0.0.1 ::1");

    const nlohmann::json result = added.json();
    EXPECT_EQ(result["cniVersion"], version);
    if (atLeast(version, {0, 3, 0})) {
      EXPECT_EQ(result["interfaces"],
                (nlohmann::json{{{"name", "lo"}, {"mac", "00:00:00:00:00:00"}, {"sandbox", ns.path()}}}));
      EXPECT_EQ(result["ips"][0]["address"], "127.0.0.1/8");
      EXPECT_EQ(result["ips"][0]["interface"], 0);
      EXPECT_EQ(result["ips"][1]["address"], "::1/128");
      EXPECT_EQ(result["ips"][0].contains("version"), !atLeast(version, {1, 0, 0}));
    } else {
      EXPECT_EQ(result["ip4"]["ip"], "127.0.0.1/8");
      EXPECT_EQ(result["ip6"]["ip"], "::1/128");
    }
    if (atLeast(version, {0, 4, 0})) {
      const CniOutcome checked = call("CHECK", ns.path(), conf(version));
      EXPECT_EQ(checked.status, 0) << checked.out;
      EXPECT_EQ(checked.out, "");
    }
    const CniOutcome removed = call("DEL", ns.path(), conf(version));
    EXPECT_EQ(removed.status, 0) << removed.out;
    EXPECT_EQ(removed.out, "");
    EXPECT_FALSE(isUp(ns));
    EXPECT_EQ(call("DEL", ns.path(), conf(version)).status, 0);
  }
}

TEST_F(LoopbackTest, CheckFindsLoDown) {
  const NetNS ns = NetNS::create();
  const CniOutcome checked = call("CHECK", ns.path(), conf("1.1.0"));
  EXPECT_EQ(checked.status, 1);
  EXPECT_EQ(checked.json()["code"], 999);
  EXPECT_EQ(checked.msg(), "loopback interface is down");
}

TEST_F(LoopbackTest, AResultFromBeforeIsPassedOn) {
  const NetNS ns = NetNS::create();
  const std::string before =
      R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"10.1.0.5/16","interface":0}]})";
  const CniOutcome added = call("ADD", ns.path(), conf("1.0.0", R"(,"prevResult":)" + before));
  ASSERT_EQ(added.status, 0) << added.out;
  EXPECT_EQ(added.json(), nlohmann::json::parse(before));
  EXPECT_TRUE(isUp(ns));
}

TEST_F(LoopbackTest, AResultFromBeforeThatCannotBeReadChangesNothing) {
  const NetNS ns = NetNS::create();
  const CniOutcome added = call("ADD", ns.path(), conf("1.0.0", R"(,"prevResult":{"cniVersion":"0.2.0"})"));
  EXPECT_EQ(added.status, 1);
  EXPECT_EQ(added.msg(),
            "failed to parse prevResult: could not parse prevResult: result type supports [1.0.0 1.1.0] but "
            "unmarshalled CNIVersion is \"0.2.0\"");
  EXPECT_FALSE(isUp(ns));
}

TEST_F(LoopbackTest, AnAddressThatDoesNotBelongToLoIsRefused) {
  const NetNS ns = NetNS::create();
  ASSERT_EQ(netns::shellIn(ns, "ip addr add 10.9.9.9/32 dev lo").status, 0);
  const CniOutcome added = call("ADD", ns.path(), conf("1.1.0"));
  EXPECT_EQ(added.status, 1);
  EXPECT_EQ(added.msg(), R"(loopback interface found with non-loopback address "10.9.9.9")");
}

TEST_F(LoopbackTest, TheHostIsLeftAlone) {
  const NetNS host = NetNS::current();
  ASSERT_EQ(netns::shell("ip link set lo up").status, 0);
  for (const char* verb : {"ADD", "DEL"}) {
    const CniOutcome outcome = call(verb, "/proc/self/ns/net", conf("1.1.0"));
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.json(),
              (nlohmann::json{{"code", 8},
                              {"msg", "plugin's netns and netns from CNI_NETNS should not be the same"}}));
    EXPECT_TRUE(isUp(host));
  }
  ASSERT_EQ(netns::shell("ip link set lo down").status, 0);
}

TEST_F(LoopbackTest, AStaleNamespaceStopsAddAndNotDel) {
  const std::string file = "/run/stale";  // what a bind mount leaves when it is gone
  std::ofstream(file).put('\n');
  const std::pair<std::string, std::string> kPaths[] = {
      {"/run/nosuch",
       R"(failed to open netns "/run/nosuch": failed to Statfs "/run/nosuch": no such file or directory)"},
      {file, R"(failed to open netns "/run/stale": unknown FS magic on "/run/stale": 1021994)"}};
  for (const auto& [path, error] : kPaths) {
    for (const char* verb : {"ADD", "CHECK"}) {
      const CniOutcome outcome = call(verb, path, conf("1.1.0"));
      EXPECT_EQ(outcome.status, 1);
      EXPECT_EQ(outcome.msg(), error);
    }
    EXPECT_EQ(call("DEL", path, conf("1.1.0")).status, 0) << path;
  }
  EXPECT_EQ(call("DEL", "", conf("1.1.0")).status, 0);
  fs::remove(file);
}

TEST_F(LoopbackTest, RunsOnTheStartupThreadAlone) {
  const NetNS ns = NetNS::create();
  const CniOutcome added = cni({.command = "ADD",
                                .conf = conf("1.1.0"),
                                .netns = ns.path(),
                                .type = "loopback",
                                .wrapper = "strace -f -o /run/trace"});
  ASSERT_EQ(added.status, 0) << added.err;
  std::ifstream trace("/run/trace");
  for (std::string line; std::getline(trace, line);) EXPECT_EQ(line.find("clone"), std::string::npos) << line;
  fs::remove("/run/trace");
}

}  // namespace
}  // namespace fairlead::plugin
