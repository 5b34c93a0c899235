// The bridge plugin on a throw-away host, seen through ip, bridge, nft and ping.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "plugin/names.h"
#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

using netns::look;
using netns::shell;
using nlohmann::json;

json addressesOf(const std::string& netns, const std::string& link) {
  return json::parse(inside(netns, "ip -j addr show dev " + link)).at(0).at("addr_info");
}

json routesOf(const std::string& netns, const std::string& family = "-4") {
  return json::parse(inside(netns, "ip -j " + family + " route"));
}

// ---- ADD ---------------------------------------------------------------------------------------

TEST_F(BridgeTest, AddWiresTheContainer) {
  const std::string c1 = container("c1");
  const json result = add(conf(), c1);
  ASSERT_EQ(result.at("interfaces").size(), 3U);
  EXPECT_EQ(result.at("interfaces")[0].at("name"), "br0");
  EXPECT_EQ(result.at("interfaces")[2].at("name"), "eth0");
  EXPECT_EQ(result.at("interfaces")[2].at("sandbox"), c1);
  EXPECT_EQ(result.at("ips"),
            json::parse(R"([{"address":"10.1.0.2/24","gateway":"10.1.0.1","interface":2}])"));

  const json eth0 = json::parse(inside(c1, "ip -j -d link show dev eth0")).at(0);
  EXPECT_EQ(eth0.at("address"), result.at("interfaces")[2].at("mac"));
  EXPECT_EQ(eth0.at("operstate"), "UP");
  const json host =
      look("ip -j -d link show dev " + result.at("interfaces")[1].at("name").get<std::string>()).at(0);
  EXPECT_EQ(host.at("address"), result.at("interfaces")[1].at("mac"));
  EXPECT_EQ(host.at("master"), "br0");
  EXPECT_EQ(look("ip -j link show dev br0").at(0).at("address"), result.at("interfaces")[0].at("mac"));
  EXPECT_EQ(addressesOf(c1, "eth0").at(0).at("local"), "10.1.0.2");
  EXPECT_EQ(routesOf(c1).at(0).at("gateway"), "10.1.0.1");
  EXPECT_EQ(shell("sysctl -n net.ipv4.ip_forward").text, "1\n");
  EXPECT_TRUE(pings(c1, "10.1.0.1"));
}

TEST_F(BridgeTest, ContainersReachEachOther) {
  const std::string c1 = container("c1");
  const std::string c2 = container("c2");
  add(conf(), c1, "c1");
  add(conf(), c2, "c2");
  EXPECT_TRUE(pings(c1, "10.1.0.3"));
  EXPECT_TRUE(pings(c2, "10.1.0.2"));
}

TEST_F(BridgeTest, DualStackIsReadyWhenAddReturns) {
  const std::string c1 = container("c1");
  const json ranges = {{{{"subnet", "10.1.0.0/24"}}}, {{{"subnet", "fd00:1::/64"}}}};
  const std::string both =
      conf({{"isDefaultGateway", true}, {"ipam", {{"ranges", ranges}, {"routes", nullptr}}}});
  const json result = add(both, c1);
  EXPECT_EQ(result.at("ips").size(), 2U);
  for (const json& address : addressesOf(c1, "eth0")) {
    if (address.at("local") == "fd00:1::2") {
      EXPECT_FALSE(address.value("tentative", false));
    }
  }
  EXPECT_EQ(routesOf(c1).at(0).at("dst"), "default");
  EXPECT_TRUE(pings(c1, "10.1.0.1"));
  EXPECT_TRUE(pings(c1, "fd00:1::1"));
  EXPECT_EQ(shell("sysctl -n net.ipv6.conf.all.forwarding").text, "1\n");
}

TEST_F(BridgeTest, Ipv6IsSwitchedOnWhereTheRuntimeSwitchedItOff) {
  const std::string c1 = container("c1");
  inside(c1, "sysctl -w net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1");
  add(conf({{"ipam", {{"ranges", {{{{"subnet", "fd00:1::/64"}}}}}, {"routes", nullptr}}}}), c1);
  EXPECT_TRUE(pings(c1, "fd00:1::1"));
}

TEST_F(BridgeTest, DadIsWaitedForWhenAskedFor) {
  const std::string c1 = container("c1");
  add(conf({{"enabledad", true},
            {"ipam", {{"ranges", {{{{"subnet", "fd00:1::/64"}}}}}, {"routes", nullptr}}}}),
      c1);
  for (const json& address : addressesOf(c1, "eth0"))
    EXPECT_FALSE(address.value("tentative", false)) << address;
}

TEST_F(BridgeTest, WithoutIpamItIsALayer2Link) {
  const std::string c1 = container("c1");
  const std::string l2 = conf({{"ipam", nullptr}, {"isGateway", nullptr}});
  const json result = add(l2, c1);
  EXPECT_FALSE(result.contains("ips"));
  EXPECT_EQ(json::parse(inside(c1, "ip -j link show dev eth0")).at(0).at("operstate"), "UP");
  EXPECT_EQ(cni(call("CHECK", withResult(l2, result), c1)).status, 0);
}

TEST_F(BridgeTest, OptionsReachTheKernel) {
  const std::string c1 = container("c1");
  CniCall request = call("ADD", conf({{"hairpinMode", true}, {"mtu", 1400}}), c1);
  request.args = "MAC=02:11:22:33:44:55;IgnoreUnknown=1;K8S_POD_NAME=x";
  const CniOutcome outcome = cni(request);
  ASSERT_EQ(outcome.status, 0) << outcome.out;
  const json eth0 = json::parse(inside(c1, "ip -j link show dev eth0")).at(0);
  EXPECT_EQ(eth0.at("address"), "02:11:22:33:44:55");
  EXPECT_EQ(eth0.at("mtu"), 1400);
  const std::string host = outcome.json().at("interfaces")[1].at("name");
  EXPECT_EQ(look("ip -j -d link show dev " + host).at(0).at("linkinfo").at("info_slave_data").at("hairpin"),
            true);
}

TEST_F(BridgeTest, PromiscModeReachesTheBridge) {
  add(conf({{"promiscMode", true}}), container("c1"));
  const json flags = look("ip -j link show dev br0").at(0).at("flags");
  EXPECT_NE(std::ranges::find(flags, "PROMISC"), flags.end());
}

TEST_F(BridgeTest, DefaultGatewayAddsOneRoutePerFamily) {
  const std::string c1 = container("c1");
  // IPAM's own default route has no gateway: it resolves to the same one and is not added twice.
  const json result = add(conf({{"isDefaultGateway", true}}), c1);
  EXPECT_EQ(result.at("routes").size(), 1U);
  EXPECT_EQ(routesOf(c1).at(0).at("gateway"), "10.1.0.1");
}

TEST_F(BridgeTest, MasqueradingHidesTheContainer) {
  const std::string c1 = container("c1");
  const std::string outside = container("outside");
  ASSERT_EQ(
      shell("ip link add up0 type veth peer name up1 netns outside && ip addr add 192.0.2.1/24 dev up0 && "
            "ip link set up0 up && ip -n outside addr add 192.0.2.2/24 dev up1 && ip -n outside link set up1 "
            "up")
          .status,
      0);
  const std::string masq = conf({{"ipMasq", true}});
  const json result = add(masq, c1);
  // The outside world has no route to the container: an answer proves that the source was translated.
  EXPECT_TRUE(pings(c1, "192.0.2.2"));
  del(masq, c1, "c1", result);
  const std::string rules = shell("nft list ruleset").text;
  EXPECT_EQ(rules.find("10.1.0.2"), std::string::npos) << rules;
  EXPECT_EQ(rules.find("masquerade"), std::string::npos) << rules;
  shell("ip link del up0");
}

TEST_F(BridgeTest, ConfiguredDnsReplacesIpams) {
  const json result = add(conf({{"dns", {{"nameservers", {"192.0.2.53"}}}}}), container("c1"));
  EXPECT_EQ(result.at("dns"), json::parse(R"({"nameservers":["192.0.2.53"]})"));
}

class BridgeVersionTest : public BridgeTest, public testing::WithParamInterface<const char*> {};

TEST_P(BridgeVersionTest, AddCheckDelInEveryVersion) {
  const std::string version = GetParam();
  const std::string c1 = container("c1");
  const std::string network = conf({{"cniVersion", version}});
  const json result = add(network, c1);
  EXPECT_EQ(result.at("cniVersion"), version);
  if (version < "0.3.0") {
    EXPECT_EQ(result.at("ip4").at("ip"), "10.1.0.2/24");
  } else {
    EXPECT_EQ(result.at("ips")[0].at("address"), "10.1.0.2/24");
    EXPECT_EQ(result.at("ips")[0].contains("version"), version < "1.0.0");
  }
  if (version >= "0.4.0") {
    const CniOutcome checked = cni(call("CHECK", withResult(network, result), c1));
    EXPECT_EQ(checked.status, 0) << checked.out;
  }
  del(network, c1, "c1", version >= "0.4.0" ? result : json());
  EXPECT_EQ(links(), (std::set<std::string>{"lo", "br0"}));
}

INSTANTIATE_TEST_SUITE_P(Versions, BridgeVersionTest,
                         testing::Values("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '.');
                           return "V" + name;
                         });

// ---- an ADD that fails leaves nothing ----------------------------------------------------------

class FailedAddTest : public BridgeTest {
 protected:
  // expectRefused() makes an ADD that must fail with `msg` and change nothing.
  static void expectRefused(const CniCall& call, const std::string& msg) {
    const State before = state();
    const CniOutcome outcome = cni(call);
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    EXPECT_EQ(outcome.msg().substr(0, msg.size()), msg) << outcome.out;
    EXPECT_EQ(state(), before);
  }
};

TEST_F(FailedAddTest, PoolEmpty) {
  const json one = {{{{"subnet", "10.1.0.0/24"}, {"rangeStart", "10.1.0.5"}, {"rangeEnd", "10.1.0.5"}}}};
  const std::string small = conf({{"ipam", {{"ranges", one}}}});
  const std::string c2 = container("c2");
  const std::string c1 = container("c1");
  add(small, c1);
  expectRefused(call("ADD", small, c2, "c2"),
                "failed to allocate for range 0: no IP addresses available in range set");
  EXPECT_TRUE(pings(c1, "10.1.0.1"));
}

TEST_F(FailedAddTest, InterfaceNameTaken) {
  const std::string c1 = container("c1");
  ASSERT_EQ(shell("ip -n c1 link add eth0 type veth peer name other").status, 0);
  expectRefused(call("ADD", conf(), c1), "container veth name (\"eth0\") peer provided");
  // Nor does the DEL that a runtime sends after it take away what is somebody else's.
  del(conf(), c1);
  EXPECT_NE(inside(c1, "ip link show dev eth0"), "");
}

TEST_F(FailedAddTest, BridgeNameOfAnotherKindOfLink) {
  const std::string c1 = container("c1");
  ASSERT_EQ(shell("ip link add br0 type veth peer name br0peer").status, 0);
  expectRefused(call("ADD", conf(), c1),
                "failed to create bridge \"br0\": \"br0\" already exists but is not a bridge");
  shell("ip link del br0");
}

TEST_F(FailedAddTest, NoNftables) {
  CniCall request = call("ADD", conf({{"ipMasq", true}}), container("c1"));
  request.withoutNft = true;
  expectRefused(request, "failed to set up masquerading: protocol not supported");
  request.command = "DEL";
  EXPECT_EQ(cni(request).status, 0);
}

TEST_F(FailedAddTest, BridgeHasAnotherAddress) {
  ASSERT_EQ(shell("ip link add br0 type bridge && ip addr add 10.9.0.1/24 dev br0").status, 0);
  const std::string c1 = container("c1");
  expectRefused(call("ADD", conf(), c1),
                "failed to set bridge addr: \"br0\" already has an IP address different from 10.1.0.1/24");
  add(conf({{"forceAddress", true}}), c1);
  EXPECT_EQ(look("ip -j -4 addr show dev br0").at(0).at("addr_info").at(0).at("local"), "10.1.0.1");
  shell("ip link del br0");
}

TEST_F(FailedAddTest, RouteThatTheKernelRefuses) {
  const json unreachable = {{{"dst", "192.0.2.0/24"}, {"gw", "203.0.113.1"}}};
  expectRefused(call("ADD", conf({{"ipam", {{"routes", unreachable}}}}), container("c1")),
                "failed to add route '192.0.2.0/24 via 203.0.113.1 dev eth0': network is unreachable");
}

TEST_F(FailedAddTest, NamespaceThatIsNone) {
  expectRefused(
      call("ADD", conf(), "/run/netns/absent"),
      "failed to open netns \"/run/netns/absent\": failed to Statfs \"/run/netns/absent\": no such file");
  std::ofstream("/run/plain") << "x";
  expectRefused(call("ADD", conf(), "/run/plain"),
                "failed to open netns \"/run/plain\": unknown FS magic on");
  std::filesystem::remove("/run/plain");
}

TEST_F(FailedAddTest, SecondAddOfTheSameAttachment) {
  const std::string c1 = container("c1");
  add(conf(), c1);
  expectRefused(call("ADD", conf(), c1), "container veth name (\"eth0\") peer provided");
  EXPECT_TRUE(pings(c1, "10.1.0.1"));
}

TEST_F(FailedAddTest, OldVersionWithoutAddresses) {
  const std::string l2 = conf({{"cniVersion", "0.2.0"}, {"ipam", nullptr}, {"isGateway", nullptr}});
  expectRefused(call("ADD", l2, container("c1")), "cannot convert: no valid IP addresses");
}

// ---- DEL ---------------------------------------------------------------------------------------

TEST_F(BridgeTest, DelReleasesEverythingAndMayBeRepeated) {
  const std::string c1 = container("c1");
  const json result = add(conf({{"ipMasq", true}}), c1);
  for (int i = 0; i < 2; ++i) del(conf({{"ipMasq", true}}), c1, "c1", result);
  EXPECT_EQ(links(), (std::set<std::string>{"lo", "br0"}));
  EXPECT_TRUE(reservations().empty());
  EXPECT_TRUE(records().empty());
  EXPECT_EQ(inside(c1, "ip link show dev eth0"), "");
}

TEST_F(BridgeTest, DelWithoutPrevResultFindsTheRules) {
  const std::string c1 = container("c1");
  add(conf({{"ipMasq", true}}), c1);
  del(conf({{"ipMasq", true}}), c1);
  EXPECT_EQ(shell("nft list ruleset").text.find("masq-"), std::string::npos);
}

TEST_F(BridgeTest, DelWorksWhateverBecameOfTheNamespace) {
  const std::string masq = conf({{"ipMasq", true}});
  add(masq, container("c1"));
  shell("ip netns del c1");
  del(masq, "/run/netns/c1");
  EXPECT_TRUE(reservations().empty());
  EXPECT_EQ(shell("nft list ruleset").text.find("masq-"), std::string::npos);

  add(masq, container("c2"), "c2");
  del(masq, "", "c2");
  EXPECT_TRUE(reservations().empty());

  add(masq, container("c3"), "c3");
  std::ofstream("/run/stale") << "x";
  del(masq, "/run/stale", "c3");
  std::filesystem::remove("/run/stale");
  EXPECT_TRUE(reservations().empty());
  EXPECT_EQ(links(), (std::set<std::string>{"lo", "br0"}));
}

TEST_F(BridgeTest, DelWorksWithoutTheBridge) {
  const std::string c1 = container("c1");
  add(conf(), c1);
  shell("ip link del br0");
  del(conf(), c1);
  EXPECT_EQ(links(), (std::set<std::string>{"lo"}));
  EXPECT_TRUE(reservations().empty());
}

TEST_F(BridgeTest, DelOfWhatNeverWasSucceeds) {
  del(conf(), container("c1"));
  EXPECT_EQ(links(), (std::set<std::string>{"lo"}));
}

TEST_F(BridgeTest, AddressIsFreeAgainAfterDel) {
  const json one = {{{{"subnet", "10.1.0.0/24"}, {"rangeStart", "10.1.0.5"}, {"rangeEnd", "10.1.0.5"}}}};
  const std::string small = conf({{"ipam", {{"ranges", one}}}});
  const std::string c1 = container("c1");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(add(small, c1).at("ips")[0].at("address"), "10.1.0.5/24");
    del(small, c1);
  }
}

// ---- CHECK -------------------------------------------------------------------------------------

TEST_F(BridgeTest, CheckReportsDriftAndTheCommandThatMendsIt) {
  const std::string c1 = container("c1");
  const json result = add(conf(), c1);
  const auto check = [&] { return cni(call("CHECK", withResult(conf(), result), c1)); };
  ASSERT_EQ(check().status, 0) << check().out;
  const std::string host = result.at("interfaces")[1].at("name");
  const struct {
    std::string damage, msg;
  } kCases[] = {
      {"ip -n c1 route del default",
       "Expected Route {0.0.0.0/0 via 10.1.0.1 dev eth0} not found in routing table"},
      {"ip addr del 10.1.0.1/24 dev br0", "Failed to find gateway address 10.1.0.1/24 on br0"},
      {"ip link set " + host + " nomaster", "CNI veth created for bridge br0 was not found"},
      {"ip link set " + host + " down", "Interface " + host + " is down"},
      {"sysctl -w net.ipv4.ip_forward=0", "forwarding is off: net/ipv4/ip_forward"},
  };
  for (const auto& [damage, msg] : kCases) {
    ASSERT_EQ(shell(damage).status, 0) << damage;
    const CniOutcome drifted = check();
    ASSERT_EQ(drifted.status, 1) << damage;
    EXPECT_EQ(drifted.msg(), msg);
    const std::string details = drifted.json().at("details");
    const std::string mend = details.substr(details.find("mend: ") + 6);
    EXPECT_EQ(shell(mend).status, 0) << mend;
    if (damage.ends_with("down")) shell("ip -n c1 route add default via 10.1.0.1 dev eth0");
    EXPECT_EQ(check().status, 0) << "after: " << mend << "\n" << check().out;
  }
}

// CHECK gets the result of the whole list, in which a later plugin may have named links of its own.
TEST_F(BridgeTest, CheckKnowsItsOwnHostEndAmongOthers) {
  const std::string c1 = container("c1");
  json result = add(conf(), c1);
  json& interfaces = result.at("interfaces");
  const json own = interfaces.at(1);
  interfaces.push_back({{"name", "bwp0123456789ab"}, {"mac", "0a:00:00:00:00:01"}});
  EXPECT_EQ(cni(call("CHECK", withResult(conf(), result), c1)).status, 0);
  interfaces.at(1) = interfaces.at(3);  // ours last
  interfaces.at(3) = own;
  EXPECT_EQ(cni(call("CHECK", withResult(conf(), result), c1)).status, 0);
}

TEST_F(BridgeTest, CheckWithoutPrevResultIsRefused) {
  const std::string c1 = container("c1");
  add(conf(), c1);
  EXPECT_EQ(cni(call("CHECK", conf(), c1)).msg(), "Required prevResult missing");
}

// ---- GC and STATUS -----------------------------------------------------------------------------

TEST_F(BridgeTest, GcRemovesWhatIsNotValidAndKeepsTheRest) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c2 = container("c2");
  add(masq, container("c1"), "c1");
  add(masq, c2, "c2");
  EXPECT_EQ(gc(masq, {"c2"}).status, 0);
  EXPECT_EQ(reservations(), (std::set<std::string>{"10.1.0.3"}));
  EXPECT_EQ(links().size(), 3U);
  EXPECT_TRUE(pings(c2, "10.1.0.1"));
  EXPECT_EQ(gc(masq).status, 0);
  EXPECT_EQ(links(), (std::set<std::string>{"lo"}));
  EXPECT_EQ(shell("nft list ruleset").text, "");
}

TEST_F(BridgeTest, GcFindsLeftoversWithoutARecord) {
  const std::string masq = conf({{"ipMasq", true}});
  add(masq, container("c1"));
  std::filesystem::remove_all("/run/fairlead");
  EXPECT_EQ(gc(masq).status, 0);
  EXPECT_EQ(links(), (std::set<std::string>{"lo"}));
  EXPECT_TRUE(reservations().empty());
  EXPECT_EQ(shell("nft list ruleset").text, "");
}

TEST_F(BridgeTest, GcLeavesABridgeThatSomebodyElseMade) {
  ASSERT_EQ(shell("ip link add br0 type bridge").status, 0);
  const std::string c1 = container("c1");
  add(conf(), c1);
  del(conf(), c1);
  EXPECT_EQ(gc(conf()).status, 0);
  EXPECT_TRUE(links().contains("br0"));
  shell("ip link del br0");
}

TEST_F(BridgeTest, StatusTellsThatThePoolIsEmpty) {
  const json one = {{{{"subnet", "10.1.0.0/24"}, {"rangeStart", "10.1.0.5"}, {"rangeEnd", "10.1.0.5"}}}};
  const std::string small = conf({{"ipam", {{"ranges", one}}}});
  const CniCall status = {.command = "STATUS", .conf = small, .netns = "", .container = "", .ifname = ""};
  EXPECT_EQ(cni(status).status, 0);
  add(small, container("c1"));
  EXPECT_EQ(cni(status).json().at("code"), 50);
}

}  // namespace
}  // namespace fairlead::plugin
