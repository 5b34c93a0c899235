// Telling the neighbours where an address lives now: gratuitous ARP and unsolicited neighbour advertisement.
#pragma once

#include <span>
#include <string>

#include "netns/ip.h"
#include "netns/netlink.h"
#include "netns/netns.h"

namespace fairlead::netns {

// announce() has the kernel send a gratuitous ARP (IPv4, RFC 5227 section 3) or an unsolicited neighbour
// advertisement with the override flag (IPv6, RFC 4861 section 7.2.6) for each address of the link `ifname`
// in `ns`, where `socket` is; tentative ones are left out. `addresses` tells which families are worth it,
// `mac` is the address that the link has. The link must be up, and its other end a bridge port that forwards
// (link::waitUp), or the frames are lost without an error. False when the kernel had not seen the link's own
// carrier, so that nothing was sent: to be repeated after link::waitUp. The link keeps arp_notify and
// ndisc_notify switched on. The calling goroutine must be locked to its thread.
bool announce(Socket& socket, const NetNS& ns, const std::string& ifname, const Mac& mac,
              std::span<const IP> addresses);

}  // namespace fairlead::netns
