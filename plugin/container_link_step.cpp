// The container's end of a link: addresses, UP, routes.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "netns/link.h"
#include "netns/route.h"
#include "netns/sysctl.h"
#include "plugin/error.h"
#include "plugin/steps.h"
#include "runtime/runtime.h"

namespace fairlead::plugin {
namespace {

using netns::Error;
using netns::Link;
using netns::Request;
using netns::Route;

std::string describe(const Route& route) {
  return route.dst.str() + (route.gateway ? " via " + route.gateway->str() : "") + " dev " + route.deviceName;
}

class ConfigureContainerLink : public Step {
 public:
  explicit ConfigureContainerLink(ContainerLinkStep spec) : spec_(std::move(spec)) {
    for (Route& route : spec_.routes) route.deviceName = spec_.ifname;
  }

  std::string_view what() const override { return "container link"; }

  void apply(World& world) override {
    const int index = lookup(world);
    if (!spec_.settings.empty()) netns::sysctl::set(world.containerNS(), spec_.settings);
    const std::vector<Request> requests = build(index);
    try {
      world.container().send(requests);
    } catch (const Error& error) {
      throw failure(prefixOf(error.index()), error);
    }
    if (spec_.dad) settle(world, index);
  }

  // Nothing of its own: addresses and routes go with the link, which another step made.
  void undo(World&) override {}

  void verify(World& world, std::vector<Drift>& drift) const override {
    if (!world.inner) return;  // the veth's own step says so
    const netns::LinkRef link{.name = spec_.ifname, .index = world.inner->index};
    const std::vector<netns::Address> found = netns::addr::list(world.container(), link, AF_UNSPEC);
    for (const netns::Prefix& wanted : spec_.addresses) {
      if (std::ranges::any_of(found, [&](const netns::Address& a) { return a.prefix == wanted; })) continue;
      drift.push_back({"Failed to match addr " + wanted.str() + " on interface " + spec_.ifname, wanted.str(),
                       "no such address", inside(netns::addr::add(link, wanted, spec_.dad).text())});
    }
    for (Route wanted : spec_.routes) {
      wanted.device = link.index;
      if (routed(world, wanted)) continue;
      drift.push_back({"Expected Route {" + describe(wanted) + "} not found in routing table",
                       describe(wanted), "no such route", inside(netns::route::add(wanted).text())});
    }
  }

  void explain(std::vector<std::string>& lines) const override {
    for (const netns::sysctl::Setting& setting : spec_.settings)
      lines.push_back(inside(netns::sysctl::text(setting)));
    for (const Request& request : build(0)) lines.push_back(inside(request.text()));
  }

 private:
  std::string inside(std::string_view command) const { return netns::commandIn(spec_.netnsPath, command); }

  int lookup(World& world) const {
    if (!world.inner) world.inner = netns::link::find(world.container(), {.name = spec_.ifname});
    if (!world.inner)
      throw CniError::internal("failed to lookup " + quoted(spec_.ifname) + ": Link not found");
    return world.inner->index;
  }

  // build() is all requests in the order that the kernel needs: addresses before UP, so that the kernel
  // announces them; UP before routes, which need a device that is.
  std::vector<Request> build(int index) const {
    const netns::LinkRef link{.name = spec_.ifname, .index = index};
    std::vector<Request> requests;
    for (const netns::Prefix& address : spec_.addresses)
      requests.push_back(netns::addr::add(link, address, spec_.dad));
    if (spec_.up) {
      netns::LinkChange change;
      change.up = true;
      requests.push_back(netns::link::set(link, change));
    }
    for (Route route : spec_.routes) {
      route.device = index;
      requests.push_back(netns::route::add(route));
    }
    return requests;
  }

  // prefixOf() is what the reference says of the request that failed.
  std::string prefixOf(size_t at) const {
    if (at < spec_.addresses.size()) {
      return "failed to add IP addr " + spec_.addresses[at].str() + " to " + quoted(spec_.ifname);
    }
    const size_t firstRoute = spec_.addresses.size() + (spec_.up ? 1 : 0);
    if (at < firstRoute) return "failed to set " + quoted(spec_.ifname) + " UP";
    return "failed to add route '" + describe(spec_.routes.at(at - firstRoute)) + "'";
  }

  // settle() waits until duplicate address detection is through, which takes a second or two.
  void settle(World& world, int index) const {
    constexpr std::chrono::milliseconds kStep(20);
    constexpr int kSteps = 250;  // 5 s, as long as the reference waits
    const netns::LinkRef link{.name = spec_.ifname, .index = index};
    for (int step = 0; step < kSteps; ++step) {
      bool tentative = false;
      for (const netns::Address& address : netns::addr::list(world.container(), link, AF_INET6)) {
        if (address.dadFailed) {
          throw CniError::internal("failed to settle addresses for " + quoted(spec_.ifname) + ": link " +
                                   spec_.ifname + " has address " + address.prefix.ip.str() +
                                   " in DADFAILED state");
        }
        tentative |= address.tentative;
      }
      if (!tentative) return;
      runtime::sleep(kStep);
    }
    throw CniError::internal("failed to settle addresses for " + quoted(spec_.ifname) + ": link " +
                             spec_.ifname + " still has tentative addresses after 5 seconds");
  }

  // routed() looks the route up in its own table, whichever that is. A later plugin may have changed the
  // gateway of a default route.
  bool routed(World& world, const Route& wanted) const {
    const int family = wanted.dst.ip.isV4() ? AF_INET : AF_INET6;
    const std::vector<Route> found = netns::route::list(
        world.container(), family, wanted.dst.isDefault() ? 0 : wanted.device, wanted.table.value_or(0));
    return std::ranges::any_of(found, [&](const Route& route) {
      if (route.dst != wanted.dst.masked()) return false;
      return wanted.dst.isDefault() || !wanted.gateway || route.gateway == wanted.gateway;
    });
  }

  ContainerLinkStep spec_;
};

class EnableForwarding : public Step {
 public:
  EnableForwarding(bool v4, bool v6) {
    if (v4) settings_.push_back({.key = "net/ipv4/ip_forward", .value = "1"});
    if (v6) settings_.push_back({.key = "net/ipv6/conf/all/forwarding", .value = "1"});
  }

  std::string_view what() const override { return "forwarding"; }

  void apply(World&) override {
    try {
      netns::sysctl::set(settings_);
    } catch (const Error& error) {
      throw failure("failed to enable forwarding", error);
    }
  }

  void undo(World&) override {}

  void verify(World&, std::vector<Drift>& drift) const override {
    for (const netns::sysctl::Setting& setting : settings_) {
      const std::optional<std::string> value = netns::sysctl::read(setting.key);
      if (value == setting.value) continue;
      drift.push_back({"forwarding is off: " + setting.key, setting.value,
                       value.value_or("no such parameter"), netns::sysctl::text(setting)});
    }
  }

  void explain(std::vector<std::string>& lines) const override {
    for (const netns::sysctl::Setting& setting : settings_) lines.push_back(netns::sysctl::text(setting));
  }

 private:
  std::vector<netns::sysctl::Setting> settings_;
};

}  // namespace

std::unique_ptr<Step> configureContainerLink(ContainerLinkStep spec) {
  return std::make_unique<ConfigureContainerLink>(std::move(spec));
}

std::unique_ptr<Step> enableForwarding(bool v4, bool v6) {
  return std::make_unique<EnableForwarding>(v4, v6);
}

}  // namespace fairlead::plugin
