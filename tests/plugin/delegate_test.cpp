#include "plugin/delegate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "plugin/error.h"
#include "plugin/skel.h"
#include "tests/plugin/command.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

class DelegateTest : public testing::Test {
 protected:
  // foreign() writes a plugin that is a shell script.
  void foreign(const std::string& type, const std::string& text) const {
    dir.write(type, "#!/bin/sh\n" + text + "\n", 0755);
  }
  Call call(const std::string& members = R"("cniVersion":"1.1.0")") const {
    const Environment env{.command = "DEL",
                          .containerId = "c1",
                          .netns = {},
                          .ifname = "eth0",
                          .args = {},
                          .path = dir.path(),
                          .netnsOverride = {}};
    return makeCall(env, "{" + members + R"(,"name":"net","type":"bridge"})");
  }
  template <class F>
  static std::string failure(F f) {
    try {
      f();
      return "";
    } catch (const CniError& error) {
      return std::to_string(static_cast<unsigned>(error.code())) + " " + error.what();
    }
  }
  std::string addFailure(const std::string& script) const {
    foreign("other", script);
    return failure([&] { Delegate::find("other", dir.path()).add(call()); });
  }

  test::TempDir dir;
};

TEST_F(DelegateTest, WhatCannotBeFoundIsSaidInTheReferencesWords) {
  const auto finding = [](std::string_view type, std::string_view path) {
    return failure([&] { Delegate::find(type, path); });
  };
  EXPECT_EQ(finding("", "/bin"), "999 no plugin name provided");
  EXPECT_EQ(finding("../sh", "/bin"), "999 invalid plugin name: ../sh");
  // what() ends at the NUL.
  EXPECT_EQ(finding(std::string_view("sh\0x", 4), "/bin"), "999 invalid plugin name: sh");
  EXPECT_EQ(finding("sh", ""), "999 no paths provided");
  EXPECT_EQ(finding("sh", ":"), "999 no paths provided");
  EXPECT_EQ(finding("nosuch", "/x:/y"), R"(999 failed to find plugin "nosuch" in path [/x /y])");
  EXPECT_EQ(finding("..", "/usr/bin"), R"(999 failed to find plugin ".." in path [/usr/bin])");
}

TEST_F(DelegateTest, TheFirstRegularFileAlongThePathIsTaken) {
  dir.write("a/keep", "");
  fs::create_directories(dir / "a/other");  // a directory of that name is passed over
  dir.write("b/other", "");
  dir.write("c/other", "");
  EXPECT_EQ(Delegate::find("other", dir / "a" + ":" + dir / "b/" + ":" + dir / "c").path(), dir / "b/other");
  fs::create_symlink(dir / "c/other", dir / "a/link");
  EXPECT_EQ(Delegate::find("link", dir / "a").path(), dir / "a/link");
}

TEST_F(DelegateTest, OfAPluginThatDiesTheAddIsTakenBack) {
  const std::string calls = "echo $CNI_COMMAND >>" + (dir / "calls");
  const std::string text = addFailure(calls + "; [ $CNI_COMMAND = DEL ] || kill -9 $$");
  EXPECT_TRUE(text.starts_with("0 netplugin failed with no error message: signal: killed")) << text;
  EXPECT_EQ(dir.read("calls"), "ADD\nDEL\n");
}

TEST_F(DelegateTest, OfAPluginThatSucceedsWithGarbageTheAddIsTakenBack) {
  const std::string calls = "echo $CNI_COMMAND >>" + (dir / "calls");
  EXPECT_EQ(addFailure(calls + "; echo {"),
            "999 failed to unmarshal raw result: unexpected end of JSON input");
  EXPECT_EQ(dir.read("calls"), "ADD\nDEL\n");
}

TEST_F(DelegateTest, APluginThatAnswersWithAnErrorHasTidiedUp) {
  const std::string calls = "echo $CNI_COMMAND >>" + (dir / "calls");
  EXPECT_TRUE(addFailure(calls + R"(; echo '{"code":11,"msg":"later"}'; exit 1)").starts_with("11 later"));
  EXPECT_EQ(dir.read("calls"), "ADD\n");
}

TEST_F(DelegateTest, OfAPluginThatFailsWithoutAnErrorTheAddIsTakenBack) {
  const std::string calls = "echo $CNI_COMMAND >>" + (dir / "calls");
  const std::string text = addFailure(calls + "; echo oops >&2; [ $CNI_COMMAND = DEL ] || exit 1");
  EXPECT_TRUE(text.starts_with("0 netplugin failed: \"oops\\n\": exit status 1")) << text;
  EXPECT_EQ(dir.read("calls"), "ADD\nDEL\n");
}

TEST_F(DelegateTest, TheWorkingDirectoryIsNoPlaceForPlugins) {
  const fs::path before = fs::current_path();
  foreign("other", "echo {}");
  fs::current_path(dir.path());
  EXPECT_EQ(failure([] { Delegate::find("other", "::/x"); }),
            R"(999 failed to find plugin "other" in path [/x])");
  fs::current_path(before);
}

TEST_F(DelegateTest, OnlyThisBinaryUnderABuiltInNameRunsInProcess) {
  const fs::path self = fs::read_symlink("/proc/self/exe");
  fs::create_symlink(self, dir / "static");
  fs::create_symlink(self, dir / "unknown");
  foreign("host-local", "echo {}");
  EXPECT_EQ(Delegate::find("static", dir.path()).builtin(), findPlugin("static"));
  EXPECT_NE(findPlugin("static"), nullptr);
  EXPECT_EQ(Delegate::find("unknown", dir.path()).builtin(), nullptr);
  EXPECT_EQ(Delegate::find("host-local", dir.path()).builtin(), nullptr);
}

TEST_F(DelegateTest, ABuiltInOneIsHeldToTheSameRules) {
  fs::create_symlink(fs::read_symlink("/proc/self/exe"), dir / "static");
  const Delegate ipam = Delegate::find("static", dir.path());
  const std::string conf = R"("ipam":{"type":"static","addresses":[{"address":"10.1.0.5/16"}]})";
  const Result result = ipam.add(call(R"("cniVersion":"1.1.0",)" + conf));
  ASSERT_EQ(result.ips.size(), 1U);
  EXPECT_EQ(result.ips[0].address.str(), "10.1.0.5/16");
  EXPECT_EQ(failure([&] { ipam.add(call(R"("cniVersion":"9.0.0",)" + conf)); }).substr(0, 27),
            "1 incompatible CNI versions");
  EXPECT_EQ(
      failure([&] { ipam.add(call(R"("cniVersion":"0.2.0","ipam":{"type":"static"})")); }).substr(0, 45),
      "999 cannot convert: no valid IP addresses; pl");
}

TEST_F(DelegateTest, AForeignOneGetsTheVerbAndTheWholeInput) {
  foreign("other", "cat >" + dir / "input" + "; echo $CNI_COMMAND >>" + dir / "verbs" + "; echo {}");
  const Delegate other = Delegate::find("other", dir.path());
  const Call given = call();
  other.add(given);
  EXPECT_EQ(dir.read("input"), given.input);
  other.del(given);
  other.check(given);
  other.gc(given);
  other.status(given);
  EXPECT_EQ(dir.read("verbs"), "ADD\nDEL\nCHECK\nGC\nSTATUS\n");
}

TEST_F(DelegateTest, AForeignResultMayBeOfAnyVersion) {
  const auto adding = [&](const std::string& output, const std::string& version) {
    foreign("other", "cat <<'END'\n" + output + "\nEND");
    return Delegate::find("other", dir.path()).add(call(R"("cniVersion":")" + version + '"'));
  };
  EXPECT_EQ(adding(R"({"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/16"}})", "1.1.0").ips.size(), 1U);
  EXPECT_EQ(adding(R"({"ips":[{"address":"10.1.0.5/16"}]})", "1.0.0").ips.size(), 1U);
  EXPECT_EQ(adding(R"({"cniVersion":"","ip4":{"ip":"10.1.0.5/16"}})", "0.2.0").ips.size(), 1U);
  EXPECT_TRUE(adding("null", "1.1.0").ips.empty());
}

TEST_F(DelegateTest, AForeignResultIsChecked) {
  const std::string raw = "999 failed to unmarshal raw result: ";
  EXPECT_EQ(addFailure("true"), raw + "unexpected end of JSON input");
  EXPECT_EQ(addFailure("echo hello"), raw + "invalid character 'h' looking for beginning of value");
  EXPECT_EQ(addFailure("echo []"),
            raw + "json: cannot unmarshal array into Go value of type map[string]interface {}");
  EXPECT_EQ(addFailure(R"(echo '{"cniVersion":"3.0.0"}')"), R"(999 unsupported CNI result version "3.0.0")");
  EXPECT_EQ(addFailure(R"(echo '{"ips":[{"address":"x"}]}')"), "999 invalid CIDR address: x");
}

TEST_F(DelegateTest, AForeignFailureNamesThePluginOnlyWhereItHasNoDetails) {
  const std::string from = "; from plugin \"other\" at " + dir / "other";
  EXPECT_EQ(addFailure(R"(echo '{"code":11,"msg":"later"}'; exit 1)"), "11 later" + from);
  EXPECT_EQ(addFailure(R"(echo '{"code":11,"msg":"later","details":"much"}'; exit 1)"), "11 later; much");
  EXPECT_EQ(addFailure("[ $CNI_COMMAND = DEL ] || exit 1"),
            "0 netplugin failed with no error message: exit status 1" + from);
}

}  // namespace
}  // namespace fairlead::plugin
