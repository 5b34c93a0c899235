// The plugin host-local beside the reference's, on the same directories and at the same time.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "ipam.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

const std::string kTheirs = kReference + "host-local";
const std::string kOurs = FAIRLEAD_CNI_DIR "/host-local";
constexpr const char* kVersions[] = {"", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"};

class HostLocalInteropTest : public IpamTest {
 protected:
  void SetUp() override {
    if (!referenceInstalled()) GTEST_SKIP() << "containernetworking-plugins is not installed";
  }
  Json net(const Json& ipam = {{"subnet", "10.1.2.0/28"}}, const std::string& version = "1.0.0") const {
    return conf("host-local", ipam, version);
  }

  // expectSame() makes the same calls of both, from nothing, and compares every answer and what is on disk at
  // the end.
  void expectSame(const Json& conf, const std::vector<Asked>& calls) const {
    std::vector<Reply> answers[2];
    Files left[2];
    for (const bool reference : {false, true}) {
      wipe();
      for (const Asked& asked : calls) {
        answers[reference].push_back(reference ? theirs(kTheirs, conf, asked) : ours(conf, asked));
        shortenTypes(answers[reference].back());
      }
      left[reference] = files();
    }
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(answers[false][i], answers[true][i]) << conf.dump() << "\ncall " << i << ": " << calls[i].verb
                                                     << " " << calls[i].id << " " << calls[i].args;
    }
    EXPECT_EQ(left[false], left[true]) << conf.dump();
  }

 private:
  // A JSON error ends in the name of a Go type, which is the reference's own affair.
  static void shortenTypes(Reply& reply) {
    const std::string msg = reply.msg();
    if (msg.starts_with("json:")) reply.document["msg"] = msg.substr(0, msg.find(" of type "));
  }
};

const std::vector<Asked> kStory = {
    {.verb = "ADD", .id = "a"}, {.verb = "CHECK", .id = "a"},
    {.verb = "ADD", .id = "a"}, {.verb = "ADD", .id = "a", .ifname = "eth1"},
    {.verb = "ADD", .id = "b"}, {.verb = "ADD", .id = "c"},
    {.verb = "ADD", .id = "d"}, {.verb = "ADD", .id = "e"},
    {.verb = "ADD", .id = "f"}, {.verb = "DEL", .id = "a"},
    {.verb = "ADD", .id = "a"}, {.verb = "DEL", .id = "b"},
    {.verb = "ADD", .id = "g"}, {.verb = "CHECK", .id = "g"},
};

TEST_F(HostLocalInteropTest, AnswersEveryConfigurationAsTheReferenceDoes) {
  const Json start = {{"subnet", "10.1.2.0/24"}, {"rangeStart", "10.1.2.0"}, {"rangeEnd", "10.1.2.3"}};
  const Json configurations[] = {
      {{"subnet", "10.1.2.0/24"}},
      {{"subnet", "10.1.2.0/29"}},
      {{"subnet", "10.1.2.0/30"}},
      {{"subnet", "10.1.2.0/31"}},
      {{"subnet", "10.1.2.1/24"}},
      {{"subnet", "fd00:1:0:0::/64"}},
      {{"subnet", "fd00::/126"}},
      {{"subnet", "fd00::/127"}},
      {{"subnet", "::ffff:10.0.0.0/120"}},
      {{"subnet", "10.1.2.0/24"}, {"gateway", "10.1.2.2"}},
      {{"subnet", "10.1.2.0/24"}, {"gateway", "192.0.2.1"}},
      {{"subnet", "10.1.2.0/24"}, {"gateway", ""}},
      {{"subnet", "10.1.2.0/24"}, {"gateway", "010.1.2.2"}},
      start,
      {{"subnet", "10.1.2.0/24"}, {"rangeStart", "10.1.2.1"}, {"rangeEnd", "10.1.2.1"}},
      {{"subnet", "10.1.2.0/24"}, {"rangeStart", "10.1.2.9"}, {"rangeEnd", "10.1.2.3"}},
      {{"subnet", "10.1.2.0/24"}, {"rangeEnd", "10.1.2.0"}},
      {{"subnet", "10.1.2.0/24"}, {"rangeStart", "10.1.2.255"}},
      {{"subnet", "10.1.2.0/24"}, {"rangeEnd", "10.1.2.255"}},
      {{"subnet", "10.1.2.0/24"}, {"rangeStart", "fd00::1"}},
      {{"Subnet", "10.1.2.0/24"}, {"RANGESTART", "10.1.2.7"}},
      {{"ranges", {{start, {{"subnet", "10.1.3.0/30"}}}}}},
      {{"ranges", {{start}, {{{"subnet", "fd00::/64"}}}}}},
      {{"ranges", {{start}, {{{"subnet", "10.1.3.0/29"}}}}}},
      {{"ranges", {{start, {{"subnet", "fd00::/64"}}}}}},
      {{"ranges", {{start, {{"subnet", "10.1.0.0/16"}}}}}},
      {{"ranges", {{start}, {{{"subnet", "10.1.0.0/16"}}}}}},
      {{"ranges", {{start}}}, {"subnet", "10.1.4.0/24"}},
      {{"ranges", {Json::array()}}},
      {{"ranges", {start}}},
      {{"ranges", "x"}},
      {{"ranges", {{Json::object()}}}},
      {{"subnet", 5}},
      {{"subnet", "10.1.2.0"}},
      Json::object(),
      {{"subnet", "10.1.2.0/24"},
       {"routes", {{{"dst", "0.0.0.0/0"}}, {{"dst", "10.9.0.0/16"}, {"gw", "10.1.2.3"}}, {{"dst", "::/0"}}}}},
  };
  for (const Json& ipam : configurations) expectSame(net(ipam), kStory);
}

TEST_F(HostLocalInteropTest, AnswersEveryVersionAsTheReferenceDoes) {
  const Json dual = {{"ranges", {{{{"subnet", "10.1.2.0/29"}}}, {{{"subnet", "fd00::/64"}}}}},
                     {"routes", {{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}, {"gw", "fd00::7"}}}},
                     {"resolvConf", root() + "/resolv.conf"}};
  const Json twice = {{"ranges", {{{{"subnet", "10.1.2.0/29"}}}, {{{"subnet", "10.1.3.0/29"}}}}}};
  std::ofstream(root() + "/resolv.conf")
      << "nameserver 192.0.2.1\nsearch a b\n search c\noptions rotate\ndomain d\n";
  for (const char* version : kVersions) {
    expectSame(net(dual, version), kStory);
    expectSame(net(twice, version), kStory);
  }
}

TEST_F(HostLocalInteropTest, AnswersEveryRequestAsTheReferenceDoes) {
  const Json dual = {{"ranges", {{{{"subnet", "10.1.2.0/29"}}}, {{{"subnet", "fd00::/64"}}}}}};
  for (const char* args :
       {"", "IP=10.1.2.5", "IP=10.1.2.5/29", "IP=10.1.2.1", "IP=10.9.0.5", "IP=fd00::99", "IP=x",
        "IP=", "X=1", "IP", "X=1;IgnoreUnknown=1", "IgnoreUnknown=true;K8S_POD_NAME=a;IP=10.1.2.6",
        "IP=10.1.2.5;", "IgnoreUnknown=x"}) {
    const std::vector<Asked> story = {{.verb = "ADD", .id = "a", .args = args},
                                      {.verb = "ADD", .id = "b", .args = args},
                                      {.verb = "CHECK", .id = "a", .args = args},
                                      {.verb = "DEL", .id = "a", .args = args},
                                      {.verb = "ADD", .id = "c"}};
    expectSame(net(dual), story);
  }
  Json conf = net(dual);
  conf["args"] = {{"cni", {{"ips", {"10.1.2.4", "10.1.2.4/29"}}}}};
  conf["runtimeConfig"] = {{"ips", {"fd00::77/64"}}, {"ipRanges", {{{{"subnet", "10.7.0.0/24"}}}}}};
  expectSame(conf, kStory);
}

TEST_F(HostLocalInteropTest, PrintsThroughTheBinaryWhatTheReferencePrints) {
  const Json dual = {{"ranges", {{{{"subnet", "10.1.2.0/29"}}}, {{{"subnet", "fd00::/64"}}}}}};
  for (const char* version : kVersions) {
    const Json conf = net(dual, version);
    wipe();
    const Reply mine = theirs(kOurs, conf, {});
    wipe();
    EXPECT_EQ(mine, theirs(kTheirs, conf, {})) << version;
  }
}

TEST_F(HostLocalInteropTest, EachDeletesWhatTheOtherAdded) {
  const Json conf = net();
  EXPECT_EQ(theirs(kTheirs, conf, {}).status, 0);
  EXPECT_EQ(ours(conf, {.verb = "CHECK"}).status, 0);
  EXPECT_EQ(ours(conf, {}).status, 1) << "a duplicate";
  EXPECT_EQ(ours(conf, {.verb = "DEL"}).status, 0);
  EXPECT_EQ(reservations(), Files{});

  EXPECT_EQ(ours(conf, {}).status, 0);
  EXPECT_EQ(theirs(kTheirs, conf, {.verb = "CHECK"}).status, 0);
  EXPECT_EQ(theirs(kTheirs, conf, {}).status, 1) << "a duplicate";
  EXPECT_EQ(theirs(kTheirs, conf, {.verb = "DEL"}).status, 0);
  EXPECT_EQ(reservations(), Files{});
}

TEST_F(HostLocalInteropTest, BothGoRoundTheSameRing) {
  const Json conf = net({{"subnet", "10.1.2.0/24"}, {"rangeStart", "10.1.2.9"}, {"rangeEnd", "10.1.2.11"}});
  std::vector<std::string> given;
  for (int i = 0; i < 6; ++i) {
    const auto call = [&](const char* verb) {
      const Asked asked{.verb = verb};
      return i % 2 == 0 ? ours(conf, asked) : theirs(kTheirs, conf, asked);
    };
    given.push_back(call("ADD").address());
    EXPECT_EQ(call("DEL").status, 0);
  }
  EXPECT_EQ(given, (std::vector<std::string>{"10.1.2.9/24", "10.1.2.10/24", "10.1.2.11/24", "10.1.2.9/24",
                                             "10.1.2.10/24", "10.1.2.11/24"}));
}

// 13 addresses, and 16 who want one at the same time.
TEST_F(HostLocalInteropTest, GivesEveryAddressOnceToWhoeverAsksAtTheSameTime) {
  for (const bool mixed : {false, true}) {
    wipe();
    const Json conf = net();
    const auto binary = [&](int i) { return mixed && i % 2 == 1 ? kTheirs : kOurs; };
    std::vector<pid_t> children;
    children.reserve(16);
    for (int i = 0; i < 16; ++i) children.push_back(start(binary(i), conf, {.id = "c" + std::to_string(i)}));
    std::set<std::string> given;
    int refused = 0;
    for (const pid_t child : children) {
      const Reply reply = finish(child);
      if (reply.status == 0) {
        EXPECT_TRUE(given.insert(reply.address()).second) << reply.address() << " was given twice";
      } else {
        EXPECT_EQ(
            reply.msg(),
            "failed to allocate for range 0: no IP addresses available in range set: 10.1.2.1-10.1.2.14");
        ++refused;
      }
    }
    EXPECT_EQ(given.size(), 13U);
    EXPECT_EQ(refused, 3);
    EXPECT_EQ(reservations().size(), 13U);

    children.clear();
    for (int i = 0; i < 16; ++i) {
      children.push_back(start(binary(i + 1), conf, {.verb = "DEL", .id = "c" + std::to_string(i)}));
    }
    for (const pid_t child : children) EXPECT_EQ(finish(child).status, 0);
    EXPECT_EQ(reservations(), Files{});
  }
}

// Enough reservations for an index, and turns taken at random: whoever made a reservation, the other one
// finds it.
TEST_F(HostLocalInteropTest, TakesTurnsOnABigDirectory) {
  const Json conf = net({{"subnet", "10.1.2.0/24"}});
  unsigned seed = 5;
  std::set<std::string> present;
  for (int i = 0; i < 120; ++i) {
    seed = seed * 1103515245 + 12345;
    const std::string id = "c" + std::to_string(seed / 65536 % 40);
    const bool reference = seed / 1024 % 3 == 0;
    const bool known = present.contains(id);
    const auto call = [&](const char* verb) {
      const Asked asked{.verb = verb, .id = id};
      return (reference ? theirs(kTheirs, conf, asked) : ours(conf, asked)).status;
    };
    ASSERT_EQ(call("CHECK"), known ? 0 : 1) << i << " " << id;
    if (known && seed / 4096 % 4 == 0) {
      ASSERT_EQ(call("DEL"), 0);
      present.erase(id);
    } else {
      ASSERT_EQ(call("ADD"), known ? 1 : 0) << i << " " << id;
      present.insert(id);
    }
    ASSERT_EQ(reservations().size(), present.size());
  }
}

}  // namespace
}  // namespace fairlead::plugin
