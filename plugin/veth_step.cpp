// The veth pair of an attachment, and the wait until the bridge forwards what comes from it.
#include <cerrno>
#include <chrono>

#include "netns/announce.h"
#include "netns/link.h"
#include "plugin/error.h"
#include "plugin/steps.h"

namespace fairlead::plugin {
namespace {

using netns::Error;
using netns::Link;

class AddVethPair : public Step {
 public:
  explicit AddVethPair(VethStep spec) : spec_(std::move(spec)) {}

  std::string_view what() const override { return "veth pair"; }

  void apply(World& world) override {
    if (!create(world)) {
      // The names are this attachment's own: what has them was left by an ADD that was killed, unless the
      // container's interface is there too.
      if (netns::link::find(world.container(), {.name = spec_.ifname})) throw taken();
      netns::link::remove(world.host(), {.name = spec_.hostName}, world.straggler());
      if (!create(world)) throw taken();
    }
  }

  void undo(World& world) override {
    netns::link::remove(world.host(), {.name = spec_.hostName}, world.straggler());
    world.forget(spec_.hostName);
    // An attachment that the reference plugin made has a host end of another name: go by the container's end.
    if (!world.hasContainer()) return;
    const auto inner = netns::link::find(world.container(), {.name = spec_.ifname});
    if (inner && ours(world, *inner)) {
      netns::link::remove(world.container(), {.name = spec_.ifname, .index = inner->index},
                          world.straggler());
    }
  }

  void verify(World& world, std::vector<Drift>& drift) const override {
    const auto inner = netns::link::find(world.container(), {.name = spec_.ifname});
    const std::string again = "fairlead del, then fairlead add";
    if (!inner) {
      drift.push_back({"CNI created interface in container " + spec_.ifname + " not found",
                       "veth " + spec_.ifname, "no such link in " + spec_.netnsPath, again});
      return;
    }
    world.inner = inner;
    if (inner->kind != "veth") {
      drift.push_back({"Error: Container interface " + spec_.ifname + " not of type veth", "veth",
                       quoted(inner->kind), again});
      return;
    }
    if (inner->mac != spec_.mac) {
      drift.push_back(
          {"Interface " + spec_.ifname + " Mac " + spec_.mac.str() +
               " doesn't match container Mac: " + inner->mac.str(),
           spec_.mac.str(), inner->mac.str(),
           netns::commandIn(spec_.netnsPath, "ip link set " + spec_.ifname + " address " + spec_.mac.str())});
    }
    if (!inner->up) {
      drift.push_back({"Interface " + spec_.ifname + " is down", "up", "down",
                       netns::commandIn(spec_.netnsPath, "ip link set " + spec_.ifname + " up")});
    }
    verifyHostEnd(world, *inner, drift);
  }

  void explain(std::vector<std::string>& lines) const override {
    lines.push_back(netns::link::addVeth(request(nullptr, 0)).text());
    if (spec_.hairpin) lines.push_back(hairpin().text());
  }

 private:
  netns::VethSpec request(const netns::NetNS* container, int master) const {
    return {.name = spec_.hostName,
            .up = spec_.up,
            .mac = spec_.hostMac,
            .master = master,
            .masterName = spec_.bridge,
            .mtu = spec_.mtu,
            .queues = 1,
            .peerName = spec_.ifname,
            .peerMac = spec_.mac,
            .peerNS = container,
            .peerNSPath = spec_.netnsPath};
  }

  netns::Request hairpin() const {
    netns::LinkChange change;
    change.hairpin = true;
    return netns::link::set({.name = spec_.hostName}, change);
  }

  // create() makes the pair in one request and asks for it in the same message; false when a name is taken.
  bool create(World& world) {
    const Link* bridge = world.find(spec_.bridge);
    std::vector<netns::Request> requests;
    requests.push_back(
        netns::link::addVeth(request(&world.containerNS(), bridge != nullptr ? bridge->index : 0))
            .tolerate(EEXIST));
    if (spec_.hairpin) requests.push_back(hairpin());
    requests.push_back(netns::link::findRequest({.name = spec_.hostName}));
    std::vector<netns::Reply> replies;
    try {
      replies = world.host().send(requests);
    } catch (const Error& error) {
      // A link of that name that was there before is dealt with by the next attempt.
      const bool made = error.index() != 0 || dynamic_cast<const netns::NoAnswer*>(&error) != nullptr;
      if (made) world.host().send(netns::link::remove({.name = spec_.hostName}));
      throw failure("failed to make veth pair", error);
    }
    if (replies.front().code == EEXIST) return false;
    const std::optional<Link> link = netns::link::parse(replies.back());
    if (!link) throw CniError::internal("failed to lookup " + quoted(spec_.hostName) + ": Link not found");
    world.learn(*link);
    Link inner;
    inner.index = link->peerIndex;
    inner.name = spec_.ifname;
    inner.mac = spec_.mac;
    world.inner = inner;
    return true;
  }

  CniError taken() const {
    return CniError::internal("container veth name (" + quoted(spec_.ifname) + ") peer provided (" +
                                  quoted(spec_.hostName) + ") already exists",
                              "in " + spec_.netnsPath);
  }

  // ours() tells whether the link that has our name in the container is this attachment's: a veth whose other
  // end is a port of our bridge, or of none when the bridge was removed by hand.
  bool ours(World& world, const Link& inner) const {
    if (inner.kind != "veth") return false;
    const auto peer = netns::link::find(world.host(), {.name = {}, .index = inner.peerIndex});
    if (!peer || peer->kind != "veth") return false;
    const Link* bridge = world.find(spec_.bridge);
    return peer->master == 0 || (bridge != nullptr && peer->master == bridge->index);
  }

  void verifyHostEnd(World& world, const Link& inner, std::vector<Drift>& drift) const {
    const auto peer = netns::link::find(world.host(), {.name = spec_.hostName, .index = inner.peerIndex});
    const Link* bridge = world.find(spec_.bridge);
    if (!peer) {
      drift.push_back({"CNI veth created for bridge " + spec_.bridge + " was not found",
                       "veth " + spec_.hostName, "no such link", "fairlead del, then fairlead add"});
      return;
    }
    if (bridge != nullptr && peer->master != bridge->index) {
      drift.push_back({"CNI veth created for bridge " + spec_.bridge + " was not found",
                       peer->name + " a port of " + spec_.bridge,
                       peer->master == 0 ? "no master" : "another master",
                       "ip link set " + peer->name + " master " + spec_.bridge});
    }
    if (peer->mac != spec_.hostMac) {
      drift.push_back({"Interface " + peer->name + " Mac doesn't match: " + peer->mac.str() + " not found",
                       spec_.hostMac.str(), peer->mac.str(),
                       "ip link set " + peer->name + " address " + spec_.hostMac.str()});
    }
    if (!peer->up) {
      drift.push_back(
          {"Interface " + peer->name + " is down", "up", "down", "ip link set " + peer->name + " up"});
    }
    if (peer->hairpin && *peer->hairpin != spec_.hairpin) {
      const std::string wanted = spec_.hairpin ? "on" : "off";
      drift.push_back({"Interface " + peer->name + " hairpin mode doesn't match", "hairpin " + wanted,
                       *peer->hairpin ? "hairpin on" : "hairpin off",
                       "bridge link set dev " + peer->name + " hairpin " + wanted});
    }
  }

  VethStep spec_;
};

class AwaitPort : public Step {
 public:
  explicit AwaitPort(PortUpStep spec) : spec_(std::move(spec)) {}

  std::string_view what() const override { return "port up, announce"; }

  void apply(World& world) override {
    constexpr std::chrono::milliseconds kLimit(2500);  // as long as the reference waits
    if (!netns::link::setUp(world.host(), {.name = spec_.hostName}, kLimit))
      throw CniError::internal("bridge port in error state: down", spec_.hostName + " got no carrier");
    // Nothing is sent at the other end before its carrier has been seen, too.
    if (announce(world)) return;
    if (!netns::link::waitUp(world.container(), {.name = spec_.ifname}, kLimit))
      throw CniError::internal("container link in error state: down", spec_.ifname + " got no carrier");
    announce(world);
  }

  void undo(World&) override {}

  void explain(std::vector<std::string>& lines) const override {
    lines.push_back(netns::link::set({.name = spec_.hostName}, {.up = true}).text());
    for (const netns::IP& address : spec_.addresses) {
      lines.push_back(netns::commandIn(
          spec_.netnsPath, address.isV4() ? "arping -U -c 1 -I " + spec_.ifname + " " + address.str()
                                          : "ndsend " + address.str() + " " + spec_.ifname));
    }
  }

 private:
  bool announce(World& world) const {
    return !spec_.addresses.empty() &&
           netns::announce(world.container(), world.containerNS(), spec_.ifname, spec_.mac, spec_.addresses);
  }

  PortUpStep spec_;
};

}  // namespace

std::unique_ptr<Step> addVethPair(VethStep spec) { return std::make_unique<AddVethPair>(std::move(spec)); }

std::unique_ptr<Step> awaitPort(PortUpStep spec) { return std::make_unique<AwaitPort>(std::move(spec)); }

}  // namespace fairlead::plugin
