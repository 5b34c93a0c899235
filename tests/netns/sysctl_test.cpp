// Kernel parameters. Root.
#include "netns/sysctl.h"

#include <sys/mount.h>

#include <vector>

#include "tests/netns/host.h"

namespace fairlead::netns {
namespace {

using sysctl::Setting;

// A new namespace begins with the settings of the machine's first one, which may forward already.
class SysctlTest : public HostTest {
 protected:
  SysctlTest() { sysctl::set(std::span(&kNoForwarding, 1)); }
  static NetNS notForwarding() {
    NetNS ns = NetNS::create();
    sysctl::set(ns, std::span(&kNoForwarding, 1));
    return ns;
  }

 private:
  static inline const Setting kNoForwarding{.key = "net/ipv4/ip_forward", .value = "0"};
};

TEST_F(SysctlTest, SettingIsMadeInItsNamespaceOnly) {
  const NetNS container = NetNS::create();
  const std::vector<Setting> settings = {{.key = "net/ipv4/ip_forward", .value = "1"},
                                         {.key = "net/ipv4/conf/lo/arp_notify", .value = "1"}};
  sysctl::set(container, settings);
  EXPECT_EQ(shellIn(container, "sysctl -n net.ipv4.ip_forward net.ipv4.conf.lo.arp_notify").text, "1\n1\n");
  EXPECT_EQ(shell("sysctl -n net.ipv4.ip_forward net.ipv4.conf.lo.arp_notify").text, "0\n0\n");
  EXPECT_EQ(sysctl::read(container, "net/ipv4/ip_forward"), "1");
  EXPECT_EQ(sysctl::read("net/ipv4/ip_forward"), "0");
}

TEST_F(SysctlTest, InterfaceNameMayHaveDots) {
  const NetNS container = NetNS::create();
  Socket socket = Socket::open(container);
  socket.send(link::addBridge({.name = "br.7"}));
  const Setting setting{.key = "net/ipv4/conf/br.7/arp_notify", .value = "1"};
  sysctl::set(container, std::span(&setting, 1));
  EXPECT_EQ(sysctl::read(container, setting.key), "1");
}

TEST_F(SysctlTest, MissingParameterIsNothingToReadAndAnErrorToSetUnlessOptional) {
  EXPECT_EQ(sysctl::read("net/ipv4/no_such"), std::nullopt);
  Setting setting{.key = "net/ipv4/no_such", .value = "1"};
  EXPECT_EQ(codeOf([&] { sysctl::set(std::span(&setting, 1)); }), ENOENT);
  setting.optional = true;
  EXPECT_EQ(codeOf([&] { sysctl::set(std::span(&setting, 1)); }), 0);
}

TEST_F(SysctlTest, RefusedValueNamesTheCommand) {
  const NetNS container = NetNS::createNamed("web");
  const Setting setting{.key = "net/ipv4/ip_forward", .value = "maybe"};
  try {
    sysctl::set(container, std::span(&setting, 1));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "ip netns exec web sysctl -w net/ipv4/ip_forward=maybe: invalid argument");
  }
  EXPECT_TRUE(NetNS::removeNamed("web"));
}

TEST_F(SysctlTest, ReadOnlyTreeIsFineWhereNothingHasToChange) {
  ASSERT_EQ(::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), 0);
  Setting setting{.key = "net/ipv4/ip_forward", .value = "0"};
  EXPECT_EQ(codeOf([&] { sysctl::set(std::span(&setting, 1)); }), 0);
  setting.value = "1";
  EXPECT_EQ(codeOf([&] { sysctl::set(std::span(&setting, 1)); }), EROFS);
  ASSERT_EQ(::umount2("/proc/sys", MNT_DETACH), 0);
}

TEST_F(SysctlTest, HostileKeyIsRefusedBeforeAnyOtherIsWritten) {
  const NetNS container = notForwarding();
  const std::vector<Setting> settings = {{.key = "net/ipv4/ip_forward", .value = "1"},
                                         {.key = "../../etc/passwd", .value = "x"}};
  EXPECT_EQ(codeOf([&] { sysctl::set(container, settings); }), EINVAL);
  EXPECT_EQ(sysctl::read(container, "net/ipv4/ip_forward"), "0");
}

}  // namespace
}  // namespace fairlead::netns
