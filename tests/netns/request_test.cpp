// Requests and answers as bytes and as text: no kernel, no privileges.
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <string>
#include <utility>
#include <vector>

#include "netns/libnl.h"
#include "netns/link.h"
#include "netns/nft.h"
#include "netns/route.h"
#include "netns/sysctl.h"

namespace fairlead::netns {
namespace {

Mac mac(std::string_view text) { return Mac::parse(text).value(); }
Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }
IP ip(std::string_view text) { return IP::parse(text).value(); }

template <class F>
std::string messageOf(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

VethSpec fullVeth() {
  VethSpec spec;
  spec.name = "veth0123";
  spec.mac = mac("02:00:00:00:00:01");
  spec.master = 7;
  spec.masterName = "cni0";
  spec.mtu = 1400;
  spec.queues = 2;
  spec.peerName = "eth0";
  spec.peerMac = mac("02:00:00:00:00:02");
  spec.peerNSPath = "/run/netns/web";
  return spec;
}

// ---- errors ------------------------------------------------------------------------------------

TEST(ErrorText, IsGosLowerCaseForm) {
  EXPECT_EQ(errnoText(EEXIST), "file exists");
  EXPECT_EQ(errnoText(ENOENT), "no such file or directory");
  EXPECT_EQ(errnoText(ENODEV), "no such device");
  EXPECT_EQ(errnoText(EPERM), "operation not permitted");
  EXPECT_EQ(errnoText(EBUSY), "device or resource busy");
  EXPECT_EQ(errnoText(ENETUNREACH), "network is unreachable");
  EXPECT_EQ(errnoText(EADDRNOTAVAIL), "cannot assign requested address");
  EXPECT_EQ(errnoText(ENOTSUP), "operation not supported");
  EXPECT_EQ(errnoText(EDOTDOT), "RFS specific error");
  EXPECT_EQ(errnoText(524), "errno 524");  // ENOTSUPP, which the kernel lets slip sometimes
}

TEST(ErrorText, TellsCommandCauseAndExplanation) {
  const Error plain(EBUSY, "ip link set eth0 up");
  EXPECT_STREQ(plain.what(), "ip link set eth0 up: device or resource busy");
  const Error explained(EINVAL, "ip link add x type veth", "wrong name", 3);
  EXPECT_STREQ(explained.what(), "ip link add x type veth: invalid argument (wrong name)");
  EXPECT_EQ(explained.code(), EINVAL);
  EXPECT_EQ(explained.attempted(), "ip link add x type veth");
  EXPECT_EQ(explained.extack(), "wrong name");
  EXPECT_EQ(explained.index(), 3U);
}

TEST(CommandIn, SaysHowToRunItThere) {
  EXPECT_EQ(commandIn("", "ip link set eth0 up"), "ip link set eth0 up");
  EXPECT_EQ(commandIn("/run/netns/web", "ip link set eth0 up"), "ip -n web link set eth0 up");
  EXPECT_EQ(commandIn("/var/run/netns/web", "bridge vlan"), "bridge -n web vlan");
  EXPECT_EQ(commandIn("/run/netns/web", "ip"), "ip -n web");
  EXPECT_EQ(commandIn("/run/netns/web", "iptables -L"), "ip netns exec web iptables -L");
  EXPECT_EQ(commandIn("/run/netns/web", "sysctl -w a=1"), "ip netns exec web sysctl -w a=1");
  EXPECT_EQ(commandIn("/proc/42/ns/net", "ip link"), "nsenter --net=/proc/42/ns/net ip link");
  EXPECT_EQ(commandIn("/run/netns/a/b", "ip link"), "nsenter --net=/run/netns/a/b ip link");
}

TEST(Resolve, TakesPathsPidsAndNames) {
  EXPECT_EQ(NetNS::resolve("/proc/7/ns/net"), "/proc/7/ns/net");
  EXPECT_EQ(NetNS::resolve("./ns"), "./ns");
  EXPECT_EQ(NetNS::resolve("42"), "/proc/42/ns/net");
  EXPECT_EQ(NetNS::resolve("web"), "/run/netns/web");
  EXPECT_EQ(NetNS::resolve("42web"), "/run/netns/42web");
}

// ---- bytes -------------------------------------------------------------------------------------

TEST(RequestBytes, VethHasBothEndsInOneMessage) {
  const Request request = link::addVeth(fullVeth());
  const nlmsghdr& message = *request.header();
  EXPECT_EQ(message.nlmsg_type, RTM_NEWLINK);
  EXPECT_EQ(message.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
  const auto* header = payload<ifinfomsg>(message);
  ASSERT_NE(header, nullptr);
  EXPECT_EQ(header->ifi_flags & header->ifi_change, static_cast<unsigned>(IFF_UP));

  const Attributes<IFLA_MAX> host(&message, sizeof(ifinfomsg));
  EXPECT_EQ(host.str(IFLA_IFNAME), "veth0123");
  EXPECT_EQ(host.u32(IFLA_MASTER), 7U);
  EXPECT_EQ(host.u32(IFLA_MTU), 1400U);
  EXPECT_EQ(host.u32(IFLA_NUM_TX_QUEUES), 2U);
  EXPECT_EQ(host.u32(IFLA_NUM_RX_QUEUES), 2U);
  const Attributes<IFLA_INFO_MAX> info(host[IFLA_LINKINFO]);
  EXPECT_EQ(info.str(IFLA_INFO_KIND), "veth");

  const Attributes<VETH_INFO_MAX> data(info[IFLA_INFO_DATA]);
  const auto nest = data.bytes(VETH_INFO_PEER);
  ASSERT_GT(nest.size(), sizeof(ifinfomsg));
  const Attributes<IFLA_MAX> peer(nest.data() + sizeof(ifinfomsg), nest.size() - sizeof(ifinfomsg));
  EXPECT_EQ(peer.str(IFLA_IFNAME), "eth0");
  EXPECT_EQ(peer.u32(IFLA_MTU), 1400U);
  EXPECT_EQ(peer.u32(IFLA_NUM_TX_QUEUES), 2U);
  EXPECT_EQ(peer[IFLA_MASTER], nullptr);
  EXPECT_TRUE(std::ranges::equal(peer.bytes(IFLA_ADDRESS), mac("02:00:00:00:00:02").bytes));
}

TEST(RequestBytes, ChangeTouchesOnlyWhatIsSet) {
  const Request request = link::set({.name = "eth0"}, {.up = false, .promisc = true});
  const auto* header = payload<ifinfomsg>(*request.header());
  EXPECT_EQ(header->ifi_change, static_cast<unsigned>(IFF_UP | IFF_PROMISC));
  EXPECT_EQ(header->ifi_flags, static_cast<unsigned>(IFF_PROMISC));
  const Attributes<IFLA_MAX> found(request.header(), sizeof(ifinfomsg));
  for (const int absent : {IFLA_MTU, IFLA_ADDRESS, IFLA_MASTER, IFLA_LINKINFO})
    EXPECT_EQ(found[absent], nullptr) << absent;
}

TEST(RequestBytes, LinkIsNamedByIndexWhereThatIsKnown) {
  const Request byIndex = link::findRequest({.name = "eth0", .index = 9});
  EXPECT_EQ(payload<ifinfomsg>(*byIndex.header())->ifi_index, 9);
  EXPECT_EQ(Attributes<IFLA_MAX>(byIndex.header(), sizeof(ifinfomsg))[IFLA_IFNAME], nullptr);
  const Request byName = link::findRequest({.name = "eth0"});
  EXPECT_EQ(payload<ifinfomsg>(*byName.header())->ifi_index, 0);
  EXPECT_EQ(Attributes<IFLA_MAX>(byName.header(), sizeof(ifinfomsg)).str(IFLA_IFNAME), "eth0");
}

TEST(RequestBytes, BroadcastIsForIPv4PrefixesThatHaveOne) {
  const auto broadcast = [](const char* text) {
    const Request request = addr::add({.name = "eth0", .index = 2}, prefix(text));
    return toIP(Attributes<IFA_MAX>(request.header(), sizeof(ifaddrmsg)).bytes(IFA_BROADCAST));
  };
  EXPECT_EQ(broadcast("10.1.2.3/24"), ip("10.1.2.255"));
  EXPECT_EQ(broadcast("10.1.2.1/30"), ip("10.1.2.3"));
  EXPECT_EQ(broadcast("10.1.2.0/31"), std::nullopt);
  EXPECT_EQ(broadcast("10.1.2.3/32"), std::nullopt);
  EXPECT_EQ(broadcast("fd00::1/64"), std::nullopt);
}

TEST(RequestBytes, BigTableNumberGetsAnAttribute) {
  Route route;
  route.dst = prefix("10.0.0.0/8");
  route.table = 70000;
  const Request request = route::add(route);
  EXPECT_EQ(payload<rtmsg>(*request.header())->rtm_table, RT_TABLE_UNSPEC);
  EXPECT_EQ(Attributes<RTA_MAX>(request.header(), sizeof(rtmsg)).u32(RTA_TABLE), 70000U);
}

// ---- hostile input -----------------------------------------------------------------------------

TEST(HostileNames, NameWithNulIsRefusedRatherThanCut) {
  const std::string name("eth0\0x", 6);
  EXPECT_THROW(link::findRequest({.name = name}), Error);
  EXPECT_THROW(link::addBridge({.name = name}), Error);
}

TEST(HostileNames, NameTooLongForTheMessageIsRefused) {
  EXPECT_NE(messageOf([] { link::findRequest({.name = std::string(100000, 'a')}); }).find("message too long"),
            std::string::npos);
}

class NotAnNftName : public testing::TestWithParam<std::string> {};

TEST_P(NotAnNftName, IsRefused) {
  nft::Transaction transaction({.family = nft::Family::Inet, .name = "t"});
  EXPECT_THROW(transaction.addChain(GetParam()), Error);
  EXPECT_THROW(transaction.addVerdictMap(GetParam(), true), Error);
  EXPECT_THROW(transaction.addRule({.chain = "c", .expressions = {nft::Jump{GetParam()}}, .comment = {}}),
               Error);
  EXPECT_THROW(nft::Transaction({.family = nft::Family::Inet, .name = GetParam()}).addTable(), Error);
}

INSTANTIATE_TEST_SUITE_P(Texts, NotAnNftName,
                         testing::Values("", "9chain", "a b", "a;b", "a{", "a\"b", "a\nb", "-a",
                                         std::string("a\0b", 3), std::string(300, 'a')));

TEST(HostileNames, NftCommentThatNftCannotShowIsRefused) {
  const auto add = [](const std::string& comment) {
    nft::Transaction({.family = nft::Family::Inet, .name = "t"})
        .addRule({.chain = "c", .expressions = {}, .comment = comment});
  };
  EXPECT_NO_THROW(add(std::string(128, 'c')));
  for (const std::string& bad :
       {std::string(129, 'c'), std::string("a\"b"), std::string("a\nb"), std::string("a\0b", 3)})
    EXPECT_THROW(add(bad), Error) << bad;
}

// A link as the kernel would describe it.
std::vector<char> linkAnswer() {
  Message message(RTM_NEWLINK, 0);
  ifinfomsg header{};
  header.ifi_index = 5;
  header.ifi_flags = IFF_UP;
  message.append(header);
  message.str(IFLA_IFNAME, "veth7");
  message.u32(IFLA_MTU, 1500);
  message.put(IFLA_ADDRESS, mac("02:00:00:00:00:09").bytes);
  {
    const auto info = message.nest(IFLA_LINKINFO);
    message.str(IFLA_INFO_KIND, "veth");
    message.str(IFLA_INFO_SLAVE_KIND, "bridge");
    const auto port = message.nest(IFLA_INFO_SLAVE_DATA);
    message.put(IFLA_BRPORT_MODE, uint8_t{1});
  }
  const Request request = message.finish({});
  const auto* start = reinterpret_cast<const char*>(request.header());
  return {start, start + request.header()->nlmsg_len};
}

TEST(HostileAnswer, WholeLinkIsRead) {
  const auto link = link::parse({.code = 0, .object = linkAnswer()});
  ASSERT_TRUE(link);
  EXPECT_EQ(link->index, 5);
  EXPECT_EQ(link->name, "veth7");
  EXPECT_EQ(link->kind, "veth");
  EXPECT_EQ(link->mtu, 1500);
  EXPECT_EQ(link->mac, mac("02:00:00:00:00:09"));
  EXPECT_TRUE(link->up);
  EXPECT_EQ(link->hairpin, true);
}

TEST(HostileAnswer, CutAnywhereItIsAnErrorOrLess) {
  const std::vector<char> whole = linkAnswer();
  for (size_t size = 0; size < whole.size(); ++size) {
    std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    if (size >= sizeof(uint32_t)) {
      const auto length = static_cast<uint32_t>(size);
      std::memcpy(cut.data(), &length, sizeof length);
    }
    try {
      const auto link = link::parse({.code = 0, .object = std::move(cut)});
      EXPECT_TRUE(link && link->index == 5) << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), EBADMSG) << size;
    }
  }
}

TEST(HostileAnswer, AttributeOfWrongSizeCountsAsAbsent) {
  Message message(RTM_NEWLINK, 0);
  message.append(ifinfomsg{});
  message.put(IFLA_MTU, uint16_t{1500});
  message.put(IFLA_ADDRESS, uint32_t{1});
  message.put(IFLA_IFNAME, "abc", 3);  // no NUL
  const Request request = message.finish({});
  const auto* start = reinterpret_cast<const char*>(request.header());
  const auto link = link::parse({.code = 0, .object = {start, start + request.header()->nlmsg_len}});
  ASSERT_TRUE(link);
  EXPECT_EQ(link->mtu, 0);
  EXPECT_TRUE(link->mac.isZero());
  EXPECT_EQ(link->name, "abc");
}

TEST(HostileAnswer, MissingLinkIsNotAnError) {
  EXPECT_EQ(link::parse({.code = ENODEV, .object = {}}), std::nullopt);
  EXPECT_THROW(link::parse({.code = 0, .object = {}}), Error);
}

// ---- text --------------------------------------------------------------------------------------

TEST(RequestText, IsTheCommand) {
  EXPECT_EQ(link::addBridge({.name = "cni0", .mtu = 1400, .mac = mac("02:00:00:00:00:03")}).text(),
            "ip link add cni0 address 02:00:00:00:00:03 mtu 1400 type bridge");
  EXPECT_EQ(
      link::addVeth(fullVeth()).text(),
      "ip link add veth0123 address 02:00:00:00:00:01 mtu 1400 numtxqueues 2 numrxqueues 2 master cni0 up "
      "type veth "
      "peer name eth0 address 02:00:00:00:00:02 mtu 1400 numtxqueues 2 numrxqueues 2 netns /run/netns/web");
  EXPECT_EQ(link::addVeth({.name = "veth0", .up = false, .peerName = "eth0"}).text(),
            "ip link add veth0 numtxqueues 1 numrxqueues 1 type veth peer name eth0 numtxqueues 1 "
            "numrxqueues 1");
  EXPECT_EQ(link::remove({.name = "veth0", .index = 4}).text(), "ip link del veth0");
  EXPECT_EQ(addr::add({.name = "eth0", .index = 2}, prefix("10.1.2.3/24")).text(),
            "ip addr add 10.1.2.3/24 brd + dev eth0");
  EXPECT_EQ(addr::add({.name = "eth0", .index = 2}, prefix("fd00::1/64")).text(),
            "ip addr add fd00::1/64 dev eth0 nodad");
  EXPECT_EQ(addr::add({.name = "eth0", .index = 2}, prefix("fd00::1/64"), true).text(),
            "ip addr add fd00::1/64 dev eth0");
  EXPECT_EQ(neigh::forget({.name = "cni0", .index = 2}, ip("10.1.2.3")).text(),
            "ip neigh del 10.1.2.3 dev cni0");
  EXPECT_EQ(sysctl::text({.key = "net/ipv4/ip_forward", .value = "1"}), "sysctl -w net/ipv4/ip_forward=1");
}

TEST(RequestText, RouteNamesEverythingThatIsSet) {
  Route route;
  route.dst = prefix("0.0.0.0/0");
  route.gateway = ip("10.1.2.1");
  route.deviceName = "eth0";
  EXPECT_EQ(route::add(route).text(), "ip route prepend default via 10.1.2.1 dev eth0");
  route.dst = prefix("fd00:1::7/48");
  route.gateway = ip("fd00::1");
  route.priority = 5;
  route.table = 100;
  route.scope = 253;
  route.mtu = 1400;
  route.advmss = 1360;
  route.onlink = true;
  EXPECT_EQ(route::add(route).text(),
            "ip -6 route prepend fd00:1::/48 via fd00::1 dev eth0 metric 5 table 100 scope link mtu 1400 "
            "advmss 1360 onlink");
}

TEST(RequestText, OnlyTheTolerableIsTolerated) {
  EXPECT_TRUE(link::remove({.name = "x"}).tolerates(ENODEV));
  EXPECT_FALSE(link::remove({.name = "x"}).tolerates(EPERM));
  EXPECT_FALSE(link::addBridge({.name = "x"}).tolerates(EEXIST));
  EXPECT_TRUE(addr::remove({.name = "x", .index = 1}, prefix("10.0.0.1/8")).tolerates(EADDRNOTAVAIL));
  EXPECT_FALSE(addr::add({.name = "x", .index = 1}, prefix("10.0.0.1/8")).tolerates(EEXIST));
}

TEST(NftText, IsOneCommandPerLine) {
  using nft::Match;
  nft::Transaction transaction({.family = nft::Family::Inet, .name = "t"});
  transaction.addTable(true, "mine")
      .addChain("post", nft::Hook{"nat", "postrouting", -100})
      .addRule({"post", {Match{Match::Field::Source, true, prefix("10.1.2.3/24")}, nft::Masquerade{}}, "a b"})
      .addElement("m", ip("fd00::5"), {"c"})
      .deleteRule("post", 17);
  const std::vector<std::string> expected = {
      "create table inet t { comment \"mine\"; }",
      "add chain inet t post { type nat hook postrouting priority -100; }",
      "add rule inet t post ip saddr != 10.1.2.0/24 masquerade comment \"a b\"",
      "add element inet t m { fd00::5 : goto c }", "delete rule inet t post handle 17"};
  EXPECT_EQ(transaction.text(), expected);
}

TEST(NftText, RuleOfTheOtherFamilyThanItsTableIsRefused) {
  nft::Transaction transaction({.family = nft::Family::IPv4, .name = "t"});
  EXPECT_THROW(transaction.addRule({"c", {nft::Vmap{nft::Match::Field::Source, false, "m"}}, {}}), Error);
  EXPECT_NO_THROW(transaction.addRule({"c", {nft::Vmap{nft::Match::Field::Source, true, "m"}}, {}}));
}

TEST(SysctlKey, ThatLeavesTheTreeIsRefused) {
  for (const std::string& key :
       {std::string(), std::string("/net/ipv4/ip_forward"), std::string("net/../kernel/x"),
        std::string("net//ipv4"), std::string("./net"), std::string("net/ipv4/"), std::string(".."),
        std::string("net/ipv4\0/x", 11)})
    EXPECT_THROW(sysctl::read(key), Error) << key;
}

TEST(SysctlKey, MayHaveDotsInsideAComponent) {
  EXPECT_EQ(sysctl::read("net/ipv4/conf/eth0.100/no_such"), std::nullopt);
}

}  // namespace
}  // namespace fairlead::netns
