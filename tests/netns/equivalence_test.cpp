// Every request does what its text says: netlink in one namespace, `ip` with the text in another, and the
// same is seen in both. Root.
#include <string>
#include <vector>

#include "netns/link.h"
#include "netns/route.h"
#include "tests/netns/host.h"

namespace fairlead::netns {
namespace {

using Json = nlohmann::json;

Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }

class EquivalenceTest : public HostTest {
 protected:
  // setUp() leads from nothing to links with addresses and routes. Fresh namespaces number their links alike.
  static std::vector<Request> setUp(const NetNS& peerNS) {
    std::vector<Request> requests;
    requests.push_back(link::addBridge(
        {.name = "br0", .mtu = 1400, .mac = Mac::parse("02:00:00:00:00:01"), .group = 4711, .up = true}));
    const LinkRef bridge{.name = "br0", .index = 2};
    requests.push_back(link::addBridge({.name = "br1", .mac = Mac::parse("02:00:00:00:00:07")}));

    VethSpec far;
    far.name = "veth0";
    far.mac = Mac::parse("02:00:00:00:00:02");
    far.master = bridge.index;
    far.masterName = "br0";
    far.mtu = 1300;
    far.queues = 2;
    far.peerName = "eth0";
    far.peerMac = Mac::parse("02:00:00:00:00:03");
    far.peerNS = &peerNS;
    requests.push_back(link::addVeth(far));
    requests.push_back(link::set({.name = "veth0"}, {.hairpin = true}));

    VethSpec near;
    near.name = "one";
    near.mac = Mac::parse("02:00:00:00:00:04");
    near.peerName = "two";
    near.peerMac = Mac::parse("02:00:00:00:00:05");
    requests.push_back(link::addVeth(near));
    requests.push_back(link::set(
        {.name = "two"}, {.up = true, .promisc = true, .mtu = 1280, .mac = Mac::parse("02:00:00:00:00:06")}));

    for (const char* address : {"10.1.0.1/24", "10.2.0.1/30", "10.3.0.0/31", "10.4.0.1/32", "fd00::1/64"})
      requests.push_back(addr::add(bridge, prefix(address)));
    requests.push_back(addr::remove(bridge, prefix("10.4.0.1/32")));
    addRoutes(requests);
    return requests;
  }

  static void addRoutes(std::vector<Request>& requests) {
    Route route;
    route.device = 2;
    route.deviceName = "br0";
    const auto add = [&](const char* dst, const char* gateway) {
      route.dst = prefix(dst);
      route.gateway = IP::parse(gateway);
      requests.push_back(route::add(route));
    };
    add("0.0.0.0/0", "10.1.0.9");
    add("::/0", "fd00::9");
    add("10.5.0.7/16", "");
    add("10.5.0.0/16", "fe80::5");
    add("fd05::/48", "");
    route.priority = 77;
    route.table = 1234;
    route.mtu = 1250;
    route.advmss = 1111;
    add("10.6.0.0/16", "10.1.0.8");
    add("fd06::/48", "fd00::8");
    route.scope = 253;
    add("10.7.0.0/16", "");
    requests.push_back(route::remove(route));
    route.onlink = true;
    route.scope.reset();
    add("10.8.0.0/16", "192.0.2.1");
  }

  // seen() is what can be told of a namespace, without what changes by itself.
  static std::vector<Json> seen(const NetNS& ns) {
    std::vector<Json> all;
    for (const auto* command : {"ip -j -d link", "ip -j addr", "ip -j -d route show table all type unicast",
                                "ip -j -d -6 route show table all type unicast", "bridge -j -d link"})
      all.push_back(lookIn(ns, command));
    for (Json& list : all) {
      // Link-local routes come with the carrier.
      std::erase_if(list.get_ref<Json::array_t&>(),
                    [](const Json& each) { return each.value("dst", "") == "fe80::/64"; });
      for (Json& each : list) {
        for (const auto* key :
             {"operstate", "flags", "linkinfo", "link_netnsid", "cost", "state", "addr_info"}) {
          if (key != std::string("linkinfo")) {
            each.erase(key);
          } else if (each.contains(key)) {
            each[key].erase("info_data");  // timers
          }
        }
        if (each.contains("linkinfo") && each["linkinfo"].contains("info_slave_data"))
          each["linkinfo"]["info_slave_data"] = each["linkinfo"]["info_slave_data"].value("hairpin", false);
      }
    }
    return all;
  }
  // addresses() is what seen() leaves out of `ip addr`.
  static std::vector<std::string> addresses(const NetNS& ns) {
    std::vector<std::string> found;
    for (const Json& link : lookIn(ns, "ip -j addr"))
      for (const Json& address : link.at("addr_info"))
        if (address.at("scope") != "link")
          found.push_back(
              link.at("ifname").get<std::string>() + " " + address.at("local").get<std::string>() + "/" +
              std::to_string(address.at("prefixlen").get<int>()) + " " + address.value("broadcast", "none") +
              " " + std::to_string(address.value("nodad", false)));
    return found;
  }
};

TEST_F(EquivalenceTest, TextDoesWhatTheRequestDoes) {
  const NetNS ours = NetNS::create();
  const NetNS ourPeer = NetNS::create();
  Socket socket = Socket::open(ours);
  const std::vector<Request> requests = setUp(ourPeer);
  socket.send(requests);

  const NetNS theirs = NetNS::create();
  const NetNS theirPeer = NetNS::create();
  for (const Request& request : setUp(theirPeer)) {
    const Output output = shellIn(theirs, request.text());
    EXPECT_EQ(output.status, 0) << request.text() << ": " << output.text;
  }

  const auto left = seen(ours);
  const auto right = seen(theirs);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i)
    EXPECT_EQ(left[i], right[i]) << Json::diff(right[i], left[i]).dump(1);
  EXPECT_EQ(addresses(ours), addresses(theirs));
  EXPECT_EQ(addresses(ours).size(), 4U);
  EXPECT_EQ(seen(ourPeer), seen(theirPeer));
}

}  // namespace
}  // namespace fairlead::netns
