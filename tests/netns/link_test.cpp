// Bridges and veth pairs. Root.
#include "netns/link.h"

#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "netns/route.h"
#include "tests/netns/host.h"

namespace fairlead::netns {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

class LinkTest : public HostTest {
 protected:
  static Json only(const Json& list) {
    EXPECT_EQ(list.size(), 1U);
    return list.at(0);
  }
  static bool hasFlag(const Json& link, const std::string& flag) {
    const auto& flags = link.at("flags");
    return std::find(flags.begin(), flags.end(), flag) != flags.end();
  }
};

TEST_F(LinkTest, BridgeIsWhatWasAskedFor) {
  host().send(link::addBridge(
      {.name = "br0", .mtu = 1400, .mac = Mac::parse("02:00:00:00:00:07"), .group = 4711, .up = true}));
  const Json seen = only(look("ip -j -d link show br0"));
  EXPECT_EQ(seen.at("linkinfo").at("info_kind"), "bridge");
  EXPECT_EQ(seen.at("mtu"), 1400);
  EXPECT_EQ(seen.at("address"), "02:00:00:00:00:07");
  EXPECT_EQ(seen.at("group"), "4711");
  EXPECT_TRUE(hasFlag(seen, "UP"));

  const Link link = link::find(host(), {.name = "br0"}).value();
  EXPECT_EQ(link.index, seen.at("ifindex"));
  EXPECT_EQ(link.kind, "bridge");
  EXPECT_EQ(link.mtu, 1400);
  EXPECT_EQ(link.mac.str(), "02:00:00:00:00:07");
  EXPECT_EQ(link.group, 4711U);
  EXPECT_TRUE(link.up);
  host().send(link::remove({.name = "br0"}));
  EXPECT_FALSE(link::find(host(), {.name = "br0"}));
}

TEST_F(LinkTest, BridgeIsPlainWhereNothingIsAskedFor) {
  host().send(link::addBridge({.name = "br0"}));
  const Link link = link::find(host(), {.name = "br0"}).value();
  EXPECT_EQ(link.mtu, 1500);
  EXPECT_EQ(link.group, 0U);
  EXPECT_FALSE(link.up);
  EXPECT_FALSE(link.mac.isZero());
  host().send(link::remove({.name = "br0"}));
}

TEST_F(LinkTest, VethIsBornWithItsPeerInPlace) {
  const int bridge = addBridge("br0");
  const NetNS container = NetNS::create();
  VethSpec spec;
  spec.name = "veth0";
  spec.mac = Mac::parse("02:00:00:00:00:01");
  spec.master = bridge;
  spec.mtu = 1420;
  spec.peerName = "eth0";
  spec.peerMac = Mac::parse("02:00:00:00:00:02");
  spec.peerNS = &container;
  host().send(link::addVeth(spec));

  const Json outer = only(look("ip -j -d link show veth0"));
  EXPECT_EQ(outer.at("master"), "br0");
  EXPECT_EQ(outer.at("mtu"), 1420);
  EXPECT_EQ(outer.at("address"), "02:00:00:00:00:01");
  EXPECT_EQ(outer.at("num_tx_queues"), 1);
  EXPECT_EQ(outer.at("num_rx_queues"), 1);
  EXPECT_TRUE(hasFlag(outer, "UP"));
  const Json inner = only(lookIn(container, "ip -j -d link show eth0"));
  EXPECT_EQ(inner.at("mtu"), 1420);
  EXPECT_EQ(inner.at("address"), "02:00:00:00:00:02");
  EXPECT_EQ(inner.at("num_tx_queues"), 1);
  EXPECT_FALSE(hasFlag(inner, "UP"));

  Socket socket = Socket::open(container);
  const Link peer = link::find(socket, {.name = "eth0"}).value();
  EXPECT_EQ(peer.kind, "veth");
  EXPECT_EQ(peer.index, inner.at("ifindex"));
  EXPECT_EQ(peer.peerIndex, outer.at("ifindex"));
  EXPECT_EQ(link::find(host(), {.name = "veth0"}).value().peerIndex, peer.index);
  EXPECT_EQ(link::find(host(), {.name = "veth0"}).value().master, bridge);
}

TEST_F(LinkTest, VethWithBothEndsInOneNamespace) {
  VethSpec spec;
  spec.name = "one";
  spec.peerName = "two";
  host().send(link::addVeth(spec));
  EXPECT_TRUE(link::find(host(), {.name = "two"}));
  host().send(link::remove({.name = "two"}));
  EXPECT_FALSE(link::find(host(), {.name = "one"}));
}

TEST_F(LinkTest, TakenNameIsEexistAndLeavesNothing) {
  const NetNS container = NetNS::create();
  addBridge("br0");
  EXPECT_EQ(codeOf([&] { host().send(link::addBridge({.name = "br0"})); }), EEXIST);
  VethSpec spec;
  spec.name = "br0";
  spec.peerName = "eth0";
  spec.peerNS = &container;
  EXPECT_EQ(codeOf([&] { host().send(link::addVeth(spec)); }), EEXIST);
  Socket inside = Socket::open(container);
  EXPECT_FALSE(link::find(inside, {.name = "eth0"}));

  // Taken in the container: the end in the host must not be left over.
  spec.name = "veth0";
  spec.peerName = "lo";
  EXPECT_EQ(codeOf([&] { host().send(link::addVeth(spec)); }), EEXIST);
  EXPECT_FALSE(link::find(host(), {.name = "veth0"}));
}

TEST_F(LinkTest, HostileNameMakesNoLink) {
  for (const std::string& name :
       {std::string("a/b"), std::string("a b"), std::string("."), std::string(".."), std::string("a:b"),
        std::string(16, 'x'), std::string(200, 'x'), std::string("br%d"), std::string()}) {
    VethSpec spec;
    spec.name = name;
    spec.peerName = "eth0";
    EXPECT_NE(codeOf([&] { host().send(link::addBridge({.name = name})); }), 0) << name;
    EXPECT_NE(codeOf([&] { host().send(link::addVeth(spec)); }), 0) << name;
    spec.name = "veth0";
    spec.peerName = name;
    EXPECT_NE(codeOf([&] { host().send(link::addVeth(spec)); }), 0) << name;
  }
  EXPECT_EQ(look("ip -j link").size(), 1U);
}

TEST_F(LinkTest, PeerInANamespaceThatIsGoneFails) {
  VethSpec spec;
  spec.name = "veth0";
  spec.peerName = "eth0";
  NetNS container = NetNS::create();
  spec.peerNS = &closed(container);
  EXPECT_NE(codeOf([&] { host().send(link::addVeth(spec)); }), 0);
  EXPECT_FALSE(link::find(host(), {.name = "veth0"}));
}

TEST_F(LinkTest, HairpinIsSetByNameInTheBatchThatAddsThePort) {
  const int bridge = addBridge("br0");
  const NetNS container = NetNS::create();
  VethSpec spec;
  spec.name = "veth0";
  spec.master = bridge;
  spec.peerName = "eth0";
  spec.peerNS = &container;
  std::vector<Request> requests;
  requests.push_back(link::addVeth(spec));
  requests.push_back(link::set({.name = "veth0"}, {.hairpin = true}));
  host().send(requests);
  EXPECT_EQ(only(look("bridge -j -d link show dev veth0")).at("hairpin"), true);
  EXPECT_EQ(link::find(host(), {.name = "veth0"}).value().hairpin, true);
  host().send(link::set({.name = "veth0"}, {.hairpin = false}));
  EXPECT_EQ(only(look("bridge -j -d link show dev veth0")).at("hairpin"), false);
  EXPECT_EQ(link::find(host(), {.name = "veth0"}).value().hairpin, false);
  EXPECT_EQ(link::find(host(), {.name = "br0"}).value().hairpin, std::nullopt);
}

TEST_F(LinkTest, HairpinOfALinkThatIsNoPortFails) {
  addBridge("br0");
  EXPECT_EQ(codeOf([&] { host().send(link::set({.name = "br0"}, {.hairpin = true})); }), EOPNOTSUPP);
}

TEST_F(LinkTest, EveryChangeIsSeenByOthers) {
  const int bridge = addBridge("br0");
  VethSpec spec;
  spec.name = "one";
  spec.peerName = "two";
  host().send(link::addVeth(spec));
  host().send(link::set({.name = "one"}, {.up = false,
                                          .promisc = true,
                                          .mtu = 1300,
                                          .mac = Mac::parse("02:00:00:00:00:33"),
                                          .master = bridge,
                                          .masterName = "br0"}));
  Json seen = only(look("ip -j -d link show one"));
  EXPECT_TRUE(hasFlag(seen, "PROMISC"));
  EXPECT_FALSE(hasFlag(seen, "UP"));
  EXPECT_EQ(seen.at("mtu"), 1300);
  EXPECT_EQ(seen.at("address"), "02:00:00:00:00:33");
  EXPECT_EQ(seen.at("master"), "br0");

  host().send(link::set({.name = "one"}, {.promisc = false, .master = 0}));
  seen = only(look("ip -j -d link show one"));
  EXPECT_FALSE(seen.contains("master"));
  EXPECT_FALSE(hasFlag(seen, "PROMISC"));
  EXPECT_FALSE(link::find(host(), {.name = "one"}).value().promisc);
  host().send(link::remove({.name = "one"}));
}

TEST_F(LinkTest, PromiscuousBridgeIsToldFromAnOrdinaryOne) {
  addBridge("br0");
  EXPECT_FALSE(link::find(host(), {.name = "br0"}).value().promisc);
  host().send(link::set({.name = "br0"}, {.promisc = true}));
  EXPECT_TRUE(link::find(host(), {.name = "br0"}).value().promisc);
  EXPECT_EQ(only(look("ip -j -d link show br0")).at("promiscuity"), 1);
}

TEST_F(LinkTest, ListHasEveryLinkOnce) {
  addBridge("br0");
  addBridge("br1");
  std::vector<std::string> names;
  for (const Link& link : link::list(host())) names.push_back(link.name);
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"br0", "br1", "lo"}));
}

TEST_F(LinkTest, RemovingWhatIsNotThereIsFine) {
  EXPECT_EQ(host().send(link::remove({.name = "nosuch"})).code, ENODEV);
}

TEST_F(LinkTest, FramesGetThroughAsSoonAsThePortIsUp) {
  const int bridge = addBridge("br0");
  const NetNS one = NetNS::create();
  const NetNS two = NetNS::create();
  addContainer(one, "veth1", bridge, Prefix::parse("10.1.0.1/24").value());
  addContainer(two, "veth2", bridge, Prefix::parse("10.1.0.2/24").value());
  const Output ping = shellIn(two, "ping -c 1 -W 5 10.1.0.1");
  EXPECT_EQ(ping.status, 0) << ping.text;
  EXPECT_EQ(link::find(host(), {.name = "veth2"}).value().operState, Link::kOperUp);
}

// PortStates hears which states the kernel announces of a bridge's ports.
class PortStates {
 public:
  PortStates() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  // read() returns the states of the port `index` so far, in order.
  std::vector<int> read(int index) {
    std::vector<int> states;
    alignas(nlmsghdr) std::array<char, 32768> buffer;
    for (ssize_t got; (got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0)) > 0;) {
      for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, got);
           message = NLMSG_NEXT(message, got)) {
        const auto* link = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
        if (message->nlmsg_type != RTM_NEWLINK || link->ifi_family != AF_BRIDGE || link->ifi_index != index)
          continue;
        const rtattr* port = find(IFLA_RTA(link), IFLA_PAYLOAD(message), IFLA_PROTINFO);
        if (port == nullptr) continue;
        const rtattr* state =
            find(static_cast<const rtattr*>(RTA_DATA(port)), RTA_PAYLOAD(port), IFLA_BRPORT_STATE);
        if (state != nullptr) states.push_back(*static_cast<const uint8_t*>(RTA_DATA(state)));
      }
    }
    return states;
  }

 private:
  static const rtattr* find(const rtattr* each, size_t left, int type) {
    for (; RTA_OK(each, left); each = RTA_NEXT(each, left)) {
      if ((each->rta_type & NLA_TYPE_MASK) == type) return each;
    }
    return nullptr;
  }
  Fd fd_;
};

TEST_F(LinkTest, APortThatIsSetUpLastForwardsAtOnceAndStays) {
  const int bridge = addBridge("br0");
  const NetNS container = NetNS::create();
  PortStates announced;
  host().send(link::addVeth(
      {.name = "veth0", .up = false, .master = bridge, .peerName = "eth0", .peerNS = &container}));
  EXPECT_FALSE(link::find(host(), {.name = "veth0"}).value().up);
  Socket inside = Socket::open(container);
  inside.send(link::set({.name = "eth0"}, {.up = true}));
  const auto port = link::setUp(host(), {.name = "veth0"}, 5s);
  ASSERT_TRUE(port);
  EXPECT_TRUE(link::waitUp(inside, {.name = "eth0"}, 5s));
  EXPECT_EQ(only(look("bridge -j link show dev veth0")).at("state"), "forwarding");
  EXPECT_EQ(only(lookIn(container, "ip -j link show eth0")).at("operstate"), "UP");

  std::vector<int> states = announced.read(port->index);
  states.erase(std::unique(states.begin(), states.end()), states.end());
  EXPECT_EQ(states, (std::vector<int>{BR_STATE_DISABLED, BR_STATE_FORWARDING}));
}

TEST_F(LinkTest, WaitingForALinkThatStaysDownEnds) {
  const NetNS container = NetNS::create();
  VethSpec spec;
  spec.name = "veth0";
  spec.peerName = "eth0";
  spec.peerNS = &container;
  host().send(link::addVeth(spec));
  EXPECT_EQ(link::waitUp(host(), {.name = "veth0"}, 30ms), std::nullopt);
  EXPECT_EQ(link::setUp(host(), {.name = "veth0"}, 30ms), std::nullopt);
  EXPECT_EQ(link::waitUp(host(), {.name = "nosuch"}, 1h), std::nullopt);
  EXPECT_EQ(codeOf([&] { link::setUp(host(), {.name = "nosuch"}, 1h); }), ENODEV);
}

}  // namespace
}  // namespace fairlead::netns
