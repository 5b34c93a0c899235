// The steps that plugins build plans from. Each function makes one; what it needs to know is its argument.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "netns/ip.h"
#include "netns/link.h"
#include "netns/route.h"
#include "netns/sysctl.h"
#include "plugin/call.h"
#include "plugin/plan.h"

namespace fairlead::plugin {

// A bridge that several attachments share: made when it is missing, never changed when it is there but for
// promiscuous mode. Undone only by the ADD that made it, when nothing else is plugged in.
struct BridgeStep {
  std::string name;
  int mtu = 0;
  bool promisc = false;
  std::optional<netns::Mac> mac;  // what CHECK expects; a new bridge gets one at random
};
std::unique_ptr<Step> ensureBridge(BridgeStep spec);
// collectBridge() removes a bridge that an ADD made and nothing is plugged into. True when it did.
bool collectBridge(World& world, const std::string& name);

// The gateway's address on a bridge. A different address there is replaced (`force`) or an error.
struct GatewayStep {
  std::string bridge;
  netns::Prefix address;
  bool force = false;
};
std::unique_ptr<Step> ensureGateway(GatewayStep spec);

// A veth pair: the host end a port of the bridge, the other created in the container's namespace under its
// final name.
struct VethStep {
  std::string hostName;
  netns::Mac hostMac;
  std::string bridge;
  bool hairpin = false;
  bool up = false;  // the host end, at once; else awaitPort() sets it up
  int mtu = 0;
  std::string ifname;
  netns::Mac mac;
  std::string netnsPath;
};
std::unique_ptr<Step> addVethPair(VethStep spec);

// The container's end: addresses, UP, routes, one request each, one sendmsg for all.
struct ContainerLinkStep {
  std::string ifname;
  std::string netnsPath;
  std::vector<netns::Prefix> addresses;
  std::vector<netns::Route> routes;
  std::vector<netns::sysctl::Setting> settings;  // inside the namespace, before anything else
  bool up = true;
  bool dad = false;  // IPv6 duplicate address detection, waited for
};
std::unique_ptr<Step> configureContainerLink(ContainerLinkStep spec);

// Sets the host end up when the container's is, waits until the bridge forwards what comes from that port,
// then tells the neighbours about the container's addresses.
struct PortUpStep {
  std::string hostName;
  std::string ifname;
  std::string netnsPath;
  netns::Mac mac;
  std::vector<netns::IP> addresses;
};
std::unique_ptr<Step> awaitPort(PortUpStep spec);

// Host-wide forwarding, which nobody switches off again.
std::unique_ptr<Step> enableForwarding(bool v4, bool v6);

}  // namespace fairlead::plugin
