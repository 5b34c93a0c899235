// The command line through the real binary, as far as it needs no privileges: the plugins are shell scripts,
// and the namespace is the test's own, which they leave alone.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/plugin/command.h"

namespace fairlead::plugin {
namespace {

using test::Cli;
using test::kBinary;
using test::Output;
using test::run;
using Json = nlohmann::ordered_json;

const std::vector<std::string> kVerbs = {"add",     "check", "del",    "gc",     "status",
                                         "explain", "ls",    "doctor", "version"};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// ---- usage -------------------------------------------------------------------------------------

TEST(CliUsageTest, HelpSaysWhatANetworkIsAndShowsExamples) {
  const Output help = run({kBinary, "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_TRUE(has(help.out, "NETWORK is the file of a network configuration"));
  EXPECT_TRUE(has(help.out, "fairlead add ./10-bridge.conflist --netns web"));
  EXPECT_EQ(help.err, "");
  for (const std::string& verb : kVerbs) EXPECT_TRUE(has(help.out, "\n  " + verb + " ")) << verb;
}

TEST(CliUsageTest, HelpOfEveryVerbEndsInExamplesOfIt) {
  for (const std::string& verb : kVerbs) {
    const Output help = run({kBinary, verb, "--help"});
    EXPECT_EQ(help.status, 0) << verb;
    EXPECT_TRUE(has(help.out, "Usage: fairlead " + verb)) << help.out;
    EXPECT_TRUE(has(help.out, "Examples:\n  fairlead " + verb)) << help.out;
  }
}

TEST(CliUsageTest, VersionIsAFlagAndAVerb) {
  const Output flag = run({kBinary, "--version"});
  const Output verb = run({kBinary, "version"});
  EXPECT_EQ(flag.status, 0);
  EXPECT_EQ(verb.status, 0);
  EXPECT_EQ(flag.out.substr(0, 9), "fairlead ");
  EXPECT_EQ(verb.out.substr(0, flag.out.size()), flag.out);
}

TEST(CliUsageTest, VersionAsJson) {
  const Json version = Json::parse(run({kBinary, "version", "--json"}).out);
  EXPECT_EQ(version["cniVersion"], "1.1.0");
  EXPECT_EQ(version["supportedVersions"].size(), 7U);
  EXPECT_TRUE(has(version["plugins"].dump(), "\"loopback\""));
}

struct Misuse {
  std::vector<std::string> args;
  const char* message;
};

void PrintTo(const Misuse& misuse, std::ostream* stream) { *stream << "\"" << misuse.message << "\""; }

class CliMisuseTest : public testing::TestWithParam<Misuse> {};

TEST_P(CliMisuseTest, IsToldOnStandardErrorWithStatusTwo) {
  std::vector<std::string> argv = {kBinary};
  argv.insert(argv.end(), GetParam().args.begin(), GetParam().args.end());
  const Output output = run(argv);
  EXPECT_EQ(output.status, 2);
  EXPECT_EQ(output.out, "");
  EXPECT_TRUE(has(output.err, GetParam().message)) << output.err;
  EXPECT_TRUE(has(output.err, "--help`.")) << output.err;
}

INSTANTIATE_TEST_SUITE_P(
    All, CliMisuseTest,
    testing::Values(Misuse{{}, "fairlead: a command is required"},
                    Misuse{{"frobnicate"}, "fairlead: frobnicate: no such command"},
                    Misuse{{"--frobnicate"}, "fairlead: --frobnicate: no such option"},
                    Misuse{{"add"}, "NETWORK is required"}, Misuse{{"add", "x"}, "--netns is required"},
                    Misuse{{"add", "x", "--netns"}, "--netns"}, Misuse{{"ls", "x", "y"}, "y"},
                    Misuse{{"gc", "--valid", "c1/eth0"}, "--valid: names attachments of one NETWORK"},
                    Misuse{{"del", "x"}, "--netns or --container-id is required"},
                    Misuse{{"add", "x", "--netns", "y", "--args", "IP"}, "--args: IP: must be K=V"},
                    Misuse{{"add", "x", "--netns", "y", "--capability-args", "[]"},
                           "--capability-args: must be an object"},
                    Misuse{{"add", "x", "--netns", "y", "--capability-args", "{"},
                           "--capability-args: unexpected end of JSON input"},
                    Misuse{{"add", "x", "--netns", "y", "--capability-args", "@/nowhere"},
                           "/nowhere: no such file"}));

// ---- faults of a configuration ------------------------------------------------------------------

TEST(CliTest, FaultOfAConfigurationIsToldByFileAndPath) {
  const Cli fairlead("/nowhere");
  const std::string file = fairlead.conf("x.conflist", R"({"name": "n", "plugins": [{"type": ""}]})");
  const std::string fault = file + ": plugins[0].type: \"\": must not be empty: it names the plugin's binary";
  const Output text = fairlead("status", {"n"});
  EXPECT_EQ(text.status, 1);
  EXPECT_EQ(text.out, "");
  EXPECT_EQ(text.err, "fairlead status: " + fault + "\n");
  const Output json = fairlead("status", {"n", "--json"});
  EXPECT_EQ(json.status, 1);
  EXPECT_EQ(json.err, "");
  EXPECT_EQ(Json::parse(json.out), (Json{{"code", 7}, {"msg", fault}}));
}

TEST(CliTest, NamespaceThatIsNotThereIsTold) {
  const Cli fairlead("/nowhere");
  fairlead.conf("x.conflist", R"({"name": "n", "plugins": [{"type": "t"}]})");
  const Output text = fairlead("add", {"n", "--netns", "/nowhere/web"});
  EXPECT_EQ(text.status, 1);
  EXPECT_TRUE(has(text.err, "/nowhere/web")) << text.err;
  EXPECT_EQ(Json::parse(fairlead("add", {"n", "--netns", "/nowhere/web", "--json"}).out)["code"], 8);
}

TEST(CliTest, PluginThatIsNotThereIsTold) {
  const Cli fairlead("/nowhere");
  fairlead.conf("x.conflist", R"({"name": "n", "plugins": [{"type": "t"}]})");
  const Output text = fairlead("add", {"n", "--netns", std::to_string(::getpid())});
  EXPECT_EQ(text.status, 1);
  EXPECT_TRUE(has(text.err,
                  "plugins[0] t: ADD: failed to find plugin \"t\" in path [/nowhere " + fairlead.dir / "bin"))
      << text.err;
}

TEST(CliTest, NothingIsColouredInAFile) {
  const Cli fairlead("/nowhere");
  EXPECT_FALSE(has(fairlead("status", {"n"}).err, "\x1b"));
  EXPECT_FALSE(has(fairlead("ls").out, "\x1b"));
}

TEST(CliTest, EscapesFromAFileDoNotReachTheTerminal) {
  const Cli fairlead("/nowhere");
  fairlead.conf("x.conflist", R"({"name": "n", "plugins": [{"type": "a\u001b[31mb"}]})");
  const Output text = fairlead("add", {"n", "--netns", std::to_string(::getpid())});
  EXPECT_EQ(text.status, 1);
  EXPECT_FALSE(has(text.err, "\x1b")) << text.err;
}

TEST(CliTest, ListOfNothingIsAHeaderOrAnEmptyArray) {
  const Cli fairlead("/nowhere");
  EXPECT_EQ(fairlead("ls").out, "NETWORK  CONTAINER  INTERFACE  ADDRESSES  NAMESPACE  AGE  STATE\n");
  EXPECT_EQ(fairlead("ls", {"--json"}).out, "[]\n");
}

// ---- verbs, with scripts for plugins -------------------------------------------------------------

// Each script logs the verb with the environment and the input that it got. It fails the verbs that `failing`
// names.
class CliScriptTest : public testing::Test {
 protected:
  CliScriptTest() : fairlead("/nowhere") {
    plugin("first", R"({"cniVersion": "1.1.0", "ips": [{"address": "10.1.2.3/24", "gateway": "10.1.2.1"}]})");
    plugin("second", R"({"cniVersion": "1.1.0", "ips": [{"address": "10.1.2.4/24"}]})");
    network("1.1.0");
  }

  void plugin(const std::string& type, const std::string& result, const std::string& failing = "none") const {
    fairlead.dir.write("bin/" + type,
                       "#!/bin/sh\n"
                       "echo \"" +
                           type +
                           " $CNI_COMMAND id=$CNI_CONTAINERID if=$CNI_IFNAME ns=$CNI_NETNS "
                           "args=$CNI_ARGS $(cat)\" >> " +
                           fairlead.dir / "log" +
                           "\n"
                           "case \" " +
                           failing +
                           " \" in *\" $CNI_COMMAND \"*)\n"
                           "  echo '{\"code\": 11, \"msg\": \"" +
                           type +
                           " is busy\", \"details\": \"later\"}'; exit 1\n"
                           "esac\n"
                           "[ $CNI_COMMAND != ADD ] || echo '" +
                           result + "'\n",
                       0755);
  }
  void network(const std::string& version, const std::string& more = "") const {
    fairlead.conf(
        "10-n.conflist",
        R"({"cniVersion": ")" + version + R"(", "name": "n", )" + more +
            R"("plugins": [{"type": "first", "capabilities": {"mac": true}}, {"type": "second"}]})");
  }
  // log() is what the scripts noted since it was last asked.
  std::vector<std::string> log() const {
    std::istringstream text(fairlead.dir.read("log"));
    std::filesystem::remove(fairlead.dir / "log");
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
  std::vector<std::string> calls() const {
    std::vector<std::string> words;
    for (const std::string& line : log()) words.push_back(line.substr(0, line.find(" id=")));
    return words;
  }
  Output add(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> args = {"n", "--netns", netns, "--container-id", "c1"};
    args.insert(args.end(), more.begin(), more.end());
    return fairlead("add", args);
  }
  std::string cached() const { return fairlead.dir.read("cache/results/n-c1-eth0"); }

  const Cli fairlead;
  const std::string netns = "/proc/" + std::to_string(::getpid()) + "/ns/net";
};

using Strings = std::vector<std::string>;

TEST_F(CliScriptTest, PluginsGetTheirEnvironmentAndInput) {
  const Output output =
      add({"--args", "IP=10.1.2.3;K=V", "--capability-args", R"({"mac": "02:00:00:00:00:01", "ips": []})"});
  ASSERT_EQ(output.status, 0) << output.err;
  const std::string environment = " ADD id=c1 if=eth0 ns=" + netns + " args=IP=10.1.2.3;K=V ";
  EXPECT_EQ(log(),
            (Strings{"first" + environment +
                         R"({"capabilities":{"mac":true},"cniVersion":"1.1.0","name":"n",)"
                         R"("runtimeConfig":{"mac":"02:00:00:00:00:01"},"type":"first"})",
                     "second" + environment +
                         R"({"cniVersion":"1.1.0","name":"n","prevResult":{"cniVersion":"1.1.0",)"
                         R"("ips":[{"address":"10.1.2.3/24","gateway":"10.1.2.1"}]},"type":"second"})"}));
}

TEST_F(CliScriptTest, ResultOfTheLastPluginIsPrintedAndCached) {
  const Output text = add();
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_EQ(text.out, "eth0 of c1 is on n\n  address    10.1.2.4/24\n");
  const Json cache = Json::parse(cached());
  EXPECT_EQ(cache["kind"], "cniCacheV1");
  EXPECT_EQ(cache["netns"], netns);
  EXPECT_EQ(cache["result"]["ips"][0]["address"], "10.1.2.4/24");
  ASSERT_EQ(fairlead("del", {"n", "--container-id", "c1"}).status, 0);
  const Output json = add({"--json"});
  EXPECT_EQ(Json::parse(json.out)["ips"][0]["address"], "10.1.2.4/24");
  EXPECT_EQ(json.err, "");
}

TEST_F(CliScriptTest, ContainerIdComesFromTheNamespaceAndIsTold) {
  const auto add = fairlead("add", {"n", "--netns", std::to_string(::getpid()), "--json"});
  ASSERT_EQ(add.status, 0) << add.err;
  struct stat status {};
  ASSERT_EQ(::stat(netns.c_str(), &status), 0);
  const std::string id = "netns-" + std::to_string(status.st_ino);
  EXPECT_EQ(add.err, "container id: " + id + "\n");
  EXPECT_TRUE(has(log().at(0), " id=" + id + " "));
  EXPECT_EQ(Json::parse(fairlead("ls", {"--json"}).out)[0]["containerID"], id);
}

TEST_F(CliScriptTest, DelGoesBackwardsWithWhatIsCached) {
  ASSERT_EQ(add({"--args", "K=V", "--capability-args", R"({"mac": "02:00:00:00:00:01"})"}).status, 0);
  log();
  const Output del = fairlead("del", {"n", "--container-id", "c1"});
  EXPECT_EQ(del.status, 0) << del.err;
  EXPECT_EQ(del.out, "eth0 of c1 is off n\n");
  const std::string environment = " DEL id=c1 if=eth0 ns=" + netns + " args=K=V ";
  const std::string prevResult = R"("prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.4/24"}]},)";
  EXPECT_EQ(
      log(),
      (Strings{"second" + environment + R"({"cniVersion":"1.1.0","name":"n",)" + prevResult +
                   R"("type":"second"})",
               "first" + environment + R"({"capabilities":{"mac":true},"cniVersion":"1.1.0","name":"n",)" +
                   prevResult + R"("runtimeConfig":{"mac":"02:00:00:00:00:01"},"type":"first"})"}));
  EXPECT_EQ(cached(), "");
}

TEST_F(CliScriptTest, DelOfWhatWasNeverAddedCallsThePlugins) {
  EXPECT_EQ(fairlead("del", {"n", "--container-id", "c1"}).status, 0);
  EXPECT_EQ(calls(), (Strings{"second DEL", "first DEL"}));
}

TEST_F(CliScriptTest, DelOfAnUnknownNamespaceThatIsGoneHasNothingToDo) {
  const Output del = fairlead("del", {"n", "--netns", "/nowhere/web"});
  EXPECT_EQ(del.status, 0) << del.err;
  EXPECT_TRUE(has(del.out, "nothing to do"));
  EXPECT_EQ(calls(), Strings{});
}

TEST_F(CliScriptTest, DelOfANetworkThatIsConfiguredNoMoreGoesByTheCache) {
  ASSERT_EQ(add().status, 0);
  std::filesystem::remove(fairlead.dir / "net.d/10-n.conflist");
  const Output other = fairlead("del", {"other", "--container-id", "c1"});
  EXPECT_EQ(other.status, 1);
  log();
  const Output del = fairlead("del", {"n", "--container-id", "c1"});
  EXPECT_EQ(del.status, 0) << del.err;
  EXPECT_TRUE(has(del.err, "taken from memory")) << del.err;
  EXPECT_EQ(calls(), (Strings{"second DEL", "first DEL"}));
  EXPECT_EQ(fairlead("del", {"n", "--container-id", "c1"}).status, 1)
      << "nothing knows of the network any more";
}

TEST_F(CliScriptTest, DelGoesOnAfterAFailureAndReportsAll) {
  ASSERT_EQ(add().status, 0);
  log();
  plugin("first", "", "DEL");
  plugin("second", "", "DEL");
  const Output text = fairlead("del", {"n", "--container-id", "c1"});
  EXPECT_EQ(text.status, 1);
  EXPECT_EQ(text.err,
            "fairlead del: plugins[1] second: DEL: second is busy\n  details: later\n  code: 11\n"
            "fairlead del: plugins[0] first: DEL: first is busy\n  details: later\n  code: 11\n");
  EXPECT_EQ(calls(), (Strings{"second DEL", "first DEL"}));
  EXPECT_NE(cached(), "") << "needed to try again";
  const Json json = Json::parse(fairlead("del", {"n", "--container-id", "c1", "--json"}).out);
  EXPECT_EQ(json["code"], 11);
  EXPECT_EQ(json["msg"], "second is busy");
  EXPECT_EQ(json["failures"].size(), 2U);
  EXPECT_EQ(json["failures"][1]["plugin"], "first");
}

TEST_F(CliScriptTest, FailedAddIsRolledBack) {
  plugin("second", "", "ADD");
  const Output output = add();
  EXPECT_EQ(output.status, 1);
  EXPECT_EQ(output.out, "");
  EXPECT_EQ(output.err,
            "fairlead add: plugins[1] second: ADD: second is busy\n  details: later\n  code: 11\n"
            "  rolled back: the plugins that had run have undone it (DEL)\n");
  EXPECT_EQ(calls(), (Strings{"first ADD", "second ADD", "second DEL", "first DEL"}));
  EXPECT_EQ(cached(), "");
}

TEST_F(CliScriptTest, FailureOfRollingBackIsTold) {
  plugin("first", R"({"cniVersion": "1.1.0"})", "DEL");
  plugin("second", "", "ADD");
  const Output output = add();
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(has(output.err, "plugins[0] first: DEL: first is busy")) << output.err;
  EXPECT_TRUE(has(output.err, "something may be left")) << output.err;
}

TEST_F(CliScriptTest, FailureToCacheIsRolledBack) {
  std::filesystem::create_directories(fairlead.dir / "cache/results/n-c1-eth0");  // where the file belongs
  EXPECT_EQ(add().status, 1);
  EXPECT_EQ(calls(), (Strings{"first ADD", "second ADD", "second DEL", "first DEL"}));
}

TEST_F(CliScriptTest, PluginThatSaysNothingIsTold) {
  fairlead.dir.write("bin/second", "#!/bin/sh\necho '*** no route' >&2\nexit 3\n", 0755);
  const Output output = add();
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(has(output.err, R"(plugins[1] second: ADD: netplugin failed: "*** no route\n": exit status 3)"))
      << output.err;
}

TEST_F(CliScriptTest, SecondAddIsRefusedAndLeavesTheFirstAlone) {
  ASSERT_EQ(add().status, 0);
  log();
  const Output again = add();
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(has(again.err, "eth0 of c1 is on n already")) << again.err;
  EXPECT_EQ(calls(), Strings{});
  EXPECT_NE(cached(), "");
}

TEST_F(CliScriptTest, CheckHasTheResultAndEndsAtTheFirstFailure) {
  ASSERT_EQ(add().status, 0);
  log();
  const Output good = fairlead("check", {"n", "--netns", netns, "--container-id", "c1"});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(good.out, "eth0 of c1 is on n as it was added\n");
  const auto lines = log();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(has(lines[0], R"("prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.4/24"}]})"))
      << lines[0];
  plugin("first", "", "CHECK");
  EXPECT_EQ(fairlead("check", {"n", "--netns", netns, "--container-id", "c1"}).status, 1);
  EXPECT_EQ(calls(), Strings{"first CHECK"});
}

TEST_F(CliScriptTest, CheckFindsAnAttachmentByItsNamespace) {
  ASSERT_EQ(add().status, 0);
  log();
  ASSERT_EQ(fairlead("check", {"n", "--netns", netns}).status, 0);
  EXPECT_TRUE(has(log().at(0), " id=c1 "));
}

TEST_F(CliScriptTest, CheckNeedsVersion040AndMayBeDisabled) {
  network("0.3.1");
  const Output old = fairlead("check", {"n", "--netns", netns});
  EXPECT_EQ(old.status, 1);
  EXPECT_TRUE(has(old.err, R"(configuration version "0.3.1" does not support the CHECK command)")) << old.err;
  network("1.0.0", R"("disableCheck": true, )");
  EXPECT_EQ(fairlead("check", {"n", "--netns", netns}).status, 0);
  EXPECT_EQ(calls(), Strings{});
}

TEST_F(CliScriptTest, StatusAsksEveryPluginOfANewList) {
  const Output ready = fairlead("status", {"n"});
  EXPECT_EQ(ready.status, 0) << ready.err;
  EXPECT_EQ(ready.out, "n is ready\n");
  const auto lines = log();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1], R"(second STATUS id= if= ns= args= {"cniVersion":"1.1.0","name":"n","type":"second"})");
  network("1.0.0");
  EXPECT_EQ(fairlead("status", {"n"}).status, 0);
  EXPECT_EQ(calls(), Strings{});
  network("1.1.0");
  plugin("first", "", "STATUS");
  EXPECT_EQ(fairlead("status", {"n"}).status, 1);
}

TEST_F(CliScriptTest, GcReleasesWhatIsNotValidAndTellsThePlugins) {
  ASSERT_EQ(add().status, 0);
  ASSERT_EQ(fairlead("add", {"n", "--netns", netns, "--container-id", "c2"}).status, 0);
  log();
  EXPECT_EQ(fairlead("gc", {"n"}).out, "n: 0 removed, 2 kept\n");
  EXPECT_EQ(calls(), (Strings{"first GC", "second GC"}));
  EXPECT_EQ(fairlead("gc", {"n", "--valid", "c2/eth0", "--dry-run"}).out,
            "would remove c1 eth0 (live)\nn: 1 to remove, 1 kept\n");
  EXPECT_EQ(calls(), Strings{});
  const Output output = fairlead("gc", {"n", "--valid", "c2/eth0", "--json"});
  EXPECT_EQ(output.status, 0) << output.err;
  const Json json = Json::parse(output.out);
  EXPECT_EQ(json["removed"].size(), 1U);
  EXPECT_EQ(json["removed"][0]["containerID"], "c1");
  EXPECT_EQ(json["kept"].size(), 1U);
  const auto lines = log();
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0].substr(0, 16), "second DEL id=c1");
  EXPECT_EQ(lines[1].substr(0, 15), "first DEL id=c1");
  EXPECT_TRUE(has(lines[2], R"("cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}])"))
      << lines[2];
  EXPECT_TRUE(has(lines[2], "first GC id= if= ns= args= ")) << lines[2];
}

TEST_F(CliScriptTest, GcIsToldToForeignPluginsFromVersion110Only) {
  network("1.0.0");
  EXPECT_EQ(fairlead("gc", {"n"}).status, 0);
  EXPECT_EQ(calls(), Strings{});
}

TEST_F(CliScriptTest, GcMayBeDisabled) {
  network("1.1.0", R"("disableGC": true, )");
  const Output output = fairlead("gc", {"n"});
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(has(output.err, "disableGC")) << output.err;
  EXPECT_EQ(calls(), Strings{});
}

TEST_F(CliScriptTest, ListShowsAttachmentsOfOtherRuntimes) {
  ASSERT_EQ(add().status, 0);
  const Json list = Json::parse(fairlead("ls", {"--json"}).out);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["network"], "n");
  EXPECT_EQ(list[0]["containerID"], "c1");
  EXPECT_EQ(list[0]["ifname"], "eth0");
  EXPECT_EQ(list[0]["addresses"], Json({"10.1.2.4/24"}));
  EXPECT_EQ(list[0]["netns"], netns);
  EXPECT_EQ(list[0]["state"], "live");
  EXPECT_TRUE(has(fairlead("ls", {"n"}).out, "n        c1         eth0       10.1.2.4/24"));
  EXPECT_EQ(fairlead("ls", {"m", "--json"}).out, "[]\n");
}

TEST_F(CliScriptTest, ExplainOfAForeignPluginRunsNothing) {
  const Output output = fairlead("explain", {"n"});
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_TRUE(has(output.out, "# plugins[0] first, " + fairlead.dir / "bin/first")) << output.out;
  EXPECT_EQ(calls(), Strings{});
}

TEST_F(CliScriptTest, VerboseTellsWhatEachPluginTookAndWhere) {
  const Output output = add({"-v"});
  EXPECT_EQ(output.status, 0);
  EXPECT_TRUE(has(output.err, "MICROSECONDS  THREAD")) << output.err;
  EXPECT_TRUE(has(output.err, "(main)  first ADD")) << output.err;
  EXPECT_TRUE(has(output.err, "(main)  second ADD")) << output.err;
}

// ---- what runs before main -----------------------------------------------------------------------

// The command line is in the plugins' binary, where anything that is initialised statically costs every call.
TEST(CliStartTest, NoStreamsAreInitialised) {
  const Output symbols = run({"nm", "-C", "--print-file-name", FAIRLEAD_PLUGIN_ARCHIVE});
  ASSERT_EQ(symbols.status, 0) << symbols.err;
  ASSERT_TRUE(has(symbols.out, "cli.cpp.o"));
  EXPECT_FALSE(has(symbols.out, "std::ios_base::Init::Init"));
}

TEST(CliStartTest, CommandLineHasNoStaticInitialiser) {
  std::istringstream symbols(run({"nm", "--print-file-name", FAIRLEAD_PLUGIN_ARCHIVE}).out);
  size_t seen = 0;
  for (std::string line; std::getline(symbols, line);) {
    if (!has(line, ":cli.cpp.o:")) continue;
    ++seen;
    EXPECT_FALSE(has(line, "_GLOBAL__sub_I")) << line;
  }
  EXPECT_GT(seen, 0U);
}

}  // namespace
}  // namespace fairlead::plugin
