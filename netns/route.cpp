#include "netns/route.h"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "netns/libnl.h"

namespace fairlead::netns {

namespace {

// Bits from which on an IPv4 prefix has no broadcast address of its own (RFC 3021).
constexpr int kPointToPoint = 31;

int familyOf(const IP& ip) { return ip.isV4() ? AF_INET : AF_INET6; }

// dumpAll() collects what `parse` makes of each object of a dump.
template <class T, class Parse>
std::vector<T> dumpAll(Socket& socket, const Request& request, const Parse& parse) {
  std::vector<T> found;
  socket.dump(
      request, [&](const nlmsghdr& message) { parse(message, found); }, [&] { found.clear(); });
  return found;
}

}  // namespace

// ---- addresses ---------------------------------------------------------------------------------

namespace addr {

namespace {

Message start(int type, int flags, const LinkRef& link, const Prefix& prefix) {
  Message message(type, flags);
  ifaddrmsg header{};
  header.ifa_family = familyOf(prefix.ip);
  header.ifa_prefixlen = prefix.length;
  header.ifa_index = link.index;
  message.append(header);
  message.put(IFA_LOCAL, prefix.ip.bytes());
  message.put(IFA_ADDRESS, prefix.ip.bytes());
  return message;
}

void parse(const nlmsghdr& message, int index, std::vector<Address>& found) {
  const auto* header = payload<ifaddrmsg>(message);
  if (message.nlmsg_type != RTM_NEWADDR || header == nullptr) return;
  if (static_cast<int>(header->ifa_index) != index) return;  // a kernel without strict checking lists all
  const Attributes<IFA_MAX> attributes(&message, sizeof *header);
  // With a peer, IFA_ADDRESS is the peer's.
  const auto ip = toIP(attributes.bytes(attributes[IFA_LOCAL] != nullptr ? IFA_LOCAL : IFA_ADDRESS));
  if (!ip) return;
  const uint32_t flags = attributes.u32(IFA_FLAGS).value_or(header->ifa_flags);
  found.push_back({.prefix = {*ip, header->ifa_prefixlen},
                   .tentative = (flags & IFA_F_TENTATIVE) != 0,
                   .dadFailed = (flags & IFA_F_DADFAILED) != 0});
}

}  // namespace

Request add(const LinkRef& link, const Prefix& prefix, bool dad) {
  Message message = start(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link, prefix);
  std::string text = "ip addr add " + prefix.str();
  if (prefix.ip.isV4() && prefix.length < kPointToPoint) {
    message.put(IFA_BROADCAST, prefix.ip.last(prefix.length).bytes());
    text += " brd +";
  }
  text += " dev " + link.name;
  if (!prefix.ip.isV4() && !dad) {
    message.u32(IFA_FLAGS, IFA_F_NODAD);
    text += " nodad";
  }
  return message.finish(std::move(text));
}

Request remove(const LinkRef& link, const Prefix& prefix) {
  return start(RTM_DELADDR, 0, link, prefix)
      .finish("ip addr del " + prefix.str() + " dev " + link.name)
      .tolerate(EADDRNOTAVAIL)
      .tolerate(ENODEV);
}

std::vector<Address> list(Socket& socket, const LinkRef& link, int family) {
  Message message(RTM_GETADDR, NLM_F_DUMP);
  ifaddrmsg header{};
  header.ifa_family = family;
  header.ifa_index = link.index;
  message.append(header);
  const Request request = message.finish("ip addr show dev " + link.name).tolerate(ENODEV);
  return dumpAll<Address>(socket, request,
                          [&](const nlmsghdr& each, auto& found) { parse(each, link.index, found); });
}

}  // namespace addr

// ---- routes ------------------------------------------------------------------------------------

namespace route {

namespace {

std::string scopeText(uint8_t scope) {
  switch (scope) {
    case RT_SCOPE_UNIVERSE:
      return "global";
    case RT_SCOPE_SITE:
      return "site";
    case RT_SCOPE_LINK:
      return "link";
    case RT_SCOPE_HOST:
      return "host";
    case RT_SCOPE_NOWHERE:
      return "nowhere";
    default:
      return std::to_string(scope);
  }
}

std::string textOf(const std::string& verb, const Route& route) {
  std::string text = route.dst.ip.isV4() ? "ip route " : "ip -6 route ";
  text += verb + ' ' + (route.dst.isDefault() ? "default" : route.dst.masked().str());
  if (route.gateway)
    text += (route.gateway->isV4() == route.dst.ip.isV4() ? " via " : " via inet6 ") + route.gateway->str();
  text += " dev " + route.deviceName;
  if (route.priority) text += " metric " + std::to_string(*route.priority);
  if (route.table) text += " table " + std::to_string(*route.table);
  // Without one, ip chooses "link" for an IPv4 route that has no gateway, the kernel does not.
  if (route.scope || (!route.gateway && route.dst.ip.isV4()))
    text += " scope " + scopeText(route.scope.value_or(RT_SCOPE_UNIVERSE));
  if (route.mtu > 0) text += " mtu " + std::to_string(route.mtu);
  if (route.advmss > 0) text += " advmss " + std::to_string(route.advmss);
  if (route.onlink) text += " onlink";
  return text;
}

void putGateway(Message& message, const IP& dst, const IP& gateway) {
  if (dst.isV4() == gateway.isV4()) return message.put(RTA_GATEWAY, gateway.bytes());
  // An IPv4 route by way of an IPv6 neighbour, RFC 5549: struct rtvia is the family and the address.
  std::array<uint8_t, sizeof(uint16_t) + 16> via{};
  const uint16_t family = familyOf(gateway);
  std::memcpy(via.data(), &family, sizeof family);
  std::ranges::copy(gateway.bytes(), via.begin() + sizeof family);
  message.put(RTA_VIA, via.data(), sizeof family + gateway.bytes().size());
}

void putMetrics(Message& message, const Route& route) {
  if (route.mtu <= 0 && route.advmss <= 0) return;
  const auto metrics = message.nest(RTA_METRICS);
  if (route.mtu > 0) message.u32(RTAX_MTU, route.mtu);
  if (route.advmss > 0) message.u32(RTAX_ADVMSS, route.advmss);
}

Message start(int type, int flags, const Route& route) {
  Message message(type, flags);
  const uint32_t table = route.table.value_or(RT_TABLE_MAIN);
  rtmsg header{};
  header.rtm_family = familyOf(route.dst.ip);
  header.rtm_dst_len = route.dst.length;
  header.rtm_table = table < 256 ? table : RT_TABLE_UNSPEC;
  header.rtm_flags = route.onlink ? RTNH_F_ONLINK : 0;
  if (type == RTM_NEWROUTE) {
    header.rtm_protocol = RTPROT_BOOT;  // as `ip route` does
    header.rtm_type = RTN_UNICAST;
    header.rtm_scope = route.scope.value_or(RT_SCOPE_UNIVERSE);
  } else {
    header.rtm_scope = route.scope.value_or(RT_SCOPE_NOWHERE);  // any
  }
  message.append(header);
  if (route.dst.length > 0) message.put(RTA_DST, route.dst.ip.masked(route.dst.length).bytes());
  if (route.gateway) putGateway(message, route.dst.ip, *route.gateway);
  if (route.device != 0) message.u32(RTA_OIF, route.device);
  if (route.priority) message.u32(RTA_PRIORITY, *route.priority);
  if (table >= 256) message.u32(RTA_TABLE, table);
  return message;
}

// readHop() reads what a route and each hop of a multipath route have in common.
void readHop(Route& route, const Attributes<RTA_MAX>& attributes, unsigned flags) {
  route.onlink = (flags & RTNH_F_ONLINK) != 0;
  route.gateway = toIP(attributes.bytes(RTA_GATEWAY));
  const auto via = attributes.bytes(RTA_VIA);
  if (!route.gateway && via.size() > sizeof(uint16_t)) route.gateway = toIP(via.subspan(sizeof(uint16_t)));
}

// hopsOf() makes one route of each hop.
std::vector<Route> hopsOf(const Route& route, std::span<const uint8_t> multipath) {
  std::vector<Route> routes;
  while (multipath.size() >= sizeof(rtnexthop)) {
    rtnexthop hop{};
    std::memcpy(&hop, multipath.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > multipath.size()) break;
    Route each = route;
    each.device = hop.rtnh_ifindex;
    readHop(each, Attributes<RTA_MAX>(multipath.data() + sizeof hop, hop.rtnh_len - sizeof hop),
            hop.rtnh_flags);
    routes.push_back(std::move(each));
    multipath = multipath.subspan(std::min<size_t>(RTNH_ALIGN(hop.rtnh_len), multipath.size()));
  }
  return routes;
}

void parse(const nlmsghdr& message, int family, int device, uint32_t table, std::vector<Route>& found) {
  const auto* header = payload<rtmsg>(message);
  if (message.nlmsg_type != RTM_NEWROUTE || header == nullptr || header->rtm_family != family) return;
  if ((header->rtm_flags & RTM_F_CLONED) != 0) return;
  const Attributes<RTA_MAX> attributes(&message, sizeof *header);
  Route route;
  route.table = attributes.u32(RTA_TABLE).value_or(header->rtm_table);
  if (route.table != table) return;  // a kernel without strict checking lists all
  const IP any = family == AF_INET ? IP() : IP::v6({});
  route.dst = {toIP(attributes.bytes(RTA_DST)).value_or(any), header->rtm_dst_len};
  route.device = static_cast<int>(attributes.u32(RTA_OIF).value_or(0));
  route.priority = attributes.u32(RTA_PRIORITY);
  route.scope = header->rtm_scope;
  const Attributes<RTAX_MAX> metrics(attributes[RTA_METRICS]);
  route.mtu = static_cast<int>(metrics.u32(RTAX_MTU).value_or(0));
  route.advmss = static_cast<int>(metrics.u32(RTAX_ADVMSS).value_or(0));
  readHop(route, attributes, header->rtm_flags);

  auto routes = hopsOf(route, attributes.bytes(RTA_MULTIPATH));
  if (routes.empty()) routes.push_back(std::move(route));
  std::ranges::copy_if(routes, std::back_inserter(found),
                       [&](const Route& each) { return device == 0 || each.device == device; });
}

}  // namespace

Request add(const Route& route) {
  Message message = start(RTM_NEWROUTE, NLM_F_CREATE, route);
  putMetrics(message, route);
  return message.finish(textOf("prepend", route));
}

Request remove(const Route& route) {
  return start(RTM_DELROUTE, 0, route).finish(textOf("del", route)).tolerate(ESRCH);
}

std::vector<Route> list(Socket& socket, int family, int device, uint32_t table) {
  if (table == RT_TABLE_UNSPEC) table = RT_TABLE_MAIN;
  Message message(RTM_GETROUTE, NLM_F_DUMP);
  rtmsg header{};
  header.rtm_family = family;
  message.append(header);
  message.u32(RTA_TABLE, table);
  if (device != 0) message.u32(RTA_OIF, device);
  std::string text = family == AF_INET ? "ip route show table " : "ip -6 route show table ";
  // ENOENT: a table that never had a route; ENODEV: no such link.
  const Request request = message.finish(text + std::to_string(table)).tolerate(ENOENT).tolerate(ENODEV);
  return dumpAll<Route>(
      socket, request, [&](const nlmsghdr& each, auto& found) { parse(each, family, device, table, found); });
}

}  // namespace route

// ---- neighbours --------------------------------------------------------------------------------

namespace neigh {

Request forget(const LinkRef& link, const IP& ip) {
  Message message(RTM_DELNEIGH, 0);
  ndmsg header{};
  header.ndm_family = familyOf(ip);
  header.ndm_ifindex = link.index;
  message.append(header);
  message.put(NDA_DST, ip.bytes());
  return message.finish("ip neigh del " + ip.str() + " dev " + link.name).tolerate(ENOENT).tolerate(ENODEV);
}

}  // namespace neigh

}  // namespace fairlead::netns
