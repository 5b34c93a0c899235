// Every kind of plugin and every verb: what is there afterwards, as other tools see it, and nothing else.
// Root.
#include <filesystem>
#include <set>
#include <string>

#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

using netns::look;
using netns::shell;
using nlohmann::json;

using Facts = std::set<std::string>;

struct Kind {
  const char* name;
  const char* type;  // the binary
  json conf;         // merged into BridgeTest::conf()
  Facts added;       // what is there after an ADD
  Facts deleted;     // after a DEL
  Facts collected;   // after a GC for which nothing is valid
  bool twice;        // whether a second ADD succeeds
};

const Facts kBridged = {"bridge br0", "eth0 10.1.0.2/24", "record", "reserved 10.1.0.2", "veth in br0"};

Facts operator+(Facts facts, const std::string& another) {
  facts.insert(another);
  return facts;
}

json chain() {
  json bridge = json::parse(R"({"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true, "ipam":
      {"type": "host-local", "dataDir": "/run/reservations", "ranges": [[{"subnet": "10.1.0.0/24"}]]}})");
  return {{"type", "fairlead"}, {"plugins", {std::move(bridge), {{"type", "loopback"}}}}};
}

class VerbsTest : public BridgeTest, public testing::WithParamInterface<Kind> {
 protected:
  void SetUp() override {
    BridgeTest::SetUp();
    if (!IsSkipped()) c1_ = container("c1");
  }

  CniOutcome call(const std::string& verb, const json& members = json::object()) const {
    json document = json::parse(conf(GetParam().conf));
    document.merge_patch(members);
    const bool ofContainer = verb != "GC" && verb != "STATUS";
    return cni({.command = verb,
                .conf = document.dump(),
                .netns = ofContainer ? c1_ : "",
                .container = ofContainer ? "c1" : "",
                .ifname = ofContainer ? "eth0" : "",
                .type = GetParam().type});
  }
  // must() is a call that succeeds, with the result of the ADD.
  void must(const std::string& verb, const json& members = json::object()) {
    json more = members;
    if (!result_.is_null()) more["prevResult"] = result_;
    const CniOutcome outcome = call(verb, verb == "ADD" ? members : more);
    ASSERT_EQ(outcome.status, 0) << verb << ": " << outcome.out << outcome.err;
    if (verb == "ADD") {
      result_ = outcome.json();
    } else {
      EXPECT_EQ(outcome.out, "") << verb;
    }
  }
  void collect(const json& valid) {
    must("GC", {{"cni.dev/valid-attachments", valid}, {"cni.dev/attachments", valid}});
  }

  Facts facts() const {
    Facts found;
    for (const json& link : look("ip -j -d link")) {
      const std::string kind = link.value("/linkinfo/info_kind"_json_pointer, "");
      if (kind == "bridge") found.insert("bridge " + link.at("ifname").get<std::string>());
      if (kind == "veth") found.insert("veth in " + link.value("master", "none"));
    }
    for (const json& link : look("ip -n c1 -j addr")) {
      const std::string name = link.at("ifname");
      if (name == "lo" && link.at("flags").dump().find("\"UP\"") != std::string::npos) found.insert("lo up");
      if (name == "lo") continue;
      for (const json& address : link.at("addr_info")) {
        if (address.at("family") == "inet")
          found.insert(name + " " + address.at("local").get<std::string>() + "/" +
                       std::to_string(address.at("prefixlen").get<int>()));
      }
    }
    for (const std::string& address : reservations()) found.insert("reserved " + address);
    for ([[maybe_unused]] const std::string& record : records()) found.insert("record");
    if (shell("nft list ruleset | grep -q '10.1.0.2 : goto masq-'").status == 0) found.insert("masquerading");
    return found;
  }

 private:
  std::string c1_;
  json result_;
};

TEST_P(VerbsTest, AddLeavesWhatItIsFor) {
  must("ADD");
  EXPECT_EQ(facts(), GetParam().added);
}

TEST_P(VerbsTest, ASecondAddChangesNothing) {
  must("ADD");
  const State before = state();
  EXPECT_EQ(call("ADD").status, GetParam().twice ? 0 : 1);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(facts(), GetParam().added);
  must("CHECK");
}

TEST_P(VerbsTest, DelLeavesWhatIsShared) {
  must("ADD");
  must("DEL");
  EXPECT_EQ(facts(), GetParam().deleted);
}

TEST_P(VerbsTest, ASecondDelSucceedsAndChangesNothing) {
  must("ADD");
  must("DEL");
  const State before = state();
  must("DEL");
  EXPECT_EQ(state(), before);
  EXPECT_EQ(facts(), GetParam().deleted);
}

TEST_P(VerbsTest, CheckAndStatusChangeNothing) {
  must("STATUS");
  EXPECT_EQ(facts(), Facts{});
  must("ADD");
  const State before = state();
  must("CHECK");
  must("STATUS");
  EXPECT_EQ(state(), before);
  EXPECT_EQ(facts(), GetParam().added);
}

TEST_P(VerbsTest, GcKeepsWhatIsValid) {
  must("ADD");
  const State before = state();
  collect({{{"containerID", "c1"}, {"ifname", "eth0"}}});
  EXPECT_EQ(state(), before);
  EXPECT_EQ(facts(), GetParam().added);
  must("CHECK");
}

TEST_P(VerbsTest, GcTakesWhatIsNotValid) {
  must("ADD");
  for (int i = 0; i < 2; ++i) {
    collect(json::array());
    EXPECT_EQ(facts(), GetParam().collected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, VerbsTest,
    testing::Values(
        Kind{"bridge", "bridge", json::object(), kBridged, {"bridge br0"}, {}, false},
        Kind{"masquerading",
             "bridge",
             {{"ipMasq", true}},
             kBridged + "masquerading",
             {"bridge br0"},
             {},
             false},
        Kind{"chain",
             "fairlead",
             chain(),
             kBridged + "masquerading" + "lo up",
             {"bridge br0"},
             {"lo up"},
             false},
        Kind{"loopback", "loopback", {{"type", "loopback"}}, {"lo up"}, {}, {"lo up"}, true},
        Kind{"host_local", "host-local", {{"type", "host-local"}}, {"reserved 10.1.0.2"}, {}, {}, false},
        Kind{"static",
             "static",
             {{"type", "static"},
              {"ipam", {{"type", "static"}, {"addresses", {{{"address", "10.1.0.2/24"}}}}}}},
             {},
             {},
             {},
             true}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fairlead::plugin
