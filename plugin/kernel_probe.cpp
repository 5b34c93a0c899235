#include "plugin/kernel_probe.h"

#include <unistd.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <utility>

#include "netns/link.h"
#include "netns/netlink.h"
#include "netns/netns.h"
#include "netns/nft.h"
#include "plugin/error.h"
#include "plugin/masquerade.h"

namespace fairlead::plugin {
namespace {

using netns::NetNS;
using netns::Prefix;
using netns::Socket;

constexpr const char* kForwarding = "/proc/sys/net/ipv4/ip_forward";

// The address is from the block for documentation (RFC 5737); no packet ever has it here.
void tryMasquerading(const NetNS& ns) {
  netns::doInNetNS(ns, [] {
    World world(nullptr);
    masquerade({.network = "probe", .containerId = "probe", .ifname = "eth0"},
               {*Prefix::parse("192.0.2.1/24")})
        ->apply(world);
  });
}

}  // namespace

std::vector<MissingFeature> missingFeatures() {
  std::vector<MissingFeature> missing;
  const auto attempt = [&](const char* name, const char* mend, const auto& action) {
    try {
      action();
      return true;
    } catch (const CniError& error) {
      missing.push_back({name, error.details(), mend});
    } catch (const netns::Error& error) {
      missing.push_back({name, error.what(), mend});
    }
    return false;
  };
  std::optional<NetNS> ns;
  if (!attempt("network namespaces", "sysctl -w user.max_net_namespaces=65536",
               [&] { ns = NetNS::create(); }))
    return missing;
  attempt("bridge", "modprobe bridge",
          [&] { Socket::open(*ns).send(netns::link::addBridge({.name = "probe0"})); });
  attempt("veth", "modprobe veth",
          [&] { Socket::open(*ns).send(netns::link::addVeth({.name = "probe1", .peerName = "probe2"})); });
  const bool nft = attempt("nf_tables", "modprobe nf_tables", [&] {
    Socket socket = Socket::open(*ns, Socket::Family::Netfilter);
    netns::nft::hasTable(socket, {.family = netns::nft::Family::Inet, .name = "probe"});
  });
  if (nft) attempt("masquerading", "modprobe -a nft_chain_nat nft_masq", [&] { tryMasquerading(*ns); });
  attempt("forwarding", "mount -o remount,rw /proc/sys", [] {
    if (::access(kForwarding, W_OK) != 0) throw netns::Error(errno, std::string("write ") + kForwarding);
  });
  return missing;
}

}  // namespace fairlead::plugin
