// The things that attachments to one bridge share: the bridge and its gateway address.
#include <net/if.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "netns/link.h"
#include "netns/route.h"
#include "netns/sysctl.h"
#include "plugin/error.h"
#include "plugin/steps.h"

namespace fairlead::plugin {
namespace {

using netns::Error;
using netns::Link;
using netns::Prefix;

// The link group of the bridges that ADDs made, so that a GC does not take somebody else's away. It is part
// of the request that makes the bridge: a mark set later would be missing after a kill in between.
constexpr uint32_t kBridgeGroup = 0xFA1EAD;

// An explicit address keeps a bridge from taking on that of its lowest port, and udev from changing it.
netns::Mac randomMac() {
  netns::Mac mac;
  if (::getrandom(mac.bytes.data(), mac.bytes.size(), 0) != static_cast<ssize_t>(mac.bytes.size())) {
    throw Error(errno, "getrandom");
  }
  mac.bytes[0] = (mac.bytes[0] | 0x02) & 0xfe;
  return mac;
}

bool hasPorts(World& world, int bridge) {
  const std::vector<Link> links = netns::link::list(world.host());
  return std::ranges::any_of(links, [&](const Link& link) { return link.master == bridge; });
}

// unused() is true when a shared thing that this ADD made may go again: nobody else relies on the bridge.
bool unused(World& world, const std::string& bridge) {
  if (!world.alone()) return false;
  const Link* link = world.find(bridge, true);
  return link != nullptr && !hasPorts(world, link->index);
}

netns::sysctl::Setting noRouterAdvertisements(const std::string& bridge) {
  return {.key = "net/ipv6/conf/" + bridge + "/accept_ra", .value = "0", .optional = true};
}

class EnsureBridge : public Step {
 public:
  explicit EnsureBridge(BridgeStep spec) : spec_(std::move(spec)) {}

  std::string_view what() const override { return "bridge"; }

  void apply(World& world) override {
    const Link* link = world.find(spec_.name);
    if (link == nullptr) link = create(world);
    if (link->kind != "bridge") {
      throw CniError::internal("failed to create bridge " + quoted(spec_.name) + ": " + quoted(spec_.name) +
                               " already exists but is not a bridge");
    }
    netns::LinkChange change;
    if (!link->up) change.up = true;
    if (spec_.promisc && !link->promisc) change.promisc = true;
    if (!change.up && !change.promisc) return;
    try {
      world.host().send(netns::link::set(reference(*link), change));
    } catch (const Error& error) {
      throw failure("could not set up bridge " + quoted(spec_.name), error);
    }
  }

  void undo(World& world) override {
    if (!made_ || !unused(world, spec_.name)) return;
    world.host().send(netns::link::remove({.name = spec_.name}));
    world.forget(spec_.name);
  }

  void verify(World& world, std::vector<Drift>& drift) const override {
    const Link* link = world.find(spec_.name);
    const std::string add = request(spec_.mac).text();
    if (link == nullptr) {
      drift.push_back(
          {"Interface name " + spec_.name + " not found", "bridge " + spec_.name, "no such link", add});
      return;
    }
    if (link->kind != "bridge") {
      drift.push_back({"Interface " + spec_.name + " does not have link type of bridge",
                       "bridge " + spec_.name, "a link of kind " + quoted(link->kind),
                       "ip link delete " + spec_.name + "; " + add});
      return;
    }
    if (spec_.mac && link->mac != *spec_.mac) {
      drift.push_back({"Bridge interface " + spec_.name + " Mac doesn't match: " + link->mac.str(),
                       spec_.mac->str(), link->mac.str(),
                       "ip link set " + spec_.name + " address " + spec_.mac->str()});
    }
    if (!link->up) {
      drift.push_back(
          {"Bridge interface " + spec_.name + " is down", "up", "down", "ip link set " + spec_.name + " up"});
    }
    // The kernel counts others' wishes too (a packet capture), so only a missing one is drift.
    if (spec_.promisc && !link->promisc) {
      drift.push_back(
          {"Bridge interface " + spec_.name + " configured Promisc Mode true doesn't match current state: 0 ",
           "promiscuous", "not promiscuous", "ip link set " + spec_.name + " promisc on"});
    }
  }

  void explain(std::vector<std::string>& lines) const override {
    lines.push_back(request(spec_.mac).text() + "  # unless it exists");
    if (!spec_.promisc) return;
    netns::LinkChange change;
    change.promisc = true;
    lines.push_back(netns::link::set({.name = spec_.name}, change).text());
  }

 private:
  netns::Request request(const std::optional<netns::Mac>& mac) const {
    return netns::link::addBridge(
        {.name = spec_.name, .mtu = spec_.mtu, .mac = mac, .group = kBridgeGroup, .up = true});
  }

  static netns::LinkRef reference(const Link& link) { return {.name = link.name, .index = link.index}; }

  const Link* create(World& world) {
    try {
      world.host().send(request(randomMac()));
      made_ = true;
    } catch (const Error& error) {
      // Somebody else was faster: theirs will do.
      if (error.code() != EEXIST) {
        throw failure(
            "failed to create bridge " + quoted(spec_.name) + ": could not add " + quoted(spec_.name), error);
      }
    }
    if (made_)
      netns::sysctl::set(std::vector{noRouterAdvertisements(spec_.name)});  // ports speak for themselves
    const Link* link = world.find(spec_.name, true);
    if (link == nullptr) {
      throw CniError::internal("could not lookup " + quoted(spec_.name) + ": Link not found",
                               "it was there a moment ago: somebody else removes it");
    }
    return link;
  }

  BridgeStep spec_;
  bool made_ = false;
};

class EnsureGateway : public Step {
 public:
  explicit EnsureGateway(GatewayStep spec) : spec_(std::move(spec)) {}

  std::string_view what() const override { return "gateway address"; }

  void apply(World& world) override {
    const netns::LinkRef bridge = reference(world);
    std::vector<netns::Request> requests;
    for (const Prefix& other : others(world, bridge)) {
      if (other == spec_.address) return;
      if (!conflicts(other)) continue;
      if (!spec_.force) {
        throw CniError::internal("failed to set bridge addr: " + quoted(spec_.bridge) +
                                     " already has an IP address different from " + spec_.address.str(),
                                 "found " + other.str() + "; forceAddress replaces it");
      }
      requests.push_back(netns::addr::remove(bridge, other));
    }
    requests.push_back(netns::addr::add(bridge, spec_.address).tolerate(EEXIST));
    try {
      made_ = world.host().send(requests).back().code == 0;
    } catch (const Error& error) {
      throw failure("failed to set bridge addr: could not add IP address " + spec_.address.str() + " to " +
                        quoted(spec_.bridge),
                    error);
    }
  }

  void undo(World& world) override {
    if (made_ && unused(world, spec_.bridge)) {
      world.host().send(netns::addr::remove(reference(world), spec_.address));
    }
  }

  void verify(World& world, std::vector<Drift>& drift) const override {
    if (world.find(spec_.bridge) == nullptr) return;  // the bridge's own step says so
    const netns::LinkRef bridge = reference(world);
    const std::vector<Prefix> found = others(world, bridge);
    if (std::ranges::find(found, spec_.address) != found.end()) return;
    drift.push_back({"Failed to find gateway address " + spec_.address.str() + " on " + spec_.bridge,
                     spec_.address.str(), "no such address", netns::addr::add(bridge, spec_.address).text()});
  }

  void explain(std::vector<std::string>& lines) const override {
    lines.push_back(netns::addr::add({.name = spec_.bridge}, spec_.address).text() + "  # unless it has it");
  }

 private:
  netns::LinkRef reference(World& world) const {
    const Link* link = world.find(spec_.bridge);
    return {.name = spec_.bridge, .index = link != nullptr ? link->index : 0};
  }

  std::vector<Prefix> others(World& world, const netns::LinkRef& bridge) const {
    std::vector<Prefix> result;
    const int family = spec_.address.ip.isV4() ? AF_INET : AF_INET6;
    for (const netns::Address& address : netns::addr::list(world.host(), bridge, family)) {
      result.push_back(address.prefix);
    }
    return result;
  }

  // The reference allows one IPv4 address, and several IPv6 ones as long as their subnets do not overlap.
  bool conflicts(const Prefix& other) const {
    if (other.ip.isV4()) return true;
    return !other.ip.isLinkLocal() && other.overlaps(spec_.address);
  }

  GatewayStep spec_;
  bool made_ = false;
};

}  // namespace

std::unique_ptr<Step> ensureBridge(BridgeStep spec) {
  return std::make_unique<EnsureBridge>(std::move(spec));
}

bool collectBridge(World& world, const std::string& name) {
  const Link* link = world.find(name, true);
  if (link == nullptr || link->kind != "bridge" || link->group != kBridgeGroup || !unused(world, name))
    return false;
  world.host().send(netns::link::remove({.name = name, .index = link->index}));
  world.forget(name);
  return true;
}

std::unique_ptr<Step> ensureGateway(GatewayStep spec) {
  return std::make_unique<EnsureGateway>(std::move(spec));
}

}  // namespace fairlead::plugin
