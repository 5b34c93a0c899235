// Links: bridges and veth pairs. Functions that return a Request build a message and do nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/ip.h"
#include "netns/netlink.h"

namespace fairlead::netns {

// Link is what the kernel tells of a network interface.
struct Link {
  int index = 0;
  std::string name;
  uint32_t group = 0;  // IFLA_GROUP: a number for whoever made it
  std::string kind;    // "bridge", "veth", ...; empty for a physical device
  Mac mac;             // zero for a device without an Ethernet address
  int mtu = 0;
  int master = 0;     // index of the bridge it is a port of, or 0
  int peerIndex = 0;  // IFLA_LINK: a veth's other end, an index of *its* namespace
  bool up = false;    // IFF_UP, the administrative state
  // Somebody wants promiscuous mode (IFF_PROMISC or IFLA_PROMISCUITY); a bridge does of its ports.
  bool promisc = false;
  uint8_t operState = 0;        // IFLA_OPERSTATE, RFC 2863; kOperUp is 6
  std::optional<bool> hairpin;  // of a bridge port

  static constexpr uint8_t kOperUp = 6;
};

// LinkRef names a link in a request: by index when that is known, else by name. The name is for messages in
// any case.
struct LinkRef {
  std::string name;
  int index = 0;
};

// Changes to a link. What is not set stays as it is.
struct LinkChange {
  std::optional<bool> up{};
  std::optional<bool> promisc{};
  std::optional<int> mtu{};
  std::optional<Mac> mac{};
  std::optional<int> master{};  // index; 0 releases
  std::string masterName{};     // for the text
  // Of a bridge port: not in the request that makes it one (`master`), but after that.
  std::optional<bool> hairpin{};
};

struct BridgeSpec {
  std::string name{};
  int mtu = 0;               // 0: the kernel's default
  std::optional<Mac> mac{};  // set it, so that it does not follow the ports
  uint32_t group = 0;        // 0: the kernel's default
  bool up = false;
};

struct VethSpec {
  std::string name{};  // this end, in the socket's namespace
  // This end is created UP. A port of a bridge that is UP before there is a carrier is enabled, disabled and
  // enabled again, each time at a cost that grows with the number of ports: set it up last.
  bool up = true;
  std::optional<Mac> mac{};
  int master = 0;  // index of a bridge, or 0
  std::string masterName{};
  int mtu = 0;             // both ends; 0: the kernel's default
  int queues = 1;          // per end and direction; more costs RCU waits under RTNL
  std::string peerName{};  // created in `peerNS` under this name; cannot be created UP (ENOTCONN)
  std::optional<Mac> peerMac{};
  const NetNS* peerNS = nullptr;  // null: the socket's own namespace
  std::string peerNSPath{};       // for the text; empty: the path of `peerNS`
};

namespace link {

// findRequest() asks for one link (RTM_GETLINK, never a dump); tolerates ENODEV. parse() reads the answer:
// nullopt when there is no such link.
Request findRequest(const LinkRef& link);
std::optional<Link> parse(const Reply& reply);
std::optional<Link> find(Socket& socket, const LinkRef& link);

// Creation fails with EEXIST when the name is taken.
Request addBridge(const BridgeSpec& spec);
Request addVeth(const VethSpec& spec);
Request set(const LinkRef& link, const LinkChange& change);
// remove() tolerates ENODEV. The kernel waits for an RCU barrier, about 16 ms, without holding RTNL.
Request remove(const LinkRef& link);
// The same, without the wait where a straggler can be had: when it returns, the link and a veth's other end
// are gone with all that was theirs, and their names are free. False when there is no such link.
bool remove(Socket& socket, const LinkRef& link, Straggler& straggler);
// waitUp() waits until the link is operational (kOperUp) and, if it is a bridge port, forwards: from then on
// frames sent at its other end get through. Returns nullopt when the link is not there, or not up at the
// limit. Setting both ends of a veth up is not enough: on either side the kernel's link watcher follows a
// little later, or, from 6.8 on, at once when it is asked for the link (linkwatch_sync_dev), which is what
// this begins with. Needs the link's name.
std::optional<Link> waitUp(Socket& socket, const LinkRef& link, std::chrono::milliseconds limit);
// setUp() sets the link up first, and throws when it is not there.
std::optional<Link> setUp(Socket& socket, const LinkRef& link, std::chrono::milliseconds limit);
// list() is a dump: for GC and people, never on the way of an ADD.
std::vector<Link> list(Socket& socket);

}  // namespace link
}  // namespace fairlead::netns
