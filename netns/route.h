// Addresses, routes and neighbours: what `ip` adds to a link. Functions that return a Request build a message
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/ip.h"
#include "netns/link.h"
#include "netns/netlink.h"

namespace fairlead::netns {

// Address is an IP address of a link.
struct Address {
  Prefix prefix;
  bool tentative = false;  // IPv6: duplicate address detection is still going on
  bool dadFailed = false;
};

struct Route {
  Prefix dst;
  std::optional<IP> gateway{};
  int device = 0;                      // index of the outgoing link
  std::string deviceName{};            // for the text
  std::optional<uint32_t> priority{};  // metric; the kernel's default when unset
  std::optional<uint32_t> table{};     // main (254) when unset
  std::optional<uint8_t> scope{};      // universe when unset
  int mtu = 0;                         // RTAX_MTU, 0: none
  int advmss = 0;                      // RTAX_ADVMSS, 0: none
  bool onlink = false;
};

namespace addr {

// add() sets the broadcast address for IPv4 prefixes of up to /30 and skips duplicate address detection for
// IPv6 unless `dad`. EEXIST when the link has it.
Request add(const LinkRef& link, const Prefix& prefix, bool dad = false);
// remove() tolerates EADDRNOTAVAIL and ENODEV.
Request remove(const LinkRef& link, const Prefix& prefix);
// list() is filtered in the kernel: it costs what this link has, not what the host has. Needs the link's
// index. family: AF_INET, AF_INET6, or AF_UNSPEC for both.
std::vector<Address> list(Socket& socket, const LinkRef& link, int family);

}  // namespace addr

namespace route {

// add() is RTM_NEWROUTE with CREATE only: a route of the same destination and another gateway is accepted, an
// exactly identical one is EEXIST (as `ip route prepend`).
Request add(const Route& route);
// remove() tolerates ESRCH.
Request remove(const Route& route);
// list() is filtered by table and outgoing link in the kernel where it can; device 0 means all, table 0 means
// main.
std::vector<Route> list(Socket& socket, int family, int device, uint32_t table);

}  // namespace route

namespace neigh {

// forget() drops what the link's neighbour table knows of an address, so that a reused address is asked for
// anew. Tolerates ENOENT and ENODEV.
Request forget(const LinkRef& link, const IP& ip);

}  // namespace neigh
}  // namespace fairlead::netns
