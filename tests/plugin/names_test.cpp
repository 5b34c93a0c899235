#include "plugin/names.h"

#include <gtest/gtest.h>

#include <set>

namespace fairlead::plugin {
namespace {

const Attachment kOne{.network = "unit-test", .containerId = "one", .ifname = "eth0"};

TEST(Names, HashesAreThoseOfTheReference) {
  EXPECT_EQ(names::sha512Hex("unit-test", 16), "6fd94d501e58f0aa");
  EXPECT_EQ(names::sha512Hex("eth0:one", 16), "287fc69eff0574a2");
  EXPECT_EQ(names::chain(kOne), "masq-6fd94d501e58f0aa-287fc69eff0574a2");
  EXPECT_EQ(names::comment(kOne), "6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one");
}

TEST(Names, CommentFitsInNftAndHasNoQuotes) {
  const Attachment longOne{.network = "n", .containerId = std::string(300, 'x') + "\"", .ifname = "eth0"};
  EXPECT_EQ(names::comment(longOne).size(), 128U);
  EXPECT_EQ(names::comment({.network = "a\"b", .containerId = "c", .ifname = "d"}).find('"'),
            std::string::npos);
}

TEST(Names, HostVethIsALinkNameThatBeginsWithItsNetworks) {
  const std::string name = names::hostVeth(kOne);
  EXPECT_EQ(name.size(), 15U);
  EXPECT_TRUE(name.starts_with(names::hostVethPrefix("unit-test")));
  EXPECT_EQ(names::hostVethPrefix("unit-test").size(), 7U);
  EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567"), std::string::npos);
}

TEST(Names, PartsDoNotRunIntoEachOther) {
  const std::set<std::string> all = {
      names::hostVeth({.network = "a", .containerId = "bc", .ifname = "d"}),
      names::hostVeth({.network = "ab", .containerId = "c", .ifname = "d"}),
      names::hostVeth({.network = "a", .containerId = "b", .ifname = "cd"}),
  };
  EXPECT_EQ(all.size(), 3U);
}

TEST(Names, ThousandsOfAttachmentsHaveNamesOfTheirOwn) {
  std::set<std::string> seen;
  for (int i = 0; i < 20000; ++i) {
    seen.insert(names::hostVeth({.network = "net", .containerId = std::to_string(i), .ifname = "eth0"}));
  }
  EXPECT_EQ(seen.size(), 20000U);
}

TEST(Names, MacIsLocallyAdministeredUnicastAndDiffersByEndAndNode) {
  const netns::Mac host = names::mac(kOne, "host", "boot-a");
  EXPECT_EQ(host.bytes[0] & 3, 2);
  EXPECT_EQ(host, names::mac(kOne, "host", "boot-a"));
  EXPECT_NE(host, names::mac(kOne, "container", "boot-a"));
  EXPECT_NE(host, names::mac(kOne, "host", "boot-b"));
}

TEST(Names, BootIdIsThisBoots) { EXPECT_EQ(names::bootId().size(), 36U); }

}  // namespace
}  // namespace fairlead::plugin
