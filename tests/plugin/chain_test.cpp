// A chain: what its members are given, in which order they are called, and what is undone.
#include <gtest/gtest.h>

#include <string>

#include "plugin/error.h"
#include "plugin/registry.h"
#include "plugin/skel.h"
#include "tests/plugin/command.h"

namespace fairlead::plugin {
namespace {

using test::TempDir;

class ChainTest : public testing::Test {
 protected:
  // member() makes a plugin that notes its name and verb, keeps its last input, and answers with an address
  // of its own, or runs `instead` in an ADD.
  void member(const std::string& type, const std::string& address, const std::string& instead = {}) const {
    const std::string answer =
        instead.empty() ? R"(echo '{"cniVersion":"1.1.0","ips":[{"address":")" + address + R"("}]}')"
                        : instead;
    dir.write(type,
              "#!/bin/sh\necho " + type + " $CNI_COMMAND >>" + dir / "calls" + "\ncat >" +
                  dir / (type + ".$CNI_COMMAND") + "\n[ $CNI_COMMAND = ADD ] || exit 0\n" + answer + "\n",
              0755);
  }
  Call call(const std::string& verb, const std::string& plugins, const std::string& more = {}) const {
    const Environment env{.command = verb,
                          .containerId = "c1",
                          .netns = "/nowhere",
                          .ifname = "eth0",
                          .args = {},
                          .path = dir.path(),
                          .netnsOverride = {}};
    return makeCall(
        env, R"({"cniVersion":"1.1.0","name":"net","type":"fairlead","plugins":)" + plugins + more + "}");
  }
  std::string failure(const Call& call) const {
    try {
      dispatch(chainPlugin(), call);
      return "";
    } catch (const CniError& error) {
      return std::to_string(static_cast<unsigned>(error.code())) + " " + error.what();
    }
  }
  Json inputOf(const std::string& typeAndVerb) const { return parseJson(dir.read(typeAndVerb)); }

  static inline const std::string kBoth =
      R"([{"type":"one","capabilities":{"mac":true}},{"type":"two","x":7}])";
  TempDir dir;
};

TEST_F(ChainTest, EachMemberGetsTheResultOfTheOneBefore) {
  member("one", "10.1.0.1/24");
  member("two", "10.1.0.2/24");
  const auto result = dispatch(chainPlugin(), call("ADD", kBoth, R"(,"runtimeConfig":{"mac":"m","ips":[]})"));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->ips.at(0).address.str(), "10.1.0.2/24");
  EXPECT_EQ(dir.read("calls"), "one ADD\ntwo ADD\n");
  const Json first = inputOf("one.ADD");
  EXPECT_EQ(first.at("name"), "net");
  EXPECT_EQ(first.at("cniVersion"), "1.1.0");
  EXPECT_EQ(first.at("runtimeConfig").dump(), R"({"mac":"m"})");
  EXPECT_FALSE(first.contains("prevResult"));
  const Json second = inputOf("two.ADD");
  EXPECT_EQ(second.at("x"), 7);
  EXPECT_EQ(second.at("prevResult").at("ips").at(0).at("address"), "10.1.0.1/24");
  EXPECT_FALSE(second.contains("runtimeConfig"));
  EXPECT_FALSE(second.contains("plugins"));
}

TEST_F(ChainTest, AChainThatIsNotTheFirstPassesTheResultOn) {
  member("one", "10.1.0.1/24");
  dispatch(chainPlugin(), call("ADD", R"([{"type":"one"}])",
                               R"(,"prevResult":{"cniVersion":"1.1.0","dns":{"domain":"d"}})"));
  EXPECT_EQ(inputOf("one.ADD").at("prevResult").at("dns").at("domain"), "d");
}

TEST_F(ChainTest, WhatCameBeforeAFailureIsUndoneLastFirst) {
  member("one", "10.1.0.1/24");
  member("two", "10.1.0.2/24");
  member("three", "", R"(echo '{"code":77,"msg":"no","details":"at all"}'; exit 1)");
  EXPECT_EQ(failure(call("ADD", R"([{"type":"one"},{"type":"two"},{"type":"three"},{"type":"never"}])")),
            "77 no; at all");
  EXPECT_EQ(dir.read("calls"), "one ADD\ntwo ADD\nthree ADD\nthree DEL\ntwo DEL\none DEL\n");
  EXPECT_EQ(inputOf("two.DEL").at("prevResult").at("ips").at(0).at("address"), "10.1.0.2/24");
}

// Versions before 0.3.0 cannot say that there is no address.
TEST_F(ChainTest, AResultThatCannotBePassedOnUndoesWhoeverGaveIt) {
  member("one", "", R"(echo '{"cniVersion":"0.2.0"}')");
  member("two", "10.1.0.2/24");
  Call old = call("ADD", kBoth);
  old.version = "0.2.0";
  EXPECT_NE(failure(old).find("cannot convert"), std::string::npos);
  EXPECT_EQ(dir.read("calls"), "one ADD\none DEL\n");
}

TEST_F(ChainTest, AMemberThatIsMissingUndoesTheOthersAndIsNamed) {
  member("one", "10.1.0.1/24");
  EXPECT_NE(failure(call("ADD", R"([{"type":"one"},{"type":"absent"}])")).find(R"(find plugin "absent")"),
            std::string::npos);
  EXPECT_EQ(dir.read("calls"), "one ADD\none DEL\n");
}

TEST_F(ChainTest, DelGoesInReverseAndOnAfterAFailure) {
  member("one", "10.1.0.1/24");
  member("three", "10.1.0.3/24");
  const std::string result = R"(,"prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.3/24"}]})";
  EXPECT_NE(
      failure(call("DEL", R"([{"type":"one"},{"type":"absent"},{"type":"three"}])", result)).find("absent"),
      std::string::npos);
  EXPECT_EQ(dir.read("calls"), "three DEL\none DEL\n");
  EXPECT_EQ(inputOf("one.DEL").at("prevResult").at("ips").at(0).at("address"), "10.1.0.3/24");
}

TEST_F(ChainTest, AResultThatCannotBeReadHindersNoDel) {
  member("one", "10.1.0.1/24");
  EXPECT_EQ(failure(call("DEL", R"([{"type":"one"}])", R"(,"prevResult":{"cniVersion":"7","ips":7})")), "");
  EXPECT_FALSE(inputOf("one.DEL").contains("prevResult"));
}

TEST_F(ChainTest, CheckStatusAndGcReachEveryMember) {
  member("one", "10.1.0.1/24");
  member("two", "10.1.0.2/24");
  dispatch(chainPlugin(), call("CHECK", kBoth, R"(,"prevResult":{"cniVersion":"1.1.0"})"));
  dispatch(chainPlugin(), call("STATUS", kBoth));
  dispatch(chainPlugin(),
           call("GC", kBoth, R"(,"cni.dev/valid-attachments":[{"containerID":"a","ifname":"b"}])"));
  EXPECT_EQ(dir.read("calls"), "one CHECK\ntwo CHECK\none STATUS\ntwo STATUS\none GC\ntwo GC\n");
  EXPECT_EQ(inputOf("two.GC").at("cni.dev/valid-attachments").at(0).at("containerID"), "a");
}

TEST_F(ChainTest, WhatIsWrongWithItIsNamed) {
  EXPECT_EQ(
      failure(call("ADD", "[]")).substr(0, 96),
      "7 invalid chain: plugins: []: must be a list of plugin configurations, with at least one entry; ");
  EXPECT_NE(failure(call("ADD", "[7]")).find("plugins[0]: 7: must be an object"), std::string::npos);
  EXPECT_NE(
      failure(call("ADD", R"([{"type":"one"},{}])")).find("plugins[1].type: missing: must not be empty"),
      std::string::npos);
  EXPECT_NE(failure(call("ADD", R"([{"type":"fairlead"}])")).find("a chain has no chains in it"),
            std::string::npos);
  EXPECT_EQ(dir.read("calls"), "");
}

}  // namespace
}  // namespace fairlead::plugin
