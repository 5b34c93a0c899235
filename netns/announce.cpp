#include "netns/announce.h"

#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "netns/libnl.h"
#include "netns/link.h"
#include "netns/sysctl.h"

// Why not a packet socket: closing one waits for an RCU grace period, 14 ms in the median, where a close
// should take none. The kernel itself announces all addresses of a link whose MAC address is set, be it to
// the one it has; both families in 30 us. It has to be told to, per link, by arp_notify and ndisc_notify.

namespace fairlead::netns {

namespace {

// arpNotify() sets the parameter by netlink, which spares the way through /proc/sys; IPv6 has no such
// message.
Request arpNotify(const std::string& ifname) {
  Message message(RTM_NEWLINK, 0);
  message.append(ifinfomsg{});
  message.str(IFLA_IFNAME, ifname);
  {
    const auto families = message.nest(IFLA_AF_SPEC);
    const auto family = message.nest(AF_INET);
    const auto parameters = message.nest(IFLA_INET_CONF);
    message.u32(IPV4_DEVCONF_ARP_NOTIFY, 1);
  }
  return message.finish("sysctl -w net/ipv4/conf/" + ifname + "/arp_notify=1");
}

}  // namespace

bool announce(Socket& socket, const NetNS& ns, const std::string& ifname, const Mac& mac,
              std::span<const IP> addresses) {
  std::vector<Request> requests;
  // First of all: who is asked for the link looks for its carrier.
  requests.push_back(link::findRequest({.name = ifname}));
  if (std::ranges::any_of(addresses, [](const IP& ip) { return ip.isV4(); }))
    requests.push_back(arpNotify(ifname));
  if (std::ranges::any_of(addresses, [](const IP& ip) { return !ip.isV4(); })) {
    const sysctl::Setting notify{.key = "net/ipv6/conf/" + ifname + "/ndisc_notify", .value = "1"};
    sysctl::set(ns, std::span(&notify, 1));
  }
  requests.push_back(link::set({.name = ifname}, {.mac = mac}));
  const std::optional<Link> found = link::parse(socket.send(requests).front());
  return found && found->operState == Link::kOperUp;
}

}  // namespace fairlead::netns
