#include "tests/bench/floor.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace fairlead::bench {
namespace {

constexpr const char* kHostEnd = "floor";
constexpr char kOperUp = 6;                // IF_OPER_UP of <linux/if.h>, which <net/if.h> does not go with
constexpr uint32_t kGateway = 0x0a580001;  // 10.88.0.1
constexpr uint32_t kAddress = 0x0a58fffe;  // 10.88.255.254

double now() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Request is one rtnetlink message under construction; all of ours are short.
class Request {
 public:
  template <class Header>
  Request(uint16_t type, uint16_t flags, const Header& header) {
    nlmsghdr netlink{};
    netlink.nlmsg_type = type;
    netlink.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(&netlink, sizeof netlink);
    append(&header, sizeof header);
  }
  Request& put(uint16_t type, const void* value, size_t size) {
    const rtattr attribute{static_cast<uint16_t>(RTA_LENGTH(size)), type};
    append(&attribute, sizeof attribute);
    append(value, size);
    return *this;
  }
  Request& put(uint16_t type, const std::string& text) { return put(type, text.c_str(), text.size() + 1); }
  Request& put(uint16_t type, uint32_t value) { return put(type, &value, sizeof value); }
  // nest() wraps what `fill` puts; a header may come first, as in VETH_INFO_PEER.
  template <class Fill>
  Request& nest(uint16_t type, const Fill& fill) {
    const size_t start = size_;
    put(type, nullptr, 0);
    fill(*this);
    const auto length = static_cast<uint16_t>(size_ - start);
    std::memcpy(&bytes_[start], &length, sizeof length);
    return *this;
  }
  void append(const void* value, size_t size) {
    if (size_ + NLMSG_ALIGN(size) > bytes_.size()) throw std::length_error("netlink request");
    if (size > 0) std::memcpy(&bytes_[size_], value, size);
    size_ += NLMSG_ALIGN(size);
  }
  std::span<const char> finish() {
    const auto length = static_cast<uint32_t>(size_);
    std::memcpy(bytes_.data(), &length, sizeof length);
    return {bytes_.data(), size_};
  }

 private:
  std::array<char, 512> bytes_{};
  size_t size_ = 0;
};

// Netlink is a socket in the namespace of the thread that makes it.
class Netlink {
 public:
  explicit Netlink(uint32_t groups = 0) : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    if (fd_ < 0 || ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      fail("netlink socket");
  }
  ~Netlink() { ::close(fd_); }
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  // send() sends several requests at once, waits for all their answers and hands `use` what comes besides;
  // throws the first error.
  void send(std::initializer_list<Request*> requests) {
    send(requests, [](const nlmsghdr&) {});
  }
  template <class Use>
  void send(std::initializer_list<Request*> requests, const Use& use) {
    std::vector<char> all;
    for (Request* request : requests) {
      const std::span<const char> message = request->finish();
      all.insert(all.end(), message.begin(), message.end());
    }
    if (::send(fd_, all.data(), all.size(), 0) < 0) fail("netlink send");
    size_t answers = 0;
    int error = 0;
    while (answers < requests.size()) {
      receive([&](const nlmsghdr& header) {
        if (header.nlmsg_type != NLMSG_ERROR) return use(header);
        ++answers;
        nlmsgerr answer;
        std::memcpy(&answer, NLMSG_DATA(&header), sizeof answer);
        if (answer.error != 0) error = -answer.error;
      });
    }
    if (error != 0) throw std::system_error(error, std::generic_category(), "netlink");
  }
  // awaitUnlisting() returns once the kernel has announced that the link is gone.
  void awaitUnlisting(unsigned index) {
    for (bool gone = false; !gone;) {
      receive([&](const nlmsghdr& header) {
        ifinfomsg link;
        std::memcpy(&link, NLMSG_DATA(&header), sizeof link);
        gone |= header.nlmsg_type == RTM_DELLINK && link.ifi_family == AF_UNSPEC &&
                link.ifi_index == static_cast<int>(index);
      });
    }
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
  }
  template <class Use>
  void receive(const Use& use) {
    alignas(nlmsghdr) std::array<char, 32768> buffer;
    ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0) fail("netlink receive");
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, got);
         header = NLMSG_NEXT(header, got)) {
      use(*header);
    }
  }
  int fd_;
};

ifinfomsg linkUp(unsigned index = 0) {
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  return link;
}

void addBridge(Netlink& netlink, const std::string& name) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, linkUp());
  request.put(IFLA_IFNAME, name).nest(IFLA_LINKINFO, [](Request& info) {
    info.put(IFLA_INFO_KIND, "bridge");
  });
  netlink.send({&request});
}

// One queue per end: the default, one per CPU, is cut back to one later, at the cost of RCU grace periods.
Request& oneQueue(Request& request) {
  return request.put(IFLA_NUM_TX_QUEUES, 1U).put(IFLA_NUM_RX_QUEUES, 1U);
}

void addPair(Netlink& netlink, unsigned bridge, int container) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, linkUp());
  oneQueue(request).put(IFLA_IFNAME, kHostEnd).put(IFLA_MASTER, bridge);
  request.nest(IFLA_LINKINFO, [&](Request& info) {
    info.put(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&](Request& data) {
      data.nest(VETH_INFO_PEER, [&](Request& peer) {
        const ifinfomsg header{};
        peer.append(&header, sizeof header);
        oneQueue(peer).put(IFLA_IFNAME, "eth0").put(IFLA_NET_NS_FD, static_cast<uint32_t>(container));
      });
    });
  });
  netlink.send({&request});
}

// configureInside() runs in the container's namespace.
void configureInside() {
  Netlink netlink;
  const unsigned index = ::if_nametoindex("eth0");
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = 16;
  address.ifa_index = index;
  rtmsg route{};
  route.rtm_family = AF_INET;
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_type = RTN_UNICAST;
  Request up(RTM_NEWLINK, 0, linkUp(index));
  Request add(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
  const uint32_t own = htonl(kAddress);
  add.put(IFA_LOCAL, own).put(IFA_ADDRESS, own);
  Request via(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
  via.put(RTA_GATEWAY, htonl(kGateway)).put(RTA_OIF, index);
  netlink.send({&up, &add, &via});
}

// Link is what an attachment is waited and announced by.
struct Link {
  bool up = false;  // RFC 2863: a bridge forwards for it
  std::array<char, 6> mac{};
};

Link find(Netlink& netlink, const std::string& name) {
  Request request(RTM_GETLINK, 0, ifinfomsg{});
  request.put(IFLA_IFNAME, name);
  Link link;
  netlink.send({&request}, [&](const nlmsghdr& header) {
    auto size = static_cast<int>(IFLA_PAYLOAD(&header));
    for (const auto* at = IFLA_RTA(NLMSG_DATA(&header)); RTA_OK(at, size); at = RTA_NEXT(at, size)) {
      if (at->rta_type == IFLA_OPERSTATE) link.up = *static_cast<const char*>(RTA_DATA(at)) == kOperUp;
      if (at->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(at) == link.mac.size())
        std::memcpy(link.mac.data(), RTA_DATA(at), link.mac.size());
    }
  });
  return link;
}

// awaitCarrier() asks until the carrier has been seen: since Linux 6.8 asking brings the link watcher
// forward.
Link awaitCarrier(Netlink& netlink, const std::string& name) {
  constexpr int kTries = 10000;
  for (int i = 0; i < kTries; ++i) {
    if (const Link link = find(netlink, name); link.up) return link;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  throw std::runtime_error(name + " has got no carrier");
}

// announceInside() runs in the container's namespace. To who sets a link's MAC address, be it to what it is,
// the kernel does an unsolicited ARP request for nothing.
void announceInside() {
  Netlink netlink;
  const Link link = awaitCarrier(netlink, "eth0");
  Request notify(RTM_NEWLINK, 0, ifinfomsg{});
  notify.put(IFLA_IFNAME, "eth0").nest(IFLA_AF_SPEC, [](Request& families) {
    families.nest(AF_INET, [](Request& family) {
      family.nest(IFLA_INET_CONF, [](Request& parameters) { parameters.put(IPV4_DEVCONF_ARP_NOTIFY, 1U); });
    });
  });
  Request announce(RTM_NEWLINK, 0, ifinfomsg{});
  announce.put(IFLA_IFNAME, "eth0").put(IFLA_ADDRESS, link.mac.data(), link.mac.size());
  netlink.send({&notify, &announce});
}

void deleteLink(Netlink& netlink, unsigned index) {
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  Request request(RTM_DELLINK, 0, link);
  netlink.send({&request});
}

// deleteByChild() leaves the waiting for the kernel's barrier to a child, and returns when the link is
// unlisted.
pid_t deleteByChild(Netlink& announcements, unsigned index) {
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    Netlink netlink;
    deleteLink(netlink, index);
    ::_exit(0);
  }
  announcements.awaitUnlisting(index);
  return child;
}

void attach(const NetworkNamespace& container, Netlink& netlink, unsigned bridge, Floor& floor) {
  const double began = now();
  addPair(netlink, bridge, container.fd());
  const double paired = now();
  container.within(configureInside);
  const double done = now();
  floor.pair.add(paired - began);
  floor.inside.add(done - paired);
  floor.add.add(done - began);
  awaitCarrier(netlink, kHostEnd);
  container.within(announceInside);
  floor.reach.add(now() - done);
}

void detach(Netlink& netlink, Floor& floor, bool byChild) {
  const unsigned index = ::if_nametoindex(kHostEnd);
  if (byChild) {
    Netlink announcements(RTMGRP_LINK);
    const double began = now();
    const pid_t child = deleteByChild(announcements, index);
    floor.unlisted.add(now() - began);
    ::waitpid(child, nullptr, 0);
  } else {
    const double began = now();
    deleteLink(netlink, index);
    floor.del.add(now() - began);
  }
}

}  // namespace

FloorProbe::FloorProbe(const NetworkNamespace& host, std::string bridge)
    : host_(host), bridge_(std::move(bridge)) {
  if (host_.hasLink(bridge_)) return;
  host_.within([&] {
    Netlink netlink;
    addBridge(netlink, bridge_);
  });
}

void FloorProbe::measure(const NetworkNamespace& container, Floor& floor) const {
  host_.within([&] {
    Netlink netlink;
    for (const bool byChild : {true, false}) {
      attach(container, netlink, ::if_nametoindex(bridge_.c_str()), floor);
      detach(netlink, floor, byChild);
    }
  });
}

}  // namespace fairlead::bench
