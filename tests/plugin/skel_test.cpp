// The order in which a call is judged, and the code and text of every refusal.
#include "plugin/skel.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "netns/error.h"
#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

constexpr std::string_view kSomeVersions[] = {"0.3.1", "0.4.0", "1.1.0"};

// Recorder is a plugin that does what the test says and remembers that it was called.
class Recorder : public Plugin {
 public:
  std::string_view type() const override { return "recorder"; }
  std::span<const std::string_view> versions() const override { return versions_; }
  Result add(const Call& call) const override {
    act("ADD", call);
    return result;
  }
  void del(const Call& call) const override { act("DEL", call); }
  void check(const Call& call) const override { act("CHECK", call); }
  void gc(const Call& call) const override { act("GC", call); }
  void status(const Call& call) const override { act("STATUS", call); }
  Explanation explain(const Call&) const override { return {}; }

  std::span<const std::string_view> versions_ = kAllVersions;
  Result result;
  std::function<void()> behaviour = [] {};
  mutable std::vector<std::string> called;

 private:
  void act(const char* verb, const Call& call) const {
    EXPECT_EQ(call.env.command, verb);
    called.emplace_back(verb);
    behaviour();
  }
};

class SkelTest : public testing::Test {
 protected:
  static Environment environment(const std::string& command) {
    return {.command = command,
            .containerId = "c1",
            .netns = "/nowhere",
            .ifname = "eth0",
            .args = {},
            .path = "/bin",
            .netnsOverride = {}};
  }
  static std::string conf(const std::string& version = "1.1.0") {
    return R"({"cniVersion":")" + version + R"(","name":"net","type":"recorder"})";
  }

  Outcome call(const Environment& env, const std::string& input) {
    return run(plugin, env, [&] {
      ++reads;
      return input;
    });
  }

  // refused() is the error of a call that must not reach the plugin: "code msg" or "code msg; details".
  std::string refused(const Environment& env, const std::string& input) {
    plugin.called.clear();
    const Outcome outcome = call(env, input);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.err, "");
    EXPECT_TRUE(plugin.called.empty());
    return errorOf(outcome);
  }
  static std::string errorOf(const Outcome& outcome) {
    const Json error = parseJson(outcome.out);
    std::string text = error.at("code").dump() + " " + error.at("msg").get<std::string>();
    if (error.contains("details")) text += "; " + error.at("details").get<std::string>();
    return text;
  }

  Recorder plugin;
  int reads = 0;
};

TEST_F(SkelTest, WithoutACommandItTellsAboutItself) {
  plugin.versions_ = kSomeVersions;
  const Outcome outcome = call({}, "");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "CNI recorder plugin " + std::string(buildVersion()) +
                             "\nCNI protocol versions supported: 0.3.1, 0.4.0, 1.1.0\n");
  EXPECT_EQ(reads, 0);
}

TEST_F(SkelTest, VersionIgnoresEverythingElse) {
  plugin.versions_ = kSomeVersions;
  Environment env;
  env.command = "VERSION";
  const Outcome outcome = call(env, "garbage");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out,
            "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.3.1\",\"0.4.0\",\"1.1.0\"]}\n");
  EXPECT_EQ(reads, 0);
}

TEST_F(SkelTest, MissingVariablesAreNamedTogetherAndBeforeInputIsRead) {
  const std::pair<std::string, std::string> kMissing[] = {
      {"ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"},
      {"CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"},
      {"DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"},
      {"GC", "CNI_PATH"},
      {"STATUS", "CNI_PATH"}};
  for (const auto& [command, names] : kMissing) {
    Environment env;
    env.command = command;
    EXPECT_EQ(refused(env, conf()), "4 required env variables [" + names + "] missing") << command;
  }
  EXPECT_EQ(reads, 0);
}

TEST_F(SkelTest, AnInvalidValueWinsOverMissingOnes) {
  Environment env;
  env.command = "ADD";
  env.containerId = "a/b";
  EXPECT_EQ(refused(env, conf()), "4 invalid characters in containerID; a/b");
}

TEST_F(SkelTest, ContainerIdsAreChecked) {
  for (const std::string id : {"-a", ".a", "a b", "a/b", "a\n", "\xC3\xA9", "a;b"}) {
    Environment env = environment("DEL");
    env.containerId = id;
    EXPECT_EQ(refused(env, conf()), "4 invalid characters in containerID; " + id);
  }
  Environment env = environment("DEL");
  env.containerId = "0a_B.c-" + std::string(300, 'x');
  EXPECT_EQ(call(env, conf()).status, 0);
}

TEST_F(SkelTest, InterfaceNamesAreChecked) {
  const std::pair<std::string, std::string> kNames[] = {
      {"0123456789abcdef", "4 interface name is too long; interface name should be less than 16 characters"},
      {".", "4 interface name is . or .."},
      {"..", "4 interface name is . or .."},
      {"a/b", "4 interface name contains / or : or whitespace characters"},
      {"a:b", "4 interface name contains / or : or whitespace characters"},
      {"a b", "4 interface name contains / or : or whitespace characters"},
      {"a\tb", "4 interface name contains / or : or whitespace characters"},
      {"a\xC2\xA0", "4 interface name contains / or : or whitespace characters"},
      {"a\xE3\x80\x80", "4 interface name contains / or : or whitespace characters"}};
  for (const auto& [name, error] : kNames) {
    Environment env = environment("ADD");
    env.ifname = name;
    EXPECT_EQ(refused(env, conf()), error) << name;
  }
  for (const std::string name : {"0123456789abcde", "\xC3\xA9th0", "a\xFF"}) {
    Environment env = environment("ADD");
    env.ifname = name;
    EXPECT_EQ(call(env, conf()).status, 0) << name;
  }
}

TEST_F(SkelTest, VariablesAVerbDoesNotRequireAreNotChecked) {
  for (const std::string command : {"GC", "STATUS"}) {
    Environment env = environment(command);
    env.containerId = "a/b";
    env.ifname = "..";
    EXPECT_EQ(call(env, conf()).status, 0) << command;
  }
}

TEST_F(SkelTest, UnreadableInputIsAnInputError) {
  const Outcome outcome = run(plugin, environment("ADD"), []() -> std::string {
    throw CniError(Code::IOFailure, "error reading from stdin: read /dev/stdin: bad file descriptor");
  });
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(errorOf(outcome), "5 error reading from stdin: read /dev/stdin: bad file descriptor");
}

TEST_F(SkelTest, ConfigurationsAreChecked) {
  const std::pair<std::string, std::string> kInputs[] = {
      {"", "6 error unmarshall network config: unexpected end of JSON input"},
      {"{} x", "6 error unmarshall network config: invalid character 'x' after top-level value"},
      {"[]",
       "6 error unmarshall network config: json: cannot unmarshal array into Go value of type "
       R"(struct { Name string "json:\"name\"" })"},
      {R"({"name":5})",
       "6 error unmarshall network config: json: cannot unmarshal number into Go struct field "
       ".name of type string"},
      {"null", "7 missing network name"},
      {"{}", "7 missing network name"},
      {R"({"name":""})", "7 missing network name"},
      {R"({"name":"a/../b"})", "7 invalid characters found in network name; a/../b"},
      {R"({"name":".."})", "7 invalid characters found in network name; .."},
      {R"({"name":"net","cniVersion":1})",
       "6 decoding version from network config: json: cannot unmarshal number "
       "into Go struct field .cniVersion of type string"},
      {R"({"name":"net","cniVersion":"1.1"})",
       R"(1 incompatible CNI versions; config is "1.1", plugin supports ["0.3.1" "0.4.0" "1.1.0"])"},
      {R"({"name":"net"})",
       R"(1 incompatible CNI versions; config is "0.1.0", plugin supports ["0.3.1" "0.4.0" "1.1.0"])"}};
  plugin.versions_ = kSomeVersions;
  for (const auto& [input, error] : kInputs) EXPECT_EQ(refused(environment("ADD"), input), error) << input;
}

TEST_F(SkelTest, AnUnknownVerbIsRefusedAfterTheConfigurationAndNeedsNoVariable) {
  for (const std::string command : {"add", "PING", "DD", "ADD ", "ADD CHECK"}) {
    Environment env;
    env.command = command;
    EXPECT_EQ(refused(env, "{}"), "7 missing network name") << command;
    EXPECT_EQ(refused(env, conf("9.9.9")), "4 unknown CNI_COMMAND: " + command);
  }
}

TEST_F(SkelTest, VerbsHaveMinimumVersions) {
  EXPECT_EQ(refused(environment("CHECK"), conf("0.3.1")), "1 config version does not allow CHECK");
  EXPECT_EQ(refused(environment("GC"), conf("1.0.0")), "1 config version does not allow GC");
  EXPECT_EQ(refused(environment("STATUS"), conf("")), "1 config version does not allow STATUS");
  for (const std::string command : {"CHECK", "GC", "STATUS"}) {
    EXPECT_EQ(refused(environment(command), conf("9.0.0")), "1 plugin version does not allow " + command);
    EXPECT_EQ(refused(environment(command), conf("1.1.0.0")),
              R"(6 invalid version "1.1.0.0": too many parts)");
  }
  EXPECT_EQ(refused(environment("CHECK"), conf("0.5.0")).substr(0, 27), "1 incompatible CNI versions");
  EXPECT_EQ(refused(environment("ADD"), conf("9.0.0")).substr(0, 27), "1 incompatible CNI versions");
}

TEST_F(SkelTest, EachVerbReachesItsCallback) {
  const std::vector<std::string> kVerbs = {"ADD", "DEL", "CHECK", "GC", "STATUS"};
  for (const std::string& verb : kVerbs) {
    const Outcome outcome = call(environment(verb), conf());
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(outcome.out, verb == "ADD" ? plugin.result.print("1.1.0") : "");
  }
  EXPECT_EQ(plugin.called, kVerbs);
}

TEST_F(SkelTest, TheHostsOwnNamespaceIsRefusedBeforeAnythingIsDone) {
  for (const std::string verb : {"ADD", "DEL"}) {
    Environment env = environment(verb);
    env.netns = "/proc/self/ns/net";
    EXPECT_EQ(refused(env, conf()), "8 plugin's netns and netns from CNI_NETNS should not be the same");
    env.netnsOverride = "no";
    EXPECT_EQ(refused(env, conf()).substr(0, 2), "8 ");
    for (const std::string yes : {"1", "true", "TRUE", "True"}) {
      env.netnsOverride = yes;
      EXPECT_EQ(call(env, conf()).status, 0) << yes;
    }
  }
  Environment env = environment("CHECK");
  env.netns = "/proc/self/ns/net";
  EXPECT_EQ(call(env, conf()).status, 0);
}

TEST_F(SkelTest, ACniErrorKeepsItsCodeAndText) {
  plugin.behaviour = [] { throw CniError(Code::NotAvailable, "no daemon", "start it"); };
  const Outcome outcome = call(environment("STATUS"), conf());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(errorOf(outcome), "50 no daemon; start it");
}

TEST_F(SkelTest, AnyOtherErrorIsInternalAndTellsWhere) {
  const std::string where = R"(; plugin "recorder", network "net", container "c1", interface "eth0")";
  plugin.behaviour = [] { throw netns::Error(17, "ip link add cni0 type bridge"); };
  EXPECT_EQ(errorOf(call(environment("ADD"), conf())),
            "999 " + std::string(netns::Error(17, "ip link add cni0 type bridge").what()) + where);
  plugin.behaviour = [] { throw JsonError("json: cannot"); };
  EXPECT_EQ(errorOf(call(environment("DEL"), conf())), "999 json: cannot" + where);
  plugin.behaviour = [] { throw CniError(Code::TryAgainLater, "busy"); };
  EXPECT_EQ(errorOf(call(environment("CHECK"), conf())), "11 busy" + where);
}

TEST_F(SkelTest, AResultThatTheVersionCannotTellIsUndone) {
  plugin.result.interfaces.resize(1);
  const Outcome outcome = call(environment("ADD"), conf("0.2.0"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(errorOf(outcome).substr(0, 42), "999 cannot convert: no valid IP addresses;");
  EXPECT_EQ(plugin.called, (std::vector<std::string>{"ADD", "DEL"}));
}

TEST_F(SkelTest, MakeCallHandsOverWhatCameIn) {
  const std::string input = R"( {"Name":"net","CNIVersion":"1.0.0","type":"recorder","x":[1, 2]} )";
  const Call call = makeCall(environment("ADD"), input);
  EXPECT_EQ(call.input, input);
  EXPECT_EQ(call.name, "net");
  EXPECT_EQ(call.version, "1.0.0");
  EXPECT_EQ(call.type, "recorder");
  EXPECT_EQ(call.attachment(), (Attachment{"net", "c1", "eth0"}));
  EXPECT_EQ(makeCall(environment("ADD"), R"({"name":"net"})").version, "0.1.0");
  EXPECT_THROW(makeCall(environment("VERSION"), input), CniError);
}

}  // namespace
}  // namespace fairlead::plugin
