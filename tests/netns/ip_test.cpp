// Addresses as values: no kernel, no privileges.
#include "netns/ip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace fairlead::netns {
namespace {

using namespace std::string_literals;

IP ip(std::string_view text) { return IP::parse(text).value(); }
Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }

struct Spelling {
  std::string given, canonical;
};

class IPSpelling : public testing::TestWithParam<Spelling> {};

TEST_P(IPSpelling, IsPrintedInCanonicalForm) { EXPECT_EQ(ip(GetParam().given).str(), GetParam().canonical); }

INSTANTIATE_TEST_SUITE_P(
    Texts, IPSpelling,
    testing::Values(
        Spelling{"0.0.0.0", "0.0.0.0"}, Spelling{"255.255.255.255", "255.255.255.255"},
        Spelling{"10.1.2.3", "10.1.2.3"}, Spelling{"::", "::"}, Spelling{"::1", "::1"},
        Spelling{"1::", "1::"}, Spelling{"fe80::1", "fe80::1"},
        // RFC 5952: 4.1 leading zeros, 4.2.1 shorten fully, 4.2.2 not a single group, 4.2.3 the longest run,
        // else the first, 4.3 lower case.
        Spelling{"2001:0db8::0001", "2001:db8::1"}, Spelling{"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        Spelling{"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        Spelling{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        Spelling{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, Spelling{"2001:DB8::AAAA", "2001:db8::aaaa"},
        Spelling{"0:0:1:0:0:0:0:0", "0:0:1::"}, Spelling{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        // Mapped addresses are IPv4, others with a dotted tail are not.
        Spelling{"::ffff:10.1.2.3", "10.1.2.3"}, Spelling{"::ffff:a01:203", "10.1.2.3"},
        Spelling{"::1.2.3.4", "::102:304"}, Spelling{"2001:db8::192.0.2.1", "2001:db8::c000:201"}));

class NotAnIP : public testing::TestWithParam<std::string> {};

TEST_P(NotAnIP, IsRefused) { EXPECT_FALSE(IP::parse(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Texts, NotAnIP,
                         testing::Values("", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.04", "256.1.1.1",
                                         "1.2.3.-4", "1.2..4", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\0"s,
                                         "1.2.3.4\0.5"s, "0x1.2.3.4", "10.1.2.3/8", ":",
                                         ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
                                         "1:2:3:4:5:6:7:8::", "1::2::3", "12345::", "g::", ":1:2:3:4:5:6:7",
                                         "1:2:3:4:5:6:7:", "::1%eth0", "fe80::1%1", "::1.2.3",
                                         "1.2.3.4::", std::string(1000, '1'), std::string(1000, ':')));

TEST(IP, MappedAddressIsIPv4HoweverItIsMade) {
  const IP mapped = IP::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3});
  EXPECT_TRUE(mapped.isV4());
  EXPECT_EQ(mapped, ip("10.1.2.3"));
  EXPECT_EQ(mapped.bytes().size(), 4U);
}

TEST(IP, DefaultIsUnspecifiedIPv4) {
  EXPECT_EQ(IP(), ip("0.0.0.0"));
  EXPECT_TRUE(IP().isUnspecified());
  EXPECT_NE(IP(), ip("::"));
}

TEST(IP, SortsByFamilyThenNumerically) {
  const std::vector<IP> sorted = {ip("0.0.0.0"), ip("9.255.0.0"), ip("10.0.0.1"),
                                  ip("::"),      ip("::1"),       ip("ff02::1")};
  EXPECT_TRUE(std::ranges::is_sorted(sorted));
}

TEST(IP, StepsCarryAndWrap) {
  EXPECT_EQ(ip("10.0.0.255").next(), ip("10.0.1.0"));
  EXPECT_EQ(ip("10.0.1.0").prev(), ip("10.0.0.255"));
  EXPECT_EQ(ip("255.255.255.255").next(), ip("0.0.0.0"));
  EXPECT_EQ(ip("0.0.0.0").prev(), ip("255.255.255.255"));
  EXPECT_EQ(ip("fd00::ffff:ffff").next(), ip("fd00::1:0:0"));
  EXPECT_EQ(ip("::").prev(), ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

TEST(IP, MaskSplitsAtAnyBit) {
  EXPECT_EQ(ip("10.171.205.239").masked(12), ip("10.160.0.0"));
  EXPECT_EQ(ip("10.171.205.239").last(12), ip("10.175.255.255"));
  EXPECT_EQ(ip("10.171.205.239").masked(0), IP());
  EXPECT_EQ(ip("10.171.205.239").masked(32), ip("10.171.205.239"));
  EXPECT_EQ(ip("fd00::ffff").masked(121), ip("fd00::ff80"));
  EXPECT_EQ(ip("fd00::").last(64), ip("fd00::ffff:ffff:ffff:ffff"));
}

TEST(IP, LengthsOutOfRangeAreTheNearestInRange) {
  EXPECT_EQ(ip("10.1.2.3").masked(500), ip("10.1.2.3"));
  EXPECT_EQ(ip("10.1.2.3").masked(-1), IP());
}

TEST(IP, KnowsSpecialAddresses) {
  EXPECT_TRUE(ip("127.255.0.1").isLoopback() && ip("::1").isLoopback());
  EXPECT_FALSE(ip("128.0.0.1").isLoopback() || ip("::2").isLoopback() || ip("0.0.0.1").isLoopback());
  EXPECT_TRUE(ip("224.0.0.1").isMulticast() && ip("239.255.255.255").isMulticast() &&
              ip("ff02::1").isMulticast());
  EXPECT_FALSE(ip("223.255.255.255").isMulticast() || ip("240.0.0.0").isMulticast() ||
               ip("fe80::1").isMulticast());
  EXPECT_TRUE(ip("169.254.1.1").isLinkLocal() && ip("fe80::1").isLinkLocal() && ip("febf::1").isLinkLocal());
  EXPECT_FALSE(ip("169.253.1.1").isLinkLocal() || ip("fec0::1").isLinkLocal());
}

TEST(Prefix, KeepsHostBits) {
  EXPECT_EQ(prefix("10.1.2.3/24").str(), "10.1.2.3/24");
  EXPECT_EQ(prefix("10.1.2.3/24").masked(), prefix("10.1.2.0/24"));
  EXPECT_EQ(prefix("FD00::5/064").str(), "fd00::5/64");
}

TEST(Prefix, MappedPrefixIsIPv4) {
  EXPECT_EQ(prefix("::ffff:10.1.2.3/120"), prefix("10.1.2.3/24"));
  EXPECT_FALSE(Prefix::parse("::ffff:10.1.2.3/64"));
}

class NotAPrefix : public testing::TestWithParam<std::string> {};

TEST_P(NotAPrefix, IsRefused) { EXPECT_FALSE(Prefix::parse(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Texts, NotAPrefix,
                         testing::Values("", "/", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1",
                                         "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/ 8", "10.0.0.0/8/8",
                                         "10.0.0.0/0x8", "10.0.0.0/8\0"s, "::/129", "::/4294967297",
                                         "10.0.0/8"));

TEST(Prefix, ContainsOnlyItsFamily) {
  EXPECT_TRUE(prefix("10.1.0.0/16").contains(ip("10.1.255.255")));
  EXPECT_FALSE(prefix("10.1.0.0/16").contains(ip("10.2.0.0")));
  EXPECT_FALSE(prefix("0.0.0.0/0").contains(ip("::")));
  EXPECT_TRUE(prefix("::/0").contains(ip("fd00::1")));
}

TEST(Prefix, OverlapIsSymmetric) {
  const auto overlap = [](std::string_view a, std::string_view b) {
    EXPECT_EQ(prefix(a).overlaps(prefix(b)), prefix(b).overlaps(prefix(a)));
    return prefix(a).overlaps(prefix(b));
  };
  EXPECT_TRUE(overlap("10.1.2.3/8", "10.9.0.0/16"));
  EXPECT_TRUE(overlap("10.1.2.3/32", "10.1.2.3/32"));
  EXPECT_FALSE(overlap("10.1.0.0/16", "10.2.0.0/16"));
  EXPECT_FALSE(overlap("0.0.0.0/0", "::/0"));
}

TEST(Prefix, DefaultRouteIsLengthZeroOfTheUnspecifiedAddress) {
  EXPECT_TRUE(prefix("0.0.0.0/0").isDefault() && prefix("::/0").isDefault());
  EXPECT_FALSE(prefix("10.0.0.0/0").isDefault() || prefix("0.0.0.0/8").isDefault());
}

TEST(Mac, AcceptsThreeSpellings) {
  const Mac mac{{0x02, 0x00, 0x5e, 0xab, 0xCD, 0xef}};
  for (const auto* text : {"02:00:5e:ab:cd:ef", "02-00-5E-AB-CD-EF", "0200.5eab.cdef"})
    EXPECT_EQ(Mac::parse(text), mac);
  EXPECT_EQ(mac.str(), "02:00:5e:ab:cd:ef");
  EXPECT_TRUE(Mac().isZero());
  EXPECT_FALSE(mac.isZero());
}

class NotAMac : public testing::TestWithParam<std::string> {};

TEST_P(NotAMac, IsRefused) { EXPECT_FALSE(Mac::parse(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Texts, NotAMac,
                         testing::Values("", "02:00:5e:ab:cd", "02:00:5e:ab:cd:ef:01", "02:00-5e:ab:cd:ef",
                                         "02 00 5e ab cd ef", "02:00:5e:ab:cd:eg", "0:200:5e:ab:cd:ef",
                                         "0200:5eab:cdef", "0200.5eab-cdef", "02005eabcdef",
                                         "02:00:5e:ab:cd:e\0"s, "+2:00:5e:ab:cd:ef",
                                         "00:00:00:00:fe:80:00:00"));

}  // namespace
}  // namespace fairlead::netns
