// Addresses, routes and neighbours. Root.
#include "netns/route.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "netns/sysctl.h"
#include "tests/netns/host.h"

namespace fairlead::netns {
namespace {

using Json = nlohmann::json;

Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }
IP ip(std::string_view text) { return IP::parse(text).value(); }

class RouteTest : public HostTest {
 protected:
  // A container with eth0 up, without an address.
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    container_.emplace(NetNS::create());
    VethSpec spec;
    spec.name = "veth0";
    spec.peerName = "eth0";
    spec.peerNS = &*container_;
    host().send(link::addVeth(spec));
    socket_.emplace(Socket::open(*container_));
    socket_->send(link::set({.name = "eth0"}, {.up = true}));
    eth0_ = {.name = "eth0", .index = link::find(*socket_, {.name = "eth0"}).value().index};
  }
  void TearDown() override {
    socket_.reset();
    container_.reset();
    HostTest::TearDown();
  }

  Route routeTo(std::string_view dst, std::optional<IP> gateway = {}) const {
    Route route;
    route.dst = prefix(dst);
    route.gateway = gateway;
    route.device = eth0_.index;
    route.deviceName = "eth0";
    return route;
  }

  std::optional<NetNS> container_;
  std::optional<Socket> socket_;
  LinkRef eth0_;
};

TEST_F(RouteTest, AddressesAreUsableAtOnce) {
  std::vector<Request> requests;
  requests.push_back(addr::add(eth0_, prefix("10.1.2.3/24")));
  requests.push_back(addr::add(eth0_, prefix("fd00::3/64")));
  socket_->send(requests);
  const Json seen = lookIn(*container_, "ip -j addr show dev eth0").at(0).at("addr_info");
  const auto find = [&](const std::string& local) {
    return *std::ranges::find_if(seen, [&](const Json& each) { return each.at("local") == local; });
  };
  EXPECT_EQ(find("10.1.2.3").at("prefixlen"), 24);
  EXPECT_EQ(find("10.1.2.3").at("broadcast"), "10.1.2.255");
  EXPECT_FALSE(find("fd00::3").contains("tentative"));
  EXPECT_EQ(find("fd00::3").at("nodad"), true);
}

TEST_F(RouteTest, DuplicateDetectionGoesOnWhereAskedFor) {
  socket_->send(addr::add(eth0_, prefix("fd00::3/64"), true));
  const auto addresses = addr::list(*socket_, eth0_, AF_INET6);
  const auto found = std::ranges::find(addresses, prefix("fd00::3/64"), &Address::prefix);
  ASSERT_NE(found, addresses.end());
  EXPECT_TRUE(found->tentative);
  EXPECT_FALSE(found->dadFailed);
}

TEST_F(RouteTest, ListIsOfOneLinkAndFamily) {
  const LinkRef lo{.name = "lo", .index = 1};
  std::vector<Request> requests;
  requests.push_back(addr::add(lo, prefix("10.9.9.9/32")));
  requests.push_back(addr::add(eth0_, prefix("10.1.2.3/24")));
  requests.push_back(addr::add(eth0_, prefix("10.1.2.4/24")));
  requests.push_back(addr::add(eth0_, prefix("fd00::3/64")));
  socket_->send(requests);
  const auto prefixes = [&](int family) {
    std::vector<Prefix> found;
    for (const Address& address : addr::list(*socket_, eth0_, family))
      if (!address.prefix.ip.isLinkLocal()) found.push_back(address.prefix);
    return found;
  };
  EXPECT_EQ(prefixes(AF_INET), (std::vector{prefix("10.1.2.3/24"), prefix("10.1.2.4/24")}));
  EXPECT_EQ(prefixes(AF_INET6), std::vector{prefix("fd00::3/64")});
  EXPECT_EQ(prefixes(AF_UNSPEC).size(), 3U);
  EXPECT_TRUE(addr::list(*socket_, {.name = "nosuch", .index = 4711}, AF_INET).empty());
}

TEST_F(RouteTest, SameAddressTwiceIsEexist) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/24")));
  EXPECT_EQ(codeOf([&] { socket_->send(addr::add(eth0_, prefix("10.1.2.3/24"))); }), EEXIST);
}

TEST_F(RouteTest, RemovingAnAddressTwiceIsFine) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/24")));
  EXPECT_EQ(socket_->send(addr::remove(eth0_, prefix("10.1.2.3/24"))).code, 0);
  EXPECT_EQ(socket_->send(addr::remove(eth0_, prefix("10.1.2.3/24"))).code, EADDRNOTAVAIL);
  EXPECT_EQ(socket_->send(addr::remove({.name = "x", .index = 4711}, prefix("10.1.2.3/24"))).code, ENODEV);
}

TEST_F(RouteTest, RouteHasEverythingThatWasSet) {
  Route route = routeTo("10.7.0.0/16", ip("10.1.2.1"));
  route.priority = 42;
  route.table = 1000;
  route.mtu = 1300;
  route.advmss = 1200;
  std::vector<Request> requests;
  requests.push_back(addr::add(eth0_, prefix("10.1.2.3/24")));
  requests.push_back(route::add(route));
  socket_->send(requests);
  const Json seen = lookIn(*container_, "ip -j -d route show table 1000").at(0);
  EXPECT_EQ(seen.at("dst"), "10.7.0.0/16");
  EXPECT_EQ(seen.at("gateway"), "10.1.2.1");
  EXPECT_EQ(seen.at("dev"), "eth0");
  EXPECT_EQ(seen.at("metric"), 42);
  EXPECT_EQ(seen.at("protocol"), "boot");
  EXPECT_EQ(seen.at("metrics").at(0).at("mtu"), 1300);
  EXPECT_EQ(seen.at("metrics").at(0).at("advmss"), 1200);

  const auto found = route::list(*socket_, AF_INET, eth0_.index, 1000);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].dst, route.dst);
  EXPECT_EQ(found[0].gateway, route.gateway);
  EXPECT_EQ(found[0].device, eth0_.index);
  EXPECT_EQ(found[0].priority, 42U);
  EXPECT_EQ(found[0].table, 1000U);
  EXPECT_EQ(found[0].mtu, 1300);
  EXPECT_EQ(found[0].advmss, 1200);
}

TEST_F(RouteTest, OnlinkGatewayNeedsNoSubnet) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/32")));
  Route route = routeTo("0.0.0.0/0", ip("169.254.1.1"));
  EXPECT_EQ(codeOf([&] { socket_->send(route::add(route)); }), ENETUNREACH);
  route.onlink = true;
  socket_->send(route::add(route));
  const auto found = route::list(*socket_, AF_INET, 0, 0);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].dst.isDefault());
  EXPECT_TRUE(found[0].onlink);
}

TEST_F(RouteTest, IPv4GoesByWayOfAnIPv6Neighbour) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/32")));
  socket_->send(route::add(routeTo("10.8.0.0/16", ip("fe80::1"))));
  EXPECT_EQ(lookIn(*container_, "ip -j route").at(0).at("via").at("host"), "fe80::1");
  EXPECT_EQ(route::list(*socket_, AF_INET, eth0_.index, 0).at(0).gateway, ip("fe80::1"));
}

TEST_F(RouteTest, SecondGatewayIsAcceptedAndBothAreListed) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/24")));
  socket_->send(addr::add(eth0_, prefix("fd00::3/64")));
  struct Case {
    int family;
    const char *dst, *one, *two;
  };
  for (const Case& each : {Case{AF_INET, "10.7.0.0/16", "10.1.2.1", "10.1.2.2"},
                           Case{AF_INET6, "fd07::/64", "fd00::1", "fd00::2"}}) {
    socket_->send(route::add(routeTo(each.dst, ip(each.one))));
    socket_->send(route::add(routeTo(each.dst, ip(each.two))));
    EXPECT_EQ(codeOf([&] { socket_->send(route::add(routeTo(each.dst, ip(each.one)))); }), EEXIST)
        << each.dst;
    std::vector<IP> gateways;
    for (const Route& route : route::list(*socket_, each.family, eth0_.index, 0))
      if (route.dst == prefix(each.dst)) gateways.push_back(route.gateway.value());
    std::ranges::sort(gateways);
    EXPECT_EQ(gateways, (std::vector{ip(each.one), ip(each.two)})) << each.dst;
  }
}

TEST_F(RouteTest, ListIsFilteredByLinkAndTable) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/24")));
  socket_->send(link::set({.name = "lo", .index = 1}, {.up = true}));
  Route other = routeTo("10.8.0.0/16");
  other.device = 1;
  other.deviceName = "lo";
  socket_->send(route::add(other));
  Route far = routeTo("10.9.0.0/16");
  far.table = 7;
  socket_->send(route::add(far));

  const auto destinations = [&](int device, uint32_t table) {
    std::vector<std::string> found;
    for (const Route& route : route::list(*socket_, AF_INET, device, table)) found.push_back(route.dst.str());
    return found;
  };
  EXPECT_EQ(destinations(eth0_.index, 0), std::vector<std::string>{"10.1.2.0/24"});
  EXPECT_EQ(destinations(0, RT_TABLE_MAIN), (std::vector<std::string>{"10.1.2.0/24", "10.8.0.0/16"}));
  EXPECT_EQ(destinations(0, 7), std::vector<std::string>{"10.9.0.0/16"});
  EXPECT_TRUE(destinations(0, 4711).empty());
  EXPECT_TRUE(destinations(4711, 0).empty());
}

TEST_F(RouteTest, RemovingARouteTwiceIsFine) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/24")));
  const Route route = routeTo("10.7.0.0/16", ip("10.1.2.1"));
  socket_->send(route::add(route));
  EXPECT_EQ(socket_->send(route::remove(route)).code, 0);
  EXPECT_EQ(socket_->send(route::remove(route)).code, ESRCH);
}

TEST_F(RouteTest, ForgottenNeighbourIsGone) {
  socket_->send(addr::add(eth0_, prefix("10.1.2.3/24")));
  ASSERT_EQ(shellIn(*container_, "ip neigh add 10.1.2.9 lladdr 02:00:00:00:00:09 dev eth0 nud stale").status,
            0);
  EXPECT_EQ(socket_->send(neigh::forget(eth0_, ip("10.1.2.9"))).code, 0);
  EXPECT_TRUE(lookIn(*container_, "ip -j neigh show 10.1.2.9 nud all").empty() ||
              lookIn(*container_, "ip -j neigh show 10.1.2.9 nud all").at(0).at("state").at(0) == "FAILED");
  EXPECT_EQ(socket_->send(neigh::forget(eth0_, ip("10.1.2.77"))).code, ENOENT);
}

}  // namespace
}  // namespace fairlead::netns
