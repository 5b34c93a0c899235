// Telling the neighbours where an address lives now: gratuitous ARP and unsolicited neighbour advertisement.
#pragma once

#include <span>
#include <string>

#include "netns/ip.h"
#include "netns/netns.h"

namespace fairlead::netns {

// announce() sends, for each address, a gratuitous ARP (IPv4, RFC 5227 section 3) or an unsolicited neighbour
// advertisement with the override flag (IPv6, RFC 4861 section 7.2.6) from the link `ifname` in `ns`. The
// link must be up. The calling goroutine must be locked to its thread. Errors: Error with the address that
// could not be announced.
void announce(const NetNS& ns, const std::string& ifname, const Mac& mac, std::span<const IP> addresses);

}  // namespace fairlead::netns
