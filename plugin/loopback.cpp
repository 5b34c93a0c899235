// loopback: sets the container's `lo` up. CNI_IFNAME does not matter, it is always lo.
#include <sys/socket.h>

#include <optional>

#include "netns/link.h"
#include "netns/netlink.h"
#include "netns/netns.h"
#include "netns/route.h"
#include "plugin/attach.h"
#include "plugin/error.h"
#include "plugin/registry.h"

namespace fairlead::plugin {
namespace {

using netns::LinkRef;
using netns::Prefix;

// The kernel gives lo the index 1 in every namespace (LOOPBACK_IFINDEX).
const LinkRef& lo() {
  static const LinkRef kLo{.name = "lo", .index = 1};
  return kLo;
}

void setUp(netns::Socket& socket, bool up) {
  netns::LinkChange change;
  change.up = up;
  socket.send(netns::link::set(lo(), change));
}

bool isUp(netns::Socket& socket) {
  const auto link = netns::link::find(socket, lo());
  return link && link->up;
}

std::optional<Result> previous(const Call& call) {
  try {
    return call.prevResult();
  } catch (const CniError& error) {
    throw CniError::internal(std::string("failed to parse prevResult: ") + error.what());
  }
}

Result resultOf(const Call& call, const std::vector<Prefix>& addresses) {
  Result result;
  result.interfaces.push_back({.name = "lo",
                               .mac = netns::Mac{}.str(),
                               .mtu = 0,
                               .sandbox = call.env.netns,
                               .socketPath = {},
                               .pciID = {}});
  for (const Prefix& address : addresses)
    result.ips.push_back({.interface = 0, .address = address, .gateway = {}});
  return result;
}

// addressesOfLo() are the first one of each family. Nothing but a loopback address may be there: what it
// would be used for is not what whoever put it there expects.
std::vector<Prefix> addressesOfLo(netns::Socket& socket) {
  std::vector<Prefix> first;
  for (const auto& [prefix, tentative, failed] : netns::addr::list(socket, lo(), AF_UNSPEC)) {
    if (!prefix.ip.isLoopback())
      throw CniError::internal("loopback interface found with non-loopback address " +
                               quoted(prefix.ip.str()));
    if (first.empty() || first.back().ip.isV4() != prefix.ip.isV4()) first.push_back(prefix);
  }
  return first;
}

class Loopback : public Plugin {
 public:
  std::string_view type() const override { return "loopback"; }

  Result add(const Call& call) const override {
    const std::optional<Result> prevResult = previous(call);
    const netns::NetNS container = openContainer(call);
    auto socket = netns::Socket::open(container);
    setUp(socket, true);
    const std::vector<Prefix> addresses = addressesOfLo(socket);
    return prevResult ? *prevResult : resultOf(call, addresses);
  }

  bool alreadyDone(const Call& call) const override {
    const netns::NetNS container = openContainer(call);
    auto socket = netns::Socket::open(container);
    return isUp(socket);
  }

  void del(const Call& call) const override {
    const auto container = openContainerIfAny(call);
    if (!container) return;
    auto socket = netns::Socket::open(*container);
    setUp(socket, false);
  }

  void check(const Call& call) const override {
    const netns::NetNS container = openContainer(call);
    auto socket = netns::Socket::open(container);
    if (!isUp(socket)) throw CniError::internal("loopback interface is down");
  }

  Explanation explain(const Call& call) const override {
    const std::optional<Result> prevResult = previous(call);
    // What the kernel gives lo when it is set up.
    const std::vector<Prefix> addresses = {*Prefix::parse("127.0.0.1/8"), *Prefix::parse("::1/128")};
    return {.result = prevResult ? *prevResult : resultOf(call, addresses),
            .lines = {netns::commandIn(call.env.netns, "ip link set lo up")}};
  }
};

}  // namespace

const Plugin& loopbackPlugin() {
  static const Loopback kPlugin;
  return kPlugin;
}

}  // namespace fairlead::plugin
