#include "plugin/ip_range.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

using netns::IP;

IP ip(std::string_view text) { return IP::parse(text).value(); }

// setOf() reads a range set as a configuration has it.
RangeSet setOf(std::string_view json) {
  const Json list = parseJson(json);
  std::vector<RangeSpec> specs;
  for (const Json& range : list) specs.push_back(RangeSpec::read(Fields(range, "Range")));
  return RangeSet(specs);
}

// around() is one whole walk.
std::vector<std::string> around(const RangeSet& set, const std::optional<IP>& last = std::nullopt) {
  RangeWalk walk(set, last);
  std::vector<std::string> seen;
  while (const auto candidate = walk.next()) seen.push_back(candidate->ip.str());
  return seen;
}

using Seen = std::vector<std::string>;

// ---- validation --------------------------------------------------------------------------------

struct Refusal {
  std::string name;
  std::string set;
  std::string text;
};

class RangeSetRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(RangeSetRefuses, WithTheReferencesText) {
  try {
    setOf(GetParam().set);
    FAIL() << "was taken: " << GetParam().set;
  } catch (const CniError& error) {
    EXPECT_EQ(error.code(), Code::Internal);
    EXPECT_EQ(error.msg(), GetParam().text);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sets, RangeSetRefuses,
    testing::Values(
        Refusal{"Empty", "[]", "empty range set"},
        Refusal{"NoSubnet", R"([{"rangeStart": "10.0.0.1"}])", "IP <nil> not v4 nor v6"},
        Refusal{"Length31", R"([{"subnet": "10.0.0.0/31"}])",
                "Network 10.0.0.0/31 too small to allocate from"},
        Refusal{"Length32", R"([{"subnet": "10.0.0.0/32"}])",
                "Network 10.0.0.0/32 too small to allocate from"},
        Refusal{"Length127", R"([{"subnet": "fd00::/127"}])",
                "Network fd00::/127 too small to allocate from"},
        Refusal{"TooSmallComesBeforeHostBits", R"([{"subnet": "10.0.0.1/31"}])",
                "Network 10.0.0.1/31 too small to allocate from"},
        Refusal{"Mapped", R"([{"subnet": "::ffff:10.0.0.0/120"}])", "IPNet IP and Mask version mismatch"},
        Refusal{"HostBits", R"([{"subnet": "10.1.2.3/24"}])",
                "Network has host bits set. For a subnet mask of length 24 the network address is 10.1.2.0"},
        Refusal{"HostBits6", R"([{"subnet": "fd00::1/64"}])",
                "Network has host bits set. For a subnet mask of length 64 the network address is fd00::"},
        Refusal{"StartOutside", R"([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.0"}])",
                "RangeStart 10.0.1.0 not in network 10.0.0.0/24"},
        Refusal{"StartOfAnotherFamily", R"([{"subnet": "10.0.0.0/24", "rangeStart": "fd00::1"}])",
                "RangeStart fd00::1 not in network 10.0.0.0/24"},
        Refusal{"StartAboveEnd",
                R"([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.3"}])",
                "RangeStart 10.0.0.9 not in network 10.0.0.0/24"},
        Refusal{"EndOutside", R"([{"subnet": "10.0.0.0/24", "rangeEnd": "10.0.1.0"}])",
                "RangeEnd 10.0.1.0 not in network 10.0.0.0/24"},
        Refusal{"EndBelowTheDefaultStart", R"([{"subnet": "10.0.0.0/24", "rangeEnd": "10.0.0.0"}])",
                "RangeEnd 10.0.0.0 not in network 10.0.0.0/24"},
        Refusal{"Mixed", R"([{"subnet": "10.0.0.0/24"}, {"subnet": "fd00::/64"}])", "mixed address families"},
        Refusal{"Overlap", R"([{"subnet": "10.0.0.0/24"}, {"subnet": "10.0.0.128/25"}])",
                "subnets 10.0.0.1-10.0.0.254 and 10.0.0.129-10.0.0.254 overlap"}),
    [](const auto& info) { return info.param.name; });

TEST(RangeSpecTest, RefusesWhatIsNoAddress) {
  EXPECT_THROW(setOf(R"([{"subnet": "10.0.0.0"}])"), JsonError);
  EXPECT_THROW(setOf(R"([{"subnet": "10.0.0.0/24", "gateway": "10.0.0.01"}])"), JsonError);
  EXPECT_THROW(setOf(R"([{"subnet": "10.0.0.0/24", "rangeEnd": 7}])"), JsonError);
}

TEST(RangeSetTest, FillsInWhatIsLeftOut) {
  const IPRange v4 = setOf(R"([{"subnet": "10.1.2.0/24"}])").ranges().front();
  EXPECT_EQ(v4.str(), "10.1.2.1-10.1.2.254");
  EXPECT_EQ(v4.gateway.str(), "10.1.2.1");
  const IPRange v6 = setOf(R"([{"subnet": "fd00::/120"}])").ranges().front();
  EXPECT_EQ(v6.str(), "fd00::1-fd00::ff");
  EXPECT_EQ(v6.gateway.str(), "fd00::1");
}

TEST(RangeSetTest, TakesTheSubnetsOwnAddressWhereItIsWritten) {
  EXPECT_EQ(setOf(R"([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.0", "rangeEnd": "10.0.0.255"}])").str(),
            "10.0.0.0-10.0.0.255");
}

TEST(RangeSetTest, FindsTheRangeOfAnAddress) {
  const RangeSet set =
      setOf(R"([{"subnet": "10.0.0.0/24", "rangeEnd": "10.0.0.9"}, {"subnet": "10.0.1.0/24"}])");
  EXPECT_EQ(set.str(), "10.0.0.1-10.0.0.9,10.0.1.1-10.0.1.254");
  EXPECT_EQ(set.find(ip("10.0.0.9")), &set.ranges()[0]);
  EXPECT_EQ(set.find(ip("10.0.1.1")), &set.ranges()[1]);
  EXPECT_EQ(set.find(ip("10.0.0.10")), nullptr);
  EXPECT_EQ(set.find(ip("fd00::1")), nullptr);
}

TEST(RangeSetTest, OverlapsByRangeAndNotBySubnet) {
  const RangeSet low = setOf(R"([{"subnet": "10.0.0.0/24", "rangeEnd": "10.0.0.9"}])");
  const RangeSet high = setOf(R"([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.10"}])");
  const RangeSet all = setOf(R"([{"subnet": "10.0.0.0/23"}])");
  EXPECT_FALSE(low.overlaps(high));
  EXPECT_TRUE(low.overlaps(all));
  EXPECT_TRUE(all.overlaps(low));
}

// ---- the walk ----------------------------------------------------------------------------------

TEST(RangeWalkTest, BeginsAtTheStartAndPassesOverTheGateway) {
  EXPECT_EQ(around(setOf(R"([{"subnet": "10.0.0.0/29"}])")),
            (Seen{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}));
}

TEST(RangeWalkTest, GoesOnAfterTheLastAndComesBackToIt) {
  EXPECT_EQ(around(setOf(R"([{"subnet": "10.0.0.0/29"}])"), ip("10.0.0.5")),
            (Seen{"10.0.0.6", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}));
  EXPECT_EQ(around(setOf(R"([{"subnet": "10.0.0.0/29"}])"), ip("10.0.0.6")),
            (Seen{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}));
}

TEST(RangeWalkTest, BeginsAnewWhenTheLastIsNoneOfItsOwn) {
  const RangeSet set = setOf(R"([{"subnet": "10.0.0.0/30"}])");
  EXPECT_EQ(around(set, ip("10.9.9.9")), Seen{"10.0.0.2"});
  EXPECT_EQ(around(set, ip("fd00::1")), Seen{"10.0.0.2"});
}

TEST(RangeWalkTest, GoesFromRangeToRange) {
  const RangeSet set = setOf(R"([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.5", "rangeEnd": "10.0.0.6"},
                                 {"subnet": "10.0.1.0/24", "rangeStart": "10.0.1.1", "rangeEnd": "10.0.1.2"}])");
  EXPECT_EQ(around(set), (Seen{"10.0.0.5", "10.0.0.6", "10.0.1.2"}));
  EXPECT_EQ(around(set, ip("10.0.0.6")), (Seen{"10.0.1.2", "10.0.0.5", "10.0.0.6"}));
}

TEST(RangeWalkTest, PassesOverTheGatewayOfTheOwnRangeOnly) {
  const RangeSet set = setOf(R"([{"subnet": "10.0.0.0/30", "gateway": "10.0.1.2"},
                                 {"subnet": "10.0.1.0/30", "gateway": "10.0.0.1"}])");
  EXPECT_EQ(around(set), (Seen{"10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"}));
}

TEST(RangeWalkTest, EndsWhereEverythingIsAGateway) {
  const RangeSet set =
      setOf(R"([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.1", "rangeEnd": "10.0.0.1"}])");
  EXPECT_EQ(around(set), Seen{});
  EXPECT_EQ(around(set, ip("10.0.0.1")), Seen{});
}

TEST(RangeWalkTest, EndsAtTheEndOfTheAddressSpace) {
  EXPECT_EQ(around(setOf(R"([{"subnet": "255.255.255.252/30", "rangeEnd": "255.255.255.255"}])")),
            (Seen{"255.255.255.254", "255.255.255.255"}));
  EXPECT_EQ(around(setOf(R"([{"subnet": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"}])")),
            (Seen{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}));
}

// expected() says the same with a list: all addresses of the set in order, turned until `last` is the final
// one, without the gateways.
Seen expected(const RangeSet& set, const std::optional<IP>& last) {
  std::vector<std::pair<IP, bool>> ring;
  for (const IPRange& range : set.ranges()) {
    for (IP ip = range.start;; ip = ip.next()) {
      ring.emplace_back(ip, ip == range.gateway);
      if (ip == range.end) break;
    }
  }
  const auto at = std::ranges::find_if(ring, [&](const auto& entry) { return entry.first == last; });
  if (at != ring.end()) std::rotate(ring.begin(), at + 1, ring.end());
  Seen seen;
  for (const auto& [ip, isGateway] : ring) {
    if (!isGateway) seen.push_back(ip.str());
  }
  return seen;
}

TEST(RangeWalkTest, CoversEveryAddressOnceWhateverTheSet) {
  std::mt19937 random(20240607);
  const auto upTo = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit + 1)); };
  for (int round = 0; round < 500; ++round) {
    Json list = Json::array();
    for (int range = 0; range <= upTo(3); ++range) {
      const std::string net = "10.0." + std::to_string(range) + ".";
      const int start = upTo(15);
      Json& spec = list.emplace_back(Json{{"subnet", net + "0/28"}});
      spec["rangeStart"] = net + std::to_string(start);
      spec["rangeEnd"] = net + std::to_string(start + upTo(15 - start));
      if (upTo(2) > 0) spec["gateway"] = "10.0." + std::to_string(upTo(3)) + "." + std::to_string(upTo(15));
    }
    const RangeSet set = setOf(list.dump());
    const IP last = ip("10.0." + std::to_string(upTo(3)) + "." + std::to_string(upTo(15)));
    ASSERT_EQ(around(set, last), expected(set, last)) << list.dump() << " after " << last.str();
    ASSERT_EQ(around(set), expected(set, std::nullopt)) << list.dump();
  }
}

}  // namespace
}  // namespace fairlead::plugin
