#include "netns/link.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "netns/libnl.h"
#include "netns/straggler.h"
#include "runtime/runtime.h"

namespace fairlead::netns::link {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr size_t kHeaderSize = sizeof(ifinfomsg);

// start() begins a request about an existing link.
Message start(int type, int flags, const LinkRef& link, ifinfomsg header = {}) {
  Message message(type, flags);
  header.ifi_index = link.index;
  message.append(header);
  if (link.index == 0) message.str(IFLA_IFNAME, link.name);
  return message;
}

// putName() names a new link. The kernel takes "eth%d" and "" for leave to choose, and would not tell what it
// chose.
void putName(Message& message, const std::string& name) {
  if (name.empty() || name.find('%') != name.npos) throw Error(EINVAL, "ip link add \"" + name + '"');
  message.str(IFLA_IFNAME, name);
}

void putMac(Message& message, const std::optional<Mac>& mac) {
  if (mac) message.put(IFLA_ADDRESS, mac->bytes);
}

void putQueues(Message& message, int queues) {
  message.u32(IFLA_NUM_TX_QUEUES, queues);
  message.u32(IFLA_NUM_RX_QUEUES, queues);
}

// ---- what an operator would type ---------------------------------------------------------------

std::string macText(const std::optional<Mac>& mac) { return mac ? " address " + mac->str() : std::string(); }

std::string mtuText(int mtu) { return mtu > 0 ? " mtu " + std::to_string(mtu) : std::string(); }

std::string queuesText(int queues) {
  const std::string count = std::to_string(queues);
  return " numtxqueues " + count + " numrxqueues " + count;
}

std::string vethText(const VethSpec& spec) {
  std::string text =
      "ip link add " + spec.name + macText(spec.mac) + mtuText(spec.mtu) + queuesText(spec.queues);
  if (!spec.masterName.empty()) text += " master " + spec.masterName;
  text += std::string(spec.up ? " up" : "") + " type veth peer name " + spec.peerName +
          macText(spec.peerMac) + mtuText(spec.mtu);
  text += queuesText(spec.queues);
  const bool unnamed = spec.peerNSPath.empty() && spec.peerNS != nullptr;
  if (const std::string& path = unnamed ? spec.peerNS->path() : spec.peerNSPath; !path.empty())
    text += " netns " + path;
  return text;
}

std::string changeText(const LinkRef& link, const LinkChange& change) {
  std::string text = "ip link set " + link.name;
  if (change.up) text += *change.up ? " up" : " down";
  if (change.promisc) text += *change.promisc ? " promisc on" : " promisc off";
  if (change.mtu) text += mtuText(*change.mtu);
  text += macText(change.mac);
  if (change.master) text += *change.master != 0 ? " master " + change.masterName : " nomaster";
  if (change.hairpin)
    text += *change.hairpin ? " type bridge_slave hairpin on" : " type bridge_slave hairpin off";
  return text;
}

// ---- what the kernel tells ---------------------------------------------------------------------

void readLinkInfo(Link& link, const nlattr* nest) {
  const Attributes<IFLA_INFO_MAX> info(nest);
  link.kind = info.str(IFLA_INFO_KIND);
  if (info.str(IFLA_INFO_SLAVE_KIND) != "bridge") return;
  const Attributes<IFLA_BRPORT_MAX> port(info[IFLA_INFO_SLAVE_DATA]);
  if (const auto mode = port.get<uint8_t>(IFLA_BRPORT_MODE)) link.hairpin = *mode != 0;
}

Link parseMessage(const nlmsghdr& message) {
  const auto* header = payload<ifinfomsg>(message);
  if (message.nlmsg_type != RTM_NEWLINK || header == nullptr) throw Error(EBADMSG, "ip link show");
  const Attributes<IFLA_MAX> found(&message, kHeaderSize);
  Link link;
  link.index = header->ifi_index;
  link.name = found.str(IFLA_IFNAME);
  link.group = found.u32(IFLA_GROUP).value_or(0);
  if (const auto mac = found.bytes(IFLA_ADDRESS); mac.size() == link.mac.bytes.size())
    std::ranges::copy(mac, link.mac.bytes.begin());
  link.mtu = static_cast<int>(found.u32(IFLA_MTU).value_or(0));
  link.master = static_cast<int>(found.u32(IFLA_MASTER).value_or(0));
  link.peerIndex = static_cast<int>(found.u32(IFLA_LINK).value_or(0));
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.promisc = (header->ifi_flags & IFF_PROMISC) != 0 || found.u32(IFLA_PROMISCUITY).value_or(0) != 0;
  link.operState = found.get<uint8_t>(IFLA_OPERSTATE).value_or(0);
  readLinkInfo(link, found[IFLA_LINKINFO]);
  return link;
}

// flagsOf() asks without the RTNL lock, which the kernel's link watcher needs to bring the link up. nullopt:
// no such link.
std::optional<unsigned> flagsOf(const Socket& socket, const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (::ioctl(socket.fd(), SIOCGIFFLAGS, &request) != 0) return std::nullopt;
  return static_cast<unsigned short>(request.ifr_flags);
}

void pause(std::chrono::nanoseconds time) {
  const timespec wanted{.tv_sec = 0, .tv_nsec = time.count()};
  const runtime::BlockingSection section;
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &wanted, nullptr);
}

}  // namespace

// ---- looking -----------------------------------------------------------------------------------

Request findRequest(const LinkRef& link) {
  Message message = start(RTM_GETLINK, 0, link);
  message.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message.finish("ip link show " + link.name).tolerate(ENODEV);
}

std::optional<Link> parse(const Reply& reply) {
  if (reply.code != 0) return std::nullopt;
  if (reply.object.size() < NLMSG_HDRLEN) throw Error(EBADMSG, "ip link show");
  return parseMessage(*reinterpret_cast<const nlmsghdr*>(reply.object.data()));
}

std::optional<Link> find(Socket& socket, const LinkRef& link) {
  return parse(socket.send(findRequest(link)));
}

std::vector<Link> list(Socket& socket) {
  Message message(RTM_GETLINK, NLM_F_DUMP);
  message.append(ifinfomsg{});
  message.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::vector<Link> links;
  socket.dump(
      message.finish("ip link show"), [&](const nlmsghdr& each) { links.push_back(parseMessage(each)); },
      [&] { links.clear(); });
  return links;
}

// ---- changing ----------------------------------------------------------------------------------

Request addBridge(const BridgeSpec& spec) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg header{};
  if (spec.up) header.ifi_flags = header.ifi_change = IFF_UP;
  message.append(header);
  putName(message, spec.name);
  putMac(message, spec.mac);
  if (spec.mtu > 0) message.u32(IFLA_MTU, spec.mtu);
  if (spec.group != 0) message.u32(IFLA_GROUP, spec.group);
  {
    const auto info = message.nest(IFLA_LINKINFO);
    message.str(IFLA_INFO_KIND, "bridge");
  }
  std::string text = "ip link add " + spec.name + macText(spec.mac) + mtuText(spec.mtu);
  if (spec.group != 0) text += " group " + std::to_string(spec.group);
  if (spec.up) text += " up";
  return message.finish(text + " type bridge");
}

Request addVeth(const VethSpec& spec) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg header{};
  if (spec.up) header.ifi_flags = header.ifi_change = IFF_UP;
  message.append(header);
  putName(message, spec.name);
  putMac(message, spec.mac);
  putQueues(message, spec.queues);
  if (spec.mtu > 0) message.u32(IFLA_MTU, spec.mtu);
  if (spec.master != 0) message.u32(IFLA_MASTER, spec.master);
  {
    const auto info = message.nest(IFLA_LINKINFO);
    message.str(IFLA_INFO_KIND, "veth");
    const auto data = message.nest(IFLA_INFO_DATA);
    const auto peer = message.nest(VETH_INFO_PEER);
    message.append(ifinfomsg{});
    putName(message, spec.peerName);
    putMac(message, spec.peerMac);
    putQueues(message, spec.queues);
    if (spec.mtu > 0) message.u32(IFLA_MTU, spec.mtu);
    if (spec.peerNS != nullptr) message.u32(IFLA_NET_NS_FD, spec.peerNS->fd());
  }
  return message.finish(vethText(spec));
}

Request set(const LinkRef& link, const LinkChange& change) {
  ifinfomsg header{};
  const auto flag = [&](std::optional<bool> on, unsigned bit) {
    if (on) header.ifi_change |= bit;
    if (on.value_or(false)) header.ifi_flags |= bit;
  };
  flag(change.up, IFF_UP);
  flag(change.promisc, IFF_PROMISC);
  Message message = start(RTM_NEWLINK, 0, link, header);
  if (change.mtu) message.u32(IFLA_MTU, *change.mtu);
  putMac(message, change.mac);
  if (change.master) message.u32(IFLA_MASTER, *change.master);
  if (change.hairpin) {
    // Part of RTM_NEWLINK, unlike IFLA_PROTINFO of RTM_SETLINK, it works by name, hence in the batch that
    // adds the link.
    const auto info = message.nest(IFLA_LINKINFO);
    message.str(IFLA_INFO_SLAVE_KIND, "bridge");
    const auto port = message.nest(IFLA_INFO_SLAVE_DATA);
    message.put(IFLA_BRPORT_MODE, static_cast<uint8_t>(*change.hairpin));
  }
  return message.finish(changeText(link, change));
}

Request remove(const LinkRef& link) {
  return start(RTM_DELLINK, 0, link).finish("ip link del " + link.name).tolerate(ENODEV);
}

bool remove(Socket& socket, const LinkRef& link, Straggler& straggler) {
  const std::optional<Link> found = find(socket, link);
  if (!found) return false;
  const LinkRef known{.name = found->name, .index = found->index};
  // A bridge port leaves the bridge with a message of the same type, and of another family.
  const auto unlisted = [&](const nlmsghdr& message) {
    const auto* header = payload<ifinfomsg>(message);
    return message.nlmsg_type == RTM_DELLINK && header != nullptr && header->ifi_index == known.index &&
           header->ifi_family == AF_UNSPEC;
  };
  if (!socket.sendBy(straggler, remove(known), RTNLGRP_LINK, unlisted)) {
    socket.send(remove(known));
    return true;
  }
  // Announced is unlisted, at both ends; their addresses and files in /sys follow before RTNL is free. This
  // request waits for that.
  find(socket, known);
  return true;
}

// ---- waiting -----------------------------------------------------------------------------------

std::optional<Link> waitUp(Socket& socket, const LinkRef& link, std::chrono::milliseconds limit) {
  if (auto found = find(socket, link); !found || found->operState == Link::kOperUp) return found;
  // The link watcher takes between 0.1 ms and, on a busy machine, a second.
  const auto deadline = Clock::now() + limit;
  for (std::chrono::nanoseconds step = 20us;; step = std::min<std::chrono::nanoseconds>(step * 2, 1ms)) {
    const bool last = Clock::now() >= deadline;
    const auto flags = flagsOf(socket, link.name);
    if (!flags) return std::nullopt;
    if ((*flags & IFF_RUNNING) != 0) {
      // This request waits for the lock: when it is answered, the watcher has told the bridge as well.
      auto found = find(socket, link);
      if (!found || found->operState == Link::kOperUp) return found;
    }
    if (last) return std::nullopt;
    pause(step);
  }
}

std::optional<Link> setUp(Socket& socket, const LinkRef& link, std::chrono::milliseconds limit) {
  std::vector<Request> requests;
  requests.push_back(set(link, {.up = true}));
  requests.push_back(findRequest(link));
  auto found = parse(socket.send(requests).back());
  return found && found->operState == Link::kOperUp ? found : waitUp(socket, link, limit);
}

}  // namespace fairlead::netns::link
