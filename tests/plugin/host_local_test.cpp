// The IPAM plugin host-local, alone, called in-process.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "ipam.h"
#include "plugin/error.h"
#include "plugin/registry.h"
#include "plugin/resolv_conf.h"
#include "plugin/skel.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

class HostLocalTest : public IpamTest {
 protected:
  // net() is a configuration with one range or more.
  Json net(const Json& ipam = {{"subnet", "10.1.2.0/24"}}, const std::string& version = "1.0.0") const {
    return conf("host-local", ipam, version);
  }
  // dual() has one set per family.
  Json dual() const {
    return net({{"ranges", {{{{"subnet", "10.1.2.0/28"}}}, {{{"subnet", "fd00::/64"}}}}}});
  }
  // explained() is what explain() says, or the error's text.
  static Explanation explained(const Json& conf) {
    const Environment env{.command = "ADD",
                          .containerId = "abc",
                          .netns = "/x",
                          .ifname = "eth0",
                          .args = {},
                          .path = "/x",
                          .netnsOverride = {}};
    return hostLocalPlugin().explain(makeCall(env, conf.dump()));
  }
};

const Asked kAdd{.verb = "ADD"};
const Asked kDel{.verb = "DEL"};
const Asked kCheck{.verb = "CHECK"};
const Asked kStatus{.verb = "STATUS", .id = "", .ifname = ""};
const Asked kGC{.verb = "GC", .id = "", .ifname = ""};

Asked addFor(const std::string& id) { return {.verb = "ADD", .id = id}; }
Asked delFor(const std::string& id) { return {.verb = "DEL", .id = id}; }

// ---- ADD ---------------------------------------------------------------------------------------

TEST_F(HostLocalTest, GivesOneAddressPerSetWithRoutesAndGateway) {
  Json conf = dual();
  conf["ipam"]["routes"] = {{{"dst", "0.0.0.0/0"}}, {{"dst", "10.9.0.0/16"}, {"gw", "10.1.2.9"}}};
  const Document wanted = Document::parse(R"({
      "cniVersion": "1.0.0",
      "ips": [{"address": "10.1.2.2/28", "gateway": "10.1.2.1"}, {"address": "fd00::2/64", "gateway": "fd00::1"}],
      "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.2.9"}]})");
  EXPECT_EQ(ours(conf, kAdd), (Reply{0, wanted}));
}

TEST_F(HostLocalTest, SpeaksTheOldestVersion) {
  const Json wanted =
      parseJson(R"({"cniVersion": "0.2.0", "ip4": {"ip": "10.1.2.2/28", "gateway": "10.1.2.1"},
                                    "ip6": {"ip": "fd00::2/64", "gateway": "fd00::1"}})");
  Json conf = dual();
  conf["cniVersion"] = "0.2.0";
  EXPECT_EQ(ours(conf, kAdd), (Reply{0, wanted}));
}

TEST_F(HostLocalTest, GoesRoundBeforeItGivesAnAddressAgain) {
  const Json conf = net({{"subnet", "10.1.2.0/29"}});
  std::vector<std::string> given;
  for (int i = 0; i < 7; ++i) {
    given.push_back(ours(conf, kAdd).address());
    EXPECT_EQ(ours(conf, kDel).status, 0);
  }
  EXPECT_EQ(given, (std::vector<std::string>{"10.1.2.2/29", "10.1.2.3/29", "10.1.2.4/29", "10.1.2.5/29",
                                             "10.1.2.6/29", "10.1.2.2/29", "10.1.2.3/29"}));
}

TEST_F(HostLocalTest, RefusesASecondAddressForTheSameInterface) {
  const Json conf = net();
  EXPECT_EQ(ours(conf, kAdd).address(), "10.1.2.2/24");
  EXPECT_EQ(ours(conf, kAdd).msg(),
            "failed to allocate for range 0: 10.1.2.2 has been allocated to abc, duplicate allocation is not "
            "allowed");
  EXPECT_EQ(ours(conf, {.ifname = "eth1"}).address(), "10.1.2.3/24");
}

TEST_F(HostLocalTest, SaysWhenASetIsUsedUp) {
  const Json conf = net({{"subnet", "10.1.2.0/29"}, {"rangeStart", "10.1.2.4"}, {"rangeEnd", "10.1.2.5"}});
  EXPECT_EQ(ours(conf, addFor("a")).status, 0);
  EXPECT_EQ(ours(conf, addFor("b")).status, 0);
  const Reply reply = ours(conf, addFor("c"));
  EXPECT_EQ(reply.status, 1);
  EXPECT_EQ(reply.msg(),
            "failed to allocate for range 0: no IP addresses available in range set: 10.1.2.4-10.1.2.5");
  EXPECT_EQ(ours(conf, delFor("a")).status, 0);
  EXPECT_EQ(ours(conf, addFor("c")).address(), "10.1.2.4/29");
}

TEST_F(HostLocalTest, FindsTheOneFreeAddressOfManyWhicheverItIs) {
  const Json conf = net({{"subnet", "10.1.0.0/22"}});
  for (int i = 2; i < 1023; ++i) {
    if (i != 700) put("10.1." + std::to_string(i / 256) + "." + std::to_string(i % 256), "x\r\neth0");
  }
  EXPECT_EQ(ours(conf, kAdd).address(), "10.1.2.188/22");
  EXPECT_EQ(ours(conf, addFor("other")).status, 1);
}

TEST_F(HostLocalTest, LeavesNothingWhenALaterSetFails) {
  Json conf = net({{"ranges", {{{{"subnet", "10.1.2.0/28"}}}, {{{"subnet", "10.1.3.0/30"}}}}}});
  put("10.1.3.2", "other\r\neth0");
  EXPECT_EQ(ours(conf, kAdd).msg(),
            "failed to allocate for range 1: no IP addresses available in range set: 10.1.3.1-10.1.3.2");
  EXPECT_EQ(reservations(), (Files{{"10.1.3.2", "other\r\neth0"}}));
}

// The container's first attachment is at work: a failed second one must not take its addresses away.
TEST_F(HostLocalTest, KeepsEarlierReservationsWhenAnAddFails) {
  put("10.1.3.2", "abc\r\neth0");
  Json conf = net({{"ranges", {{{{"subnet", "10.1.2.0/28"}}}, {{{"subnet", "10.1.3.0/28"}}}}}});
  EXPECT_EQ(ours(conf, kAdd).status, 1);
  EXPECT_EQ(reservations(), (Files{{"10.1.3.2", "abc\r\neth0"}}));
}

// ---- requested addresses -----------------------------------------------------------------------

TEST_F(HostLocalTest, GivesWhatWasAskedForInAnyOfThreeWays) {
  EXPECT_EQ(ours(net(), {.id = "a", .args = "IP=10.1.2.77"}).address(), "10.1.2.77/24");
  Json conf = net();
  conf["args"] = {{"cni", {{"ips", {"10.1.2.88/16"}}}}};
  EXPECT_EQ(ours(conf, addFor("b")).address(), "10.1.2.88/24");
  conf = dual();
  conf["runtimeConfig"] = {{"ips", {"fd00::99", "10.1.2.9"}}};
  const Reply reply = ours(conf, addFor("c"));
  EXPECT_EQ(reply.address(0), "10.1.2.9/28");
  EXPECT_EQ(reply.address(1), "fd00::99/64");
  EXPECT_EQ(files()["last_reserved_ip.0"], "10.1.2.9");
}

TEST_F(HostLocalTest, AddsUpRequestsAndCountsEachOnce) {
  Json conf = dual();
  conf["args"] = {{"cni", {{"ips", {"fd00::9"}}}}};
  conf["runtimeConfig"] = {{"ips", {"fd00:0::9/64", "10.1.2.5"}}};
  const Reply reply = ours(conf, {.args = "IP=10.1.2.5/28"});
  EXPECT_EQ(reply.address(0), "10.1.2.5/28");
  EXPECT_EQ(reply.address(1), "fd00::9/64");
}

TEST_F(HostLocalTest, RefusesRequestsItCannotServe) {
  EXPECT_EQ(ours(net(), {.args = "IP=10.1.2.1"}).msg(),
            "failed to allocate for range 0: requested ip 10.1.2.1 is subnet's gateway");
  put("10.1.2.5", "other\r\neth0");
  EXPECT_EQ(ours(net(), {.args = "IP=10.1.2.5"}).msg(),
            "failed to allocate for range 0: requested IP address 10.1.2.5 is not available in range set "
            "10.1.2.1-10.1.2.254");
  EXPECT_EQ(ours(net(), {.args = "IP=10.9.9.9"}).msg(), "failed to allocate all requested IPs: 10.9.9.9");
  EXPECT_EQ(reservations(), (Files{{"10.1.2.5", "other\r\neth0"}}));
}

TEST_F(HostLocalTest, RefusesRequestsThatAreNoAddress) {
  EXPECT_EQ(ours(net(), {.args = "IP=x"}).msg(),
            "ARGS: error parsing value of pair \"IP=x\": invalid IP address x");
  EXPECT_EQ(ours(net(), {.args = "X=1"}).msg(), "ARGS: unknown args [\"X=1\"]");
  EXPECT_EQ(ours(net(), {.args = "IgnoreUnknown=1;X=1"}).status, 0);
  Json conf = net();
  conf["runtimeConfig"] = {{"ips", {"10.1.2.5/99"}}};
  EXPECT_EQ(ours(conf, kAdd).msg(), "invalid IP address 10.1.2.5/99");
  conf["runtimeConfig"] = {{"ips", {""}}};
  EXPECT_EQ(ours(conf, kAdd).msg(), "cannot understand ip: IP <nil> not v4 nor v6");
}

// ---- what crashes leave ------------------------------------------------------------------------

TEST_F(HostLocalTest, TakesOverEmptyReservationsBeforeItGivesUp) {
  const Json conf = net({{"subnet", "10.1.2.0/29"}, {"rangeStart", "10.1.2.4"}, {"rangeEnd", "10.1.2.6"}});
  put("10.1.2.4", "");
  EXPECT_EQ(ours(conf, addFor("a")).address(), "10.1.2.5/29");
  EXPECT_EQ(ours(conf, addFor("b")).address(), "10.1.2.6/29");
  EXPECT_EQ(ours(conf, addFor("c")).address(), "10.1.2.4/29");
  EXPECT_EQ(files()["10.1.2.4"], "c\r\neth0");
  EXPECT_EQ(ours(conf, addFor("d")).status, 1);
}

TEST_F(HostLocalTest, GivesAnEmptyReservationToWhoAsksForIt) {
  put("10.1.2.9", "");
  EXPECT_EQ(ours(net(), {.args = "IP=10.1.2.9"}).address(), "10.1.2.9/24");
  EXPECT_EQ(files()["10.1.2.9"], "abc\r\neth0");
}

// ---- DEL and CHECK -----------------------------------------------------------------------------

TEST_F(HostLocalTest, DeletesAllOfTheAttachmentAndNothingElse) {
  EXPECT_EQ(ours(dual(), kAdd).status, 0);
  EXPECT_EQ(ours(dual(), {.ifname = "eth1"}).status, 0);
  EXPECT_EQ(ours(dual(), kDel).status, 0);
  EXPECT_EQ(reservations(), (Files{{"10.1.2.3", "abc\r\neth1"}, {"fd00::3", "abc\r\neth1"}}));
  EXPECT_EQ(ours(dual(), kDel).status, 0);
}

TEST_F(HostLocalTest, DeletesWhateverTheRangesAreNow) {
  EXPECT_EQ(ours(dual(), kAdd).status, 0);
  EXPECT_EQ(ours(net({{"subnet", "192.168.0.0/16"}}), kDel).status, 0);
  EXPECT_EQ(reservations(), Files{});
}

TEST_F(HostLocalTest, DeletesFilesOfTheOldKindOnlyWhenThereAreNoOthers) {
  put("10.1.2.2", "abc\r\neth0");
  put("10.1.2.3", "abc");
  EXPECT_EQ(ours(net(), kDel).status, 0);
  EXPECT_EQ(reservations(), (Files{{"10.1.2.3", "abc"}}));
  EXPECT_EQ(ours(net(), kCheck).status, 0);
  EXPECT_EQ(ours(net(), kDel).status, 0);
  EXPECT_EQ(reservations(), Files{});
}

TEST_F(HostLocalTest, DeletesNothingWhereThereIsNothing) {
  EXPECT_EQ(ours(net(), kDel).status, 0);
  EXPECT_FALSE(fs::exists(root() + "/data"));
}

TEST_F(HostLocalTest, ChecksThatTheAttachmentHasAnAddress) {
  EXPECT_EQ(ours(net(), kCheck).msg(), "host-local: Failed to find address added by container abc");
  EXPECT_EQ(ours(net(), kAdd).status, 0);
  EXPECT_EQ(ours(net(), kCheck).status, 0);
  EXPECT_EQ(ours(net(), {.verb = "CHECK", .ifname = "eth1"}).status, 1);
  fs::remove(directory() + "/10.1.2.2");
  EXPECT_EQ(ours(net(), kCheck).status, 1);
}

TEST_F(HostLocalTest, GivesOutWhatAPowerLossLeft) {
  const Json conf = net({{"subnet", "10.1.2.0/29"}}, "1.1.0");
  put("10.1.2.2", "");
  put("10.1.2.3", std::string(9, '\0'));
  put("10.1.2.4", "# kept for the printer");
  put("10.1.2.5", "\n");
  put("last_reserved_ip.0", std::string(8, '\0'));
  std::set<std::string> given;
  for (const char* id : {"a", "b", "c"}) given.insert(ours(conf, {.id = id}).address());
  EXPECT_EQ(given, (std::set<std::string>{"10.1.2.2/29", "10.1.2.3/29", "10.1.2.6/29"}));
  EXPECT_EQ(ours(conf, {.id = "d"}).status, 1);
}

// ---- GC ----------------------------------------------------------------------------------------

TEST_F(HostLocalTest, CollectsWhatIsNotValidAndLeavesWhatItDoesNotKnow) {
  put("10.1.2.2", "live\r\neth0");
  put("10.1.2.3", "live\r\neth1");
  put("10.1.2.4", "dead\r\neth0");
  put("10.1.2.5", "live");
  put("10.1.2.6", "dead");
  put("10.1.2.7", "# kept for the printer");
  put("10.1.2.8", "");
  put("notes", "dead\r\neth0");
  Json conf = net({{"subnet", "10.1.2.0/24"}}, "1.1.0");
  conf["cni.dev/valid-attachments"] = {{{"containerID", "live"}, {"ifname", "eth0"}}};
  EXPECT_EQ(ours(conf, kGC).status, 0);
  EXPECT_EQ(reservations(), (Files{{"10.1.2.2", "live\r\neth0"},
                                   {"10.1.2.5", "live"},
                                   {"10.1.2.7", "# kept for the printer"},
                                   {"10.1.2.8", ""},
                                   {"notes", "dead\r\neth0"}}));
  EXPECT_EQ(ours(conf, kGC).status, 0);
}

TEST_F(HostLocalTest, CollectsNothingWithoutAListOrADirectory) {
  Json conf = net({{"subnet", "10.1.2.0/24"}}, "1.1.0");
  conf["cni.dev/valid-attachments"] = Json::array();
  EXPECT_EQ(ours(conf, kGC).status, 0);
  EXPECT_FALSE(fs::exists(directory()));
  put("10.1.2.2", "dead\r\neth0");
  conf.erase("cni.dev/valid-attachments");
  EXPECT_EQ(ours(conf, kGC).status, 1);
  EXPECT_EQ(reservations().size(), 1U);
}

// ---- STATUS ------------------------------------------------------------------------------------

TEST_F(HostLocalTest, IsAvailableUntilASetIsUsedUp) {
  const Json conf = net({{"subnet", "10.1.2.0/30"}}, "1.1.0");
  EXPECT_EQ(ours(conf, kStatus).status, 0);
  EXPECT_FALSE(fs::exists(root() + "/data"));
  EXPECT_EQ(ours(conf, kAdd).status, 0);
  const Reply reply = ours(conf, kStatus);
  EXPECT_EQ(reply.code(), 50);
  EXPECT_EQ(reply.msg(), "no IP addresses available in range set: 10.1.2.1-10.1.2.2");
  put("10.1.2.2", "");
  EXPECT_EQ(ours(conf, kStatus).status, 0);
}

TEST_F(HostLocalTest, IsNotAvailableWhereItsDirectoryCannotBe) {
  std::ofstream(root() + "/file") << "x";
  const Reply reply =
      ours(net({{"subnet", "10.1.2.0/30"}, {"dataDir", root() + "/file/data"}}, "1.1.0"), kStatus);
  EXPECT_EQ(reply.code(), 50);
  EXPECT_EQ(reply.msg(), "data directory " + root() + "/file/data/net cannot be used: not a directory");
}

// ---- explain -----------------------------------------------------------------------------------

TEST_F(HostLocalTest, ExplainsWhatAnAddWouldReserveAndTouchesNothing) {
  const Explanation explanation = explained(dual());
  EXPECT_EQ(explanation.lines, (std::vector<std::string>{
                                   "# reserve 10.1.2.2 for (abc, eth0) in " + directory() + " (host-local)",
                                   "# reserve fd00::2 for (abc, eth0) in " + directory() + " (host-local)"}));
  EXPECT_FALSE(fs::exists(root() + "/data"));
}

TEST_F(HostLocalTest, ExplainsExactlyWhatTheAddThenDoes) {
  for (int i = 0; i < 20; ++i) {
    const Json conf = i % 3 == 0 ? net({{"subnet", "10.1.2.0/28"}}) : dual();
    ours(conf, kAdd);  // moves the ring on
    EXPECT_EQ(ours(conf, kDel).status, 0);
    EXPECT_EQ(ours(conf, addFor("c" + std::to_string(i))).status, 0);
    const Files before = files();
    const Document wanted = Document::parse(explained(conf).result.toJson("1.0.0").dump());
    EXPECT_EQ(files(), before);
    EXPECT_EQ(ours(conf, kAdd).document, wanted) << i;
    EXPECT_EQ(ours(conf, kDel).status, 0);
    EXPECT_EQ(ours(conf, delFor("c" + std::to_string(i / 2))).status, 0);
    if (reservations().size() > 8) wipe();
  }
}

TEST_F(HostLocalTest, ExplainsWhyAnAddWouldFail) {
  EXPECT_EQ(ours(net(), kAdd).status, 0);
  EXPECT_THROW(explained(net()), CniError);
}

// ---- configuration -----------------------------------------------------------------------------

TEST_F(HostLocalTest, RefusesConfigurationsInTheReferencesOrder) {
  const std::pair<Json, std::string> faults[] = {
      {{}, "no IP ranges specified"},
      {{{"ranges", Json::array()}}, "no IP ranges specified"},
      {{{"ranges", {Json::array()}}}, "invalid range set 0: empty range set"},
      {{{"subnet", "10.1.2.0/24"}, {"ranges", {{{{"subnet", "10.1.3.0/31"}}}}}},
       "invalid range set 1: Network 10.1.3.0/31 too small to allocate from"},
      {{{"subnet", "10.1.2.0/24"}, {"ranges", {{{{"subnet", "10.1.0.0/16"}}}}}},
       "range set 0 overlaps with 1"},
      {{{"subnet", "10.1.2.0"}}, "invalid CIDR address: 10.1.2.0"},
      {{{"subnet", "10.1.2.0/24"}, {"gateway", "x"}}, "invalid IP address: x"},
      {{{"ranges", "x"}, {"subnet", "10.1.2.1/24"}},
       "json: cannot unmarshal string into Go struct field IPAMConfig.ipam.ranges of type array"},
      {{{"ranges", {{{"subnet", "10.1.2.0/24"}}}}},
       "json: cannot unmarshal object into Go struct field IPAMConfig.ipam.ranges of type "
       "allocator.RangeSet"},
      {{{"subnet", "10.1.2.0/24"}, {"resolvConf", "/no/such/file"}},
       "open /no/such/file: no such file or directory"},
  };
  for (const auto& [ipam, text] : faults) {
    const Reply reply = ours(net(ipam), kAdd);
    EXPECT_EQ(reply.code(), 999) << text;
    EXPECT_EQ(reply.msg(), text);
  }
  Json conf = net();
  conf["ipam"] = nullptr;
  conf["type"] = "host-local";
  EXPECT_THROW(explained(conf), CniError);
  EXPECT_FALSE(fs::exists(root() + "/data"));
}

TEST_F(HostLocalTest, RefusesMoreAddressesPerFamilyThanOldVersionsKnow) {
  const Json ranges = {{"ranges", {{{{"subnet", "10.1.2.0/24"}}}, {{{"subnet", "10.1.3.0/24"}}}}}};
  EXPECT_EQ(ours(net(ranges, "0.2.0"), kAdd).msg(),
            "CNI version 0.2.0 does not support more than 1 address per family");
  EXPECT_EQ(ours(net(ranges, ""), kAdd).msg(),
            "CNI version  does not support more than 1 address per family");
  EXPECT_EQ(ours(net(ranges, "0.3.0"), kAdd).status, 0);
}

TEST_F(HostLocalTest, PutsRangesOfTheRuntimeFirst) {
  Json conf = net({{"subnet", "10.1.2.0/24"}, {"ranges", {{{{"subnet", "10.1.4.0/24"}}}}}});
  conf["runtimeConfig"] = {{"ipRanges", {{{{"subnet", "10.1.6.0/24"}}}}}};
  const Reply reply = ours(conf, kAdd);
  EXPECT_EQ(reply.address(0), "10.1.6.2/24");
  EXPECT_EQ(reply.address(1), "10.1.2.2/24");
  EXPECT_EQ(reply.address(2), "10.1.4.2/24");
}

TEST_F(HostLocalTest, CleansTheDataDirectorysPath) {
  const std::string crooked = "//" + root() + "/./none/..//data/";
  EXPECT_EQ(ours(net({{"subnet", "10.1.2.0/24"}, {"dataDir", crooked}}), kAdd).status, 0);
  EXPECT_EQ(reservations().size(), 1U);
  EXPECT_FALSE(fs::exists(root() + "/none"));
}

// ---- resolv.conf -------------------------------------------------------------------------------

TEST_F(HostLocalTest, TakesDnsFromAFile) {
  const std::string path = root() + "/resolv.conf";
  std::ofstream(path) << "nameserver 192.0.2.1\nsearch a.example b.example\n";
  EXPECT_EQ(ours(net({{"subnet", "10.1.2.0/24"}, {"resolvConf", path}}), kAdd).document["dns"],
            Document::parse(R"({"nameservers": ["192.0.2.1"], "search": ["a.example", "b.example"]})"));
}

TEST(ResolvConfTest, ReadsEveryKindOfLine) {
  const DNS dns = parseResolvConf(
      "# nameserver 9.9.9.9\n; nameserver 9.9.9.9\n\n  nameserver 192.0.2.1 "
      "extra\r\nnameserver\t2001:db8::1\n"
      "nameserver\ndomain one.example\ndomain two.example three\nsearch a b\n search c\noptions ndots:5 "
      "rotate\n"
      "options edns0\nsortlist 10.0.0.0\nNameserver 9.9.9.9\nnameserver 192.0.2.3");
  EXPECT_EQ(dns.nameservers, (std::vector<std::string>{"192.0.2.1", "2001:db8::1", "192.0.2.3"}));
  EXPECT_EQ(dns.domain, "two.example");
  EXPECT_EQ(dns.search, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(dns.options, (std::vector<std::string>{"ndots:5", "rotate", "edns0"}));
  EXPECT_TRUE(parseResolvConf("").empty());
}

}  // namespace
}  // namespace fairlead::plugin
