#include "plugin/bridge_conf.h"

#include <gtest/gtest.h>

#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

Call callWith(const std::string& members, const std::string& args = {}, const std::string& command = "ADD") {
  Call call;
  call.env.command = command;
  call.env.args = args;
  call.input =
      R"({"cniVersion":"1.0.0","name":"net","type":"bridge")" + (members.empty() ? "" : "," + members) + "}";
  call.conf = parseJson(call.input);
  call.name = "net";
  call.type = "bridge";
  call.version = "1.0.0";
  return call;
}

BridgeConf parse(const std::string& members, const std::string& args = {}) {
  return BridgeConf::parse(callWith(members, args));
}

std::string refusal(const std::string& members, const std::string& args = {}) {
  try {
    parse(members, args);
  } catch (const CniError& error) {
    return error.msg();
  }
  return "accepted";
}

TEST(BridgeConf, DefaultsAreTheReferences) {
  const BridgeConf conf = parse("");
  EXPECT_EQ(conf.bridge, "cni0");
  EXPECT_FALSE(conf.isGateway || conf.isDefaultGateway || conf.forceAddress || conf.ipMasq ||
               conf.hairpinMode);
  EXPECT_FALSE(conf.promiscMode || conf.enableDad);
  EXPECT_TRUE(conf.containerInterface);
  EXPECT_EQ(conf.mtu, 0);
  EXPECT_FALSE(conf.mac);
  EXPECT_TRUE(conf.ipam.empty());
}

TEST(BridgeConf, KeysMatchWithoutRegardToCaseAndNullIsTheDefault) {
  const BridgeConf conf = parse(R"("BRIDGE":"br7","ISgateway":true,"mtu":null)");
  EXPECT_EQ(conf.bridge, "br7");
  EXPECT_TRUE(conf.isGateway);
  EXPECT_EQ(conf.mtu, 0);
}

TEST(BridgeConf, ADefaultGatewayIsAGateway) { EXPECT_TRUE(parse(R"("isDefaultGateway":true)").isGateway); }

TEST(BridgeConf, MacComesFromTheMostSpecificPlace) {
  const std::string args = R"("args":{"cni":{"mac":"02:00:00:00:00:02"}})";
  const std::string runtime = R"("runtimeConfig":{"mac":"02:00:00:00:00:03"})";
  EXPECT_EQ(parse("", "MAC=02:00:00:00:00:01").mac->str(), "02:00:00:00:00:01");
  EXPECT_EQ(parse(args, "MAC=02:00:00:00:00:01").mac->str(), "02:00:00:00:00:02");
  EXPECT_EQ(parse(args + "," + runtime, "MAC=02:00:00:00:00:01").mac->str(), "02:00:00:00:00:03");
}

TEST(BridgeConf, RefusesWhatIsWrong) {
  EXPECT_EQ(
      refusal(R"("mtu":"1500")"),
      "failed to load netconf: json: cannot unmarshal string into Go struct field NetConf.mtu of type int");
  EXPECT_EQ(refusal(R"("mtu":67)"), "invalid mtu 67: must be 0 or between 68 and 65535");
  EXPECT_EQ(refusal(R"("mtu":-1)"), "invalid mtu -1: must be 0 or between 68 and 65535");
  EXPECT_EQ(refusal(R"("hairpinMode":true,"promiscMode":true)"),
            "cannot set hairpin mode and promiscuous mode at the same time");
  EXPECT_EQ(refusal(R"("disableContainerInterface":true,"ipam":{"type":"static"})"),
            "cannot use IPAM when DisableContainerInterface flag is set");
  EXPECT_EQ(refusal(R"("ipMasqBackend":"ipfw")"), "unknown ipmasq backend \"ipfw\"");
  EXPECT_EQ(refusal("", "MAC=no"), "failed to make veth pair: address no: invalid MAC address");
  EXPECT_EQ(refusal("", "MAC=ff:ff:ff:ff:ff:ff"),
            "failed to make veth pair: address ff:ff:ff:ff:ff:ff: not a unicast MAC address");
  EXPECT_EQ(refusal("", "FOO=1"), "ARGS: unknown args [\"FOO=1\"]");
  EXPECT_EQ(refusal("", "FOO=1;IgnoreUnknown=1"), "accepted");
}

TEST(BridgeConf, BridgeNamesThatAreNoLinkNamesAreRefused) {
  EXPECT_EQ(refusal(R"("bridge":"")"), "invalid bridge name \"\": must not be empty");
  EXPECT_EQ(refusal(R"("bridge":"sixteen-letters-")"),
            "invalid bridge name \"sixteen-letters-\": must be at most 15 characters long");
  for (const char* name : {"../../x", "a/b", "a b", "a:b", ".", "..", "a\\nb"}) {
    EXPECT_TRUE(refusal(R"("bridge":")" + std::string(name) + "\"").starts_with("invalid bridge name"))
        << name;
  }
}

TEST(BridgeConf, WhatItHasNotIsRefusedAndNotPassedOver) {
  for (const char* members :
       {R"("vlan":7)", R"("vlanTrunk":[])", R"("macspoofchk":true)", R"("portIsolation":true)"}) {
    try {
      parse(members);
      FAIL() << members;
    } catch (const CniError& error) {
      EXPECT_EQ(error.code(), Code::UnsupportedField) << members;
    }
  }
  EXPECT_EQ(refusal(R"("vlan":0,"macspoofchk":false)"), "accepted");
}

TEST(BridgeConf, DelAcceptsWhatAddRefuses) {
  EXPECT_NO_THROW(BridgeConf::parse(callWith(R"("vlan":7,"macspoofchk":true)", "", "DEL")));
}

}  // namespace
}  // namespace fairlead::plugin
