// The IPAM plugin static, called in-process, and beside the reference where that is installed.
#include <gtest/gtest.h>

#include "ipam.h"
#include "plugin/registry.h"
#include "plugin/skel.h"

namespace fairlead::plugin {
namespace {

class StaticTest : public IpamTest {
 protected:
  Json net(const Json& ipam, const std::string& version = "1.0.0") const {
    return conf("static", ipam, version);
  }
  // one() has one address.
  Json one() const { return net({{"addresses", {{{"address", "10.1.2.3/24"}, {"gateway", "10.1.2.1"}}}}}); }
};

TEST_F(StaticTest, GivesWhatIsConfigured) {
  const Json conf = net(
      {{"addresses", {{{"address", "10.1.2.3/24"}, {"gateway", "10.1.2.1"}}, {{"address", "fd00::3/64"}}}},
       {"routes", {{{"dst", "0.0.0.0/0"}}, {{"dst", "0.0.0.0/0"}, {"gw", "10.1.2.9"}}}},
       {"dns", {{"nameservers", {"192.0.2.1"}}, {"domain", "example"}}}});
  EXPECT_EQ(ours(conf, {}), (Reply{0, Document::parse(R"({
      "cniVersion": "1.0.0",
      "ips": [{"address": "10.1.2.3/24", "gateway": "10.1.2.1"}, {"address": "fd00::3/64"}],
      "routes": [{"dst": "0.0.0.0/0"}, {"dst": "0.0.0.0/0", "gw": "10.1.2.9"}],
      "dns": {"nameservers": ["192.0.2.1"], "domain": "example"}})")}));
}

TEST_F(StaticTest, AddsAddressesOfTheArguments) {
  const Reply reply = ours(one(), {.args = "IP=10.5.0.2/24, fd05::2/64;GATEWAY=fd05::1, 10.5.0.1"});
  EXPECT_EQ(reply.document["ips"], Document::parse(R"([{"address": "10.1.2.3/24", "gateway": "10.1.2.1"},
                                                 {"address": "10.5.0.2/24", "gateway": "10.5.0.1"},
                                                 {"address": "fd05::2/64", "gateway": "fd05::1"}])"));
}

TEST_F(StaticTest, GivesAGatewayOfTheArgumentsToAddressesOfTheArgumentsOnly) {
  const Json conf = net({{"addresses", {{{"address", "10.1.2.3/24"}}}}});
  EXPECT_EQ(ours(conf, {.args = "GATEWAY=10.1.2.1"}).document["ips"],
            Document::parse(R"([{"address": "10.1.2.3/24"}])"));
}

TEST_F(StaticTest, LetsTheCapabilityWinOverArgsAndBothOverTheRest) {
  Json conf = one();
  conf["args"] = {{"cni", {{"ips", {"10.6.0.4/24"}}}}};
  EXPECT_EQ(ours(conf, {.args = "IP=10.5.0.2/24"}).document["ips"],
            Document::parse(R"([{"address": "10.6.0.4/24"}])"));
  conf["runtimeConfig"] = {{"ips", {"10.7.0.4/16", "fd07::1/64"}}};
  EXPECT_EQ(ours(conf, {.args = "IP=10.5.0.2/24"}).document["ips"],
            Document::parse(R"([{"address": "10.7.0.4/16"}, {"address": "fd07::1/64"}])"));
}

TEST_F(StaticTest, RefusesWhatIsNoAddress) {
  EXPECT_EQ(ours(net({{"addresses", {{{"address", "10.1.2.3"}}}}}), {}).msg(),
            "the 'address' field is expected to be in CIDR notation, got: '10.1.2.3'");
  EXPECT_EQ(ours(one(), {.args = "IP=10.5.0.2"}).msg(),
            "the 'ip' field is expected to be in CIDR notation, got: '10.5.0.2'");
  EXPECT_EQ(ours(one(), {.args = "IP=10.5.0.2/24,"}).msg(),
            "the 'ip' field is expected to be in CIDR notation, got: ''");
  EXPECT_EQ(ours(one(), {.args = "GATEWAY=10.5.0.1, x"}).msg(), "invalid gateway address:  x");
  EXPECT_EQ(ours(one(), {.args = "X=1"}).msg(), "ARGS: unknown args [\"X=1\"]");
  Json conf = one();
  conf["runtimeConfig"] = {{"ips", {"10.7.0.4"}}};
  EXPECT_EQ(ours(conf, {}).msg(), "an entry in the 'ips' field is NOT in CIDR notation, got: '10.7.0.4'");
}

TEST_F(StaticTest, RefusesMoreAddressesPerFamilyThanOldVersionsKnow) {
  const Json two = {{"addresses", {{{"address", "10.1.2.3/24"}}, {{"address", "10.1.3.3/24"}}}}};
  EXPECT_EQ(ours(net(two, "0.2.0"), {}).msg(),
            "CNI version 0.2.0 does not support more than 1 address per family");
  EXPECT_EQ(ours(net(two, "0.3.1"), {}).status, 0);
}

TEST_F(StaticTest, DeletesWithoutLooking) {
  EXPECT_EQ(ours(net({{"addresses", "nonsense"}}), {.verb = "DEL", .args = "nonsense"}).status, 0);
}

TEST_F(StaticTest, ChecksAddressAndGateway) {
  const Asked check{.verb = "CHECK"};
  Json conf = one();
  EXPECT_EQ(ours(conf, check).msg(), "Required prevResult missing");
  conf["prevResult"] =
      parseJson(R"({"cniVersion": "1.0.0", "ips": [{"address": "10.1.2.3/24", "gateway": "10.1.2.1"}]})");
  EXPECT_EQ(ours(conf, check).status, 0);
  conf["prevResult"]["ips"][0]["gateway"] = "10.1.2.9";
  EXPECT_EQ(ours(conf, check).msg(), "static: Failed to match addr 10.1.2.3 on interface eth0");
  conf["prevResult"]["ips"][0] = {{"address", "10.1.2.4/24"}, {"gateway", "10.1.2.1"}};
  EXPECT_EQ(ours(conf, check).msg(), "static: Failed to match addr 10.1.2.3 on interface eth0");
}

TEST_F(StaticTest, ExplainsWithALinePerAddress) {
  const Environment env{.command = "ADD",
                        .containerId = "abc",
                        .netns = "/x",
                        .ifname = "eth0",
                        .args = {},
                        .path = "/x",
                        .netnsOverride = {}};
  EXPECT_EQ(staticPlugin().explain(makeCall(env, one().dump())).lines,
            std::vector<std::string>{"# use 10.1.2.3/24 as configured (static)"});
}

TEST_F(StaticTest, AnswersAsTheReferenceDoes) {
  if (!referenceInstalled()) GTEST_SKIP() << "containernetworking-plugins is not installed";
  const std::string reference = kReference + "static";
  const Json configured[] = {
      {{"addresses", {{{"address", "10.1.2.3/24"}, {"gateway", "10.1.2.1"}}}},
       {"routes", {{{"dst", "0.0.0.0/0"}}}}},
      {{"addresses", {{{"address", "10.1.2.3/24"}}, {{"address", "fd00::3/64"}, {"gateway", "fd00::1"}}}},
       {"dns", {{"search", {"a", "b"}}}}},
      {{"addresses", {{{"address", "10.1.2.3/24"}}, {{"address", "10.1.3.3/24"}}}}},
      {{"addresses", {{{"address", "::ffff:10.0.0.1/120"}}}}},
      {{"addresses", {{{"gateway", "10.0.0.1"}}}}},
      {{"addresses", {{{"address", "10.1.2.3/24"}, {"gateway", "x"}}}}},
      Json::object(),
  };
  const char* const args[] = {"", "IP=10.5.0.2/24, fd05::2/64;GATEWAY=10.5.0.1,fd05::1", "IP=10.5.0.2",
                              "GATEWAY=x", "IP="};
  for (const Json& ipam : configured) {
    for (const char* version : {"", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"}) {
      for (const char* arg : args) {
        const Json conf = net(ipam, version);
        const Asked asked{.args = arg};
        EXPECT_EQ(ours(conf, asked), theirs(reference, conf, asked)) << conf.dump() << " " << arg;
      }
    }
  }
}

}  // namespace
}  // namespace fairlead::plugin
