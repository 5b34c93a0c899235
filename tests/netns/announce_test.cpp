// Announcements, seen by another container. Root.
#include "netns/announce.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <vector>

#include "netns/route.h"
#include "tests/netns/host.h"

namespace fairlead::netns {
namespace {

constexpr uint8_t kNeighbourAdvertisement = 136;
constexpr uint8_t kOverride = 0x20;

// Witness reads every frame that reaches a namespace.
class Witness {
 public:
  explicit Witness(const NetNS& ns) {
    doInNetNS(ns, [&] {
      fd_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
    });
  }

  // sees() waits for a frame from `mac` of which `matches` is true.
  template <class F>
  bool sees(const Mac& mac, const F& matches) {
    for (pollfd wanted{.fd = fd_.get(), .events = POLLIN, .revents = 0}; ::poll(&wanted, 1, 5000) == 1;) {
      std::array<uint8_t, 2048> frame{};
      const ssize_t size = ::recv(fd_.get(), frame.data(), frame.size(), 0);
      if (size >= ETH_HLEN && std::equal(mac.bytes.begin(), mac.bytes.end(), frame.begin() + ETH_ALEN) &&
          matches(std::span(frame).first(size)))
        return true;
    }
    return false;
  }
  bool seesArp(const Mac& mac, const IP& ip) {
    return sees(mac, [&](std::span<const uint8_t> frame) {
      return frame.size() >= 42 && frame[12] == 0x08 && frame[13] == 0x06 &&
             std::ranges::equal(frame.subspan(28, 4), ip.bytes()) &&
             std::ranges::equal(frame.subspan(38, 4), ip.bytes());
    });
  }
  bool seesAdvertisement(const Mac& mac, const IP& ip) {
    return sees(mac, [&](std::span<const uint8_t> frame) {
      return frame.size() >= 78 && frame[12] == 0x86 && frame[13] == 0xdd &&
             frame[54] == kNeighbourAdvertisement && (frame[58] & kOverride) != 0 &&
             std::ranges::equal(frame.subspan(62, 16), ip.bytes());
    });
  }

 private:
  Fd fd_;
};

class AnnounceTest : public HostTest {};

TEST_F(AnnounceTest, AnotherContainerLearnsOfEveryAddress) {
  const int bridge = addBridge("br0");
  const NetNS other = NetNS::create();
  addContainer(other, "veth1", bridge, Prefix::parse("10.1.0.1/24").value());
  Witness witness(other);

  const NetNS container = NetNS::create();
  const Prefix v4 = Prefix::parse("10.1.0.2/24").value();
  const Prefix v6 = Prefix::parse("fd00::2/64").value();
  const int index = addContainer(container, "veth2", bridge, v4);
  Socket socket = Socket::open(container);
  socket.send(addr::add({.name = "eth0", .index = index}, v6));
  const Mac mac = link::find(socket, {.name = "eth0"}).value().mac;

  EXPECT_TRUE(announce(socket, container, "eth0", mac, std::vector{v4.ip, v6.ip}));
  EXPECT_TRUE(witness.seesArp(mac, v4.ip));
  EXPECT_TRUE(announce(socket, container, "eth0", mac, std::vector{v4.ip, v6.ip}));
  EXPECT_TRUE(witness.seesAdvertisement(mac, v6.ip));
  EXPECT_EQ(link::find(socket, {.name = "eth0"}).value().mac, mac);
}

TEST_F(AnnounceTest, StaleNeighbourEntryIsCorrected) {
  const int bridge = addBridge("br0");
  const NetNS other = NetNS::create();
  addContainer(other, "veth1", bridge, Prefix::parse("10.1.0.1/24").value());
  // 10.1.0.2 was another container's until now.
  ASSERT_EQ(shellIn(other, "ip neigh add 10.1.0.2 lladdr 02:00:00:00:00:99 dev eth0 nud stale").status, 0);

  const NetNS container = NetNS::create();
  const Prefix address = Prefix::parse("10.1.0.2/24").value();
  addContainer(container, "veth2", bridge, address);
  Socket socket = Socket::open(container);
  const Mac mac = link::find(socket, {.name = "eth0"}).value().mac;
  Witness witness(other);
  EXPECT_TRUE(announce(socket, container, "eth0", mac, std::vector{address.ip}));
  ASSERT_TRUE(witness.seesArp(mac, address.ip));
  EXPECT_EQ(lookIn(other, "ip -j neigh show 10.1.0.2").at(0).at("lladdr"), mac.str());
}

TEST_F(AnnounceTest, WithoutACarrierItHasToBeRepeated) {
  const int bridge = addBridge("br0");
  const NetNS container = NetNS::create();
  const Prefix address = Prefix::parse("10.1.0.2/24").value();
  addContainer(container, "veth2", bridge, address);
  Socket socket = Socket::open(container);
  const Mac mac = link::find(socket, {.name = "eth0"}).value().mac;
  ASSERT_EQ(shell("ip link set veth2 down").status, 0);
  EXPECT_FALSE(announce(socket, container, "eth0", mac, std::vector{address.ip}));
  ASSERT_EQ(shell("ip link set veth2 up").status, 0);
  ASSERT_TRUE(link::waitUp(socket, {.name = "eth0"}, std::chrono::seconds(2)));
  EXPECT_TRUE(announce(socket, container, "eth0", mac, std::vector{address.ip}));
}

TEST_F(AnnounceTest, LinkThatIsNotThereIsAnError) {
  const NetNS container = NetNS::create();
  Socket socket = Socket::open(container);
  const std::vector addresses{IP::parse("10.1.0.2").value()};
  EXPECT_EQ(codeOf([&] { announce(socket, container, "eth0", Mac(), addresses); }), ENODEV);
}

}  // namespace
}  // namespace fairlead::netns
