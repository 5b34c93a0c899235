// The socket: batches, errors, dumps, strays. Root.
#include "netns/netlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "netns/libnl.h"
#include "netns/route.h"
#include "tests/netns/host.h"

namespace fairlead::netns {
namespace {

class NetlinkTest : public HostTest {
 protected:
  // many() is what f makes of 0, 1, ..., count - 1.
  template <class F>
  static std::vector<Request> many(int count, const F& f) {
    std::vector<Request> requests;
    requests.reserve(count);
    for (int i = 0; i < count; ++i) requests.push_back(f(i));
    return requests;
  }
  // An address 10.x.y.z/32, numbered.
  static Prefix numbered(int number) {
    const auto byte = [&](int shift) { return static_cast<uint8_t>(number >> shift); };
    return {IP::v4({10, byte(16), byte(8), byte(0)}), 32};
  }
};

TEST_F(NetlinkTest, FirstFailureOfABatchIsKnownByIndexAndTheRestIsDone) {
  std::vector<Request> requests;
  requests.push_back(link::addBridge({.name = "br0"}));
  requests.push_back(link::set({.name = "nosuch"}, {}));
  requests.push_back(link::addBridge({.name = "br0"}));
  requests.push_back(link::addBridge({.name = "br1"}));
  try {
    host().send(requests);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.index(), 1U);
    EXPECT_EQ(error.code(), ENODEV);
    EXPECT_STREQ(error.what(), "ip link set nosuch: no such device");
  }
  EXPECT_TRUE(link::find(host(), {.name = "br1"}));
  host().send(link::remove({.name = "br0"}));
  host().send(link::remove({.name = "br1"}));
}

TEST_F(NetlinkTest, ToleratedErrnoIsAnOutcome) {
  const int index = addBridge("br0");
  std::vector<Request> requests;
  requests.push_back(link::addBridge({.name = "br0"}).tolerate(EEXIST));
  requests.push_back(link::findRequest({.name = "nosuch"}));
  requests.push_back(link::findRequest({.name = "br0"}));
  const std::vector<Reply> replies = host().send(requests);
  ASSERT_EQ(replies.size(), 3U);
  EXPECT_EQ(replies[0].code, EEXIST);
  EXPECT_EQ(replies[1].code, ENODEV);
  EXPECT_EQ(link::parse(replies[1]), std::nullopt);
  EXPECT_EQ(replies[2].code, 0);
  EXPECT_EQ(link::parse(replies[2]).value().index, index);
}

TEST_F(NetlinkTest, ErrorCarriesTheKernelsExplanation) {
  Route route;
  route.dst = Prefix::parse("10.9.0.0/16").value();
  route.gateway = IP::parse("10.8.0.1");
  route.device = addBridge("br0");
  route.deviceName = "br0";
  try {
    host().send(route::add(route));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ENETUNREACH);
    EXPECT_EQ(error.extack(), "Nexthop has invalid gateway");
    EXPECT_STREQ(error.what(),
                 "ip route prepend 10.9.0.0/16 via 10.8.0.1 dev br0: network is unreachable "
                 "(Nexthop has invalid gateway)");
  }
}

TEST_F(NetlinkTest, ErrorSaysInWhichNamespace) {
  const NetNS named = NetNS::createNamed("web");
  Socket socket = Socket::open(named);
  EXPECT_EQ(socket.where(), "ip -n web");
  try {
    socket.send(link::set({.name = "eth0"}, {}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "ip -n web link set eth0: no such device");
  }
  EXPECT_TRUE(NetNS::removeNamed("web"));
}

TEST_F(NetlinkTest, SocketStaysInItsNamespaceAndTheThreadInItsOwn) {
  const NetNS container = NetNS::create();
  const auto home = NetNS::current().identity();
  Socket socket = Socket::open(container);
  EXPECT_EQ(NetNS::current().identity(), home);
  socket.send(link::addBridge({.name = "inside"}));
  EXPECT_TRUE(link::find(socket, {.name = "inside"}));
  EXPECT_FALSE(link::find(host(), {.name = "inside"}));
}

TEST_F(NetlinkTest, FailureIsNumberedOverAllBatches) {
  constexpr int kCount = 100;
  const LinkRef bridge{.name = "br0", .index = addBridge("br0")};
  const auto requests = many(kCount, [&](int i) { return addr::add(bridge, numbered(i == 77 ? 7 : i)); });
  try {
    host().send(requests);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.index(), 77U);
    EXPECT_EQ(error.code(), EEXIST);
    EXPECT_EQ(error.attempted(), "ip addr add 10.0.0.7/32 dev br0");
  }
  EXPECT_EQ(addr::list(host(), bridge, AF_INET).size(), kCount - 1U);
}

TEST_F(NetlinkTest, ThousandsOfFailuresDoNotOverrunTheQueue) {
  constexpr int kCount = 2000;
  const LinkRef bridge{.name = "br0", .index = addBridge("br0")};
  const auto requests = many(kCount, [&](int i) { return addr::remove(bridge, numbered(i)); });
  for (const Reply& reply : host().send(requests)) EXPECT_EQ(reply.code, EADDRNOTAVAIL);
}

TEST_F(NetlinkTest, ThousandsOfLinksAreAskedForAtOnce) {
  constexpr int kCount = 1000;
  addBridge("br0");
  const auto requests = many(kCount, [](int) { return link::findRequest({.name = "br0"}); });
  for (const Reply& reply : host().send(requests)) EXPECT_TRUE(link::parse(reply));
}

TEST_F(NetlinkTest, ThousandsOfRequestsMayBeSentAtOnce) {
  constexpr int kCount = 4000;
  const LinkRef bridge{.name = "br0", .index = addBridge("br0")};
  const auto requests = many(kCount, [&](int i) { return addr::add(bridge, numbered(i)); });
  EXPECT_EQ(host().send(requests).size(), static_cast<size_t>(kCount));
  EXPECT_EQ(addr::list(host(), bridge, AF_INET).size(), static_cast<size_t>(kCount));
}

TEST_F(NetlinkTest, DumpThatAChangeInterruptsIsRepeated) {
  // More than one datagram's worth, so that the kernel is half-way when the first object arrives.
  constexpr int kCount = 2000;
  const LinkRef bridge{.name = "br0", .index = addBridge("br0")};
  const auto requests = many(kCount, [&](int i) { return addr::add(bridge, numbered(i)); });
  host().send(requests);

  Message message(RTM_GETADDR, NLM_F_DUMP);
  message.append(
      ifaddrmsg{.ifa_family = AF_INET, .ifa_prefixlen = 0, .ifa_flags = 0, .ifa_scope = 0, .ifa_index = 0});
  Socket other = Socket::open();
  int found = 0;
  int restarts = 0;
  host().dump(
      message.finish("ip addr show"),
      [&](const nlmsghdr&) {
        if (++found == 1 && restarts == 0) other.send(addr::add(bridge, numbered(kCount)));
      },
      [&] {
        ++restarts;
        found = 0;
      });
  EXPECT_EQ(restarts, 1);
  EXPECT_EQ(found, kCount + 1);
}

TEST_F(NetlinkTest, DumpOfANamespaceThatNeverRestsIsAnError) {
  constexpr int kCount = 2000;
  const LinkRef bridge{.name = "br0", .index = addBridge("br0")};
  const auto requests = many(kCount, [&](int i) { return addr::add(bridge, numbered(i)); });
  host().send(requests);

  Message message(RTM_GETADDR, NLM_F_DUMP);
  message.append(
      ifaddrmsg{.ifa_family = AF_INET, .ifa_prefixlen = 0, .ifa_flags = 0, .ifa_scope = 0, .ifa_index = 0});
  Socket other = Socket::open();
  int restarts = 0;
  bool first = true;
  const auto dump = [&] {
    host().dump(
        message.finish("ip addr show"),
        [&](const nlmsghdr&) {
          if (std::exchange(first, false)) other.send(addr::add(bridge, numbered(kCount + restarts)));
        },
        [&] {
          ++restarts;
          first = true;
        });
  };
  EXPECT_EQ(codeOf(dump), EAGAIN);
  EXPECT_GT(restarts, 3);
  EXPECT_TRUE(link::find(host(), bridge)) << "the socket is of use afterwards";
}

TEST_F(NetlinkTest, MessagesFromOtherProcessesAreIgnored) {
  addBridge("br0");
  sockaddr_nl ours{};
  socklen_t size = sizeof ours;
  ASSERT_EQ(::getsockname(host().fd(), reinterpret_cast<sockaddr*>(&ours), &size), 0);
  ASSERT_NE(ours.nl_pid, 0U);

  // Claims that each of the next requests failed.
  const Socket forger = Socket::open();
  for (uint32_t sequence = 0; sequence < 100; ++sequence) {
    struct {
      nlmsghdr header;
      nlmsgerr error;
    } forged{};
    forged.header.nlmsg_len = sizeof forged;
    forged.header.nlmsg_type = NLMSG_ERROR;
    forged.header.nlmsg_seq = sequence;
    forged.error.error = -EIO;
    ASSERT_EQ(::sendto(forger.fd(), &forged, sizeof forged, 0, reinterpret_cast<sockaddr*>(&ours), size),
              static_cast<ssize_t>(sizeof forged));
  }
  EXPECT_TRUE(link::find(host(), {.name = "br0"}));
}

TEST_F(NetlinkTest, EmptyBatchIsNothing) {
  EXPECT_TRUE(host().send(std::span<const Request>()).empty());
  EXPECT_NO_THROW(host().sendAtomic({}));
}

TEST_F(NetlinkTest, SocketsAreClosedOnExec) {
  host();
  EXPECT_EQ(shell("ls -l /proc/self/fd | grep -c socket").text, "0\n");
}

}  // namespace
}  // namespace fairlead::netns
