#include "plugin/network_list.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "plugin/error.h"
#include "plugin/file.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

// A directory of configurations that is gone afterwards.
class NetDir {
 public:
  NetDir() {
    std::string name = testing::TempDir() + "/net.d.XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~NetDir() { fs::remove_all(path_); }
  NetDir(const NetDir&) = delete;
  NetDir& operator=(const NetDir&) = delete;

  std::string write(const std::string& name, std::string_view text) const {
    const fs::path file = fs::path(path_) / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return file.string();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string faultOf(const std::string& text, const std::string& file = "x.conflist") {
  try {
    NetworkList::parse(text, file);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

std::string faultOfLoading(const std::string& network, const std::string& netDir) {
  try {
    NetworkList::load(network, netDir);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

// ---- faults ------------------------------------------------------------------------------------

struct Fault {
  const char* text;
  const char* message;
};

class NetworkListFaults : public testing::TestWithParam<Fault> {};

TEST_P(NetworkListFaults, NameFilePathValueAndRule) {
  EXPECT_EQ(faultOf(GetParam().text), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Documents, NetworkListFaults,
    testing::Values(
        Fault{"", "x.conflist:1:1: unexpected end of JSON input"},
        Fault{"{\n  \"name\": nope\n}",
              "x.conflist:2:12: invalid character 'o' in literal null (expecting 'u')"},
        Fault{"[1]", "x.conflist: [1]: must be an object"},
        Fault{"{}", "x.conflist: name: missing: must not be empty: it is what the network is called"},
        Fault{R"({"name": ""})",
              R"(x.conflist: name: "": must not be empty: it is what the network is called)"},
        Fault{R"({"name": 5})", "x.conflist: name: 5: must be a string"},
        Fault{R"({"name": "../etc"})",
              R"(x.conflist: name: "../etc": must begin with a letter or digit; then also '_', '.', '-')"},
        Fault{R"({"name": "a b"})",
              R"(x.conflist: name: "a b": must begin with a letter or digit; then also '_', '.', '-')"}));

INSTANTIATE_TEST_SUITE_P(
    Versions, NetworkListFaults,
    testing::Values(Fault{R"({"name": "n", "cniVersion": 1})", "x.conflist: cniVersion: 1: must be a string"},
                    Fault{R"({"name": "n", "cniVersion": "1.0.0.0"})",
                          R"(x.conflist: cniVersion: "1.0.0.0": must be a version such as 1.0.0)"},
                    Fault{R"({"name": "n", "cniVersions": "1.0.0"})",
                          R"(x.conflist: cniVersions: "1.0.0": must be a list of versions)"},
                    Fault{R"({"name": "n", "cniVersions": ["1.0.0", 2]})",
                          "x.conflist: cniVersions[1]: 2: must be a string"},
                    Fault{R"({"name": "n", "cniVersions": ["one"]})",
                          R"(x.conflist: cniVersions[0]: "one": must be a version such as 1.0.0)"}));

INSTANTIATE_TEST_SUITE_P(
    Switches, NetworkListFaults,
    testing::Values(Fault{R"({"name": "n", "disableCheck": 1})",
                          "x.conflist: disableCheck: 1: must be true or false"},
                    Fault{R"({"name": "n", "disableGC": "maybe"})",
                          R"(x.conflist: disableGC: "maybe": must be true or false)"},
                    Fault{R"({"name": "n", "loadOnlyInlinedPlugins": []})",
                          "x.conflist: loadOnlyInlinedPlugins: []: must be true or false"}));

INSTANTIATE_TEST_SUITE_P(
    Plugins, NetworkListFaults,
    testing::Values(
        Fault{R"({"name": "n"})", "x.conflist: plugins: missing: must have at least one entry"},
        Fault{R"({"name": "n", "loadOnlyInlinedPlugins": true})",
              "x.conflist: plugins: missing: must be there because loadOnlyInlinedPlugins is true"},
        Fault{R"({"name": "n", "plugins": {}})",
              "x.conflist: plugins: {}: must be a list of plugin configurations"},
        Fault{R"({"name": "n", "plugins": []})", "x.conflist: plugins: []: must have at least one entry"},
        Fault{R"({"name": "n", "plugins": ["bridge"]})",
              R"(x.conflist: plugins[0]: "bridge": must be an object)"},
        Fault{R"({"name": "n", "plugins": [{"type": "a"}, {}]})",
              "x.conflist: plugins[1].type: missing: must not be empty: it names the plugin's binary"},
        Fault{R"({"name": "n", "plugins": [{"type": "a"}, {"type": ""}]})",
              R"(x.conflist: plugins[1].type: "": must not be empty: it names the plugin's binary)"},
        Fault{R"({"name": "n", "plugins": [{"type": 7}]})",
              "x.conflist: plugins[0].type: 7: must be a string"},
        Fault{R"({"name": "n", "plugins": [{"type": "../sh"}]})",
              R"(x.conflist: plugins[0].type: "../sh": must not contain '/')"},
        Fault{R"({"name": "n", "plugins": [{"type": "a", "capabilities": ["mac"]}]})",
              R"(x.conflist: plugins[0].capabilities: ["mac"]: must be an object)"},
        Fault{R"({"name": "n", "plugins": [{"type": "a", "capabilities": {"mac": "yes"}}]})",
              R"(x.conflist: plugins[0].capabilities.mac: "yes": must be true or false)"}));

TEST(NetworkListTest, LongValueIsCutInAMessage) {
  const std::string fault = faultOf(R"({"name": "n", "plugins": [")" + std::string(1000, 'x') + R"("]})");
  EXPECT_EQ(fault, "x.conflist: plugins[0]: \"" + std::string(59, 'x') + "...: must be an object");
}

TEST(NetworkListTest, FaultOfASinglePluginHasNoListInItsPath) {
  EXPECT_EQ(faultOf(R"({"name": "n", "type": ""})", "x.conf"),
            R"(x.conf: type: "": must not be empty: it names the plugin's binary)");
}

TEST(NetworkListTest, FaultsWithinAChainHaveItsPlace) {
  const auto fault = [](const std::string& plugins) {
    return faultOf(R"({"name": "n", "plugins": [{"type": "fairlead", "plugins": )" + plugins + "}]}",
                   "x.conflist");
  };
  EXPECT_EQ(
      fault(R"([{"type": "a"}, {}])"),
      R"(x.conflist: plugins[0].plugins[1].type: missing: must not be empty: it names the plugin's binary)");
  EXPECT_EQ(
      fault("[]"),
      "x.conflist: plugins[0].plugins: []: must be a list of plugin configurations, with at least one entry");
  EXPECT_EQ(
      fault(R"([{"type": "fairlead", "plugins": [{"type": "a"}]}])"),
      R"(x.conflist: plugins[0].plugins[0].type: "fairlead": must be another: a chain has no chains in it)");
}

// ---- what is accepted --------------------------------------------------------------------------

TEST(NetworkListTest, ListIsRead) {
  const auto list = NetworkList::parse(
      R"({"cniVersion": "1.0.0", "name": "n", "disableCheck": "TRUE", "disableGC": true,
          "plugins": [{"type": "a", "capabilities": {"mac": true}}, {"type": "b"}]})",
      "x.conflist");
  EXPECT_EQ(list.name, "n");
  EXPECT_EQ(list.cniVersion, "1.0.0");
  EXPECT_TRUE(list.disableCheck);
  EXPECT_TRUE(list.disableGC);
  ASSERT_EQ(list.plugins.size(), 2U);
  EXPECT_EQ(list.plugins[0].type, "a");
  EXPECT_EQ(list.plugins[1].type, "b");
}

TEST(NetworkListTest, MembersAreThoseOfChainsToo) {
  const auto list = NetworkList::parse(
      R"({"name": "n", "plugins": [{"type": "a"}, {"type": "fairlead", "plugins": [{"type": "b"}, {"type": "c"}]},
                                   {"type": "d"}]})",
      "x.conflist");
  std::string types;
  for (const PluginConf& member : list.members()) types += member.type;
  EXPECT_EQ(types, "abcd");
  EXPECT_EQ(list.plugins.size(), 3U);
}

TEST(NetworkListTest, HighestKnownOfSeveralVersionsWins) {
  const auto version = [](const std::string& members) {
    return NetworkList::parse(R"({"name": "n", "plugins": [{"type": "a"}])" + members + "}", "x.conflist")
        .cniVersion;
  };
  EXPECT_EQ(version(""), "");
  EXPECT_EQ(version(R"(, "cniVersions": ["0.4.0", "1.1.0", "1.0.0"])"), "1.1.0");
  EXPECT_EQ(version(R"(, "cniVersion": "0.4.0", "cniVersions": ["0.3.1", "2.0.0"])"), "0.4.0");
  EXPECT_EQ(version(R"(, "cniVersion": "0.4.0", "cniVersions": [])"), "0.4.0");
}

TEST(NetworkListTest, SinglePluginBecomesAListOfOne) {
  const auto list = NetworkList::parse(R"({"type": "bridge", "cniVersion": "0.4.0", "name": "n"})", "x.conf");
  ASSERT_EQ(list.plugins.size(), 1U);
  EXPECT_EQ(list.plugins[0].type, "bridge");
  EXPECT_EQ(
      list.text,
      R"({"cniVersion":"0.4.0","name":"n","plugins":[{"cniVersion":"0.4.0","name":"n","type":"bridge"}]})");
}

TEST(NetworkListTest, DropInsFollowTheListedPlugins) {
  const NetDir dir;
  const std::string file = dir.write("10-n.conflist", R"({"name": "n", "plugins": [{"type": "first"}]})");
  dir.write("n/20-c.conf", R"({"type": "third"})");
  dir.write("n/10-b.conf", R"({"type": "second"})");
  dir.write("n/30-d.json", R"({"type": "not taken"})");
  dir.write("m/10-b.conf", R"({"type": "another network's"})");
  const auto list = NetworkList::load(file, "/nowhere");
  ASSERT_EQ(list.plugins.size(), 3U);
  EXPECT_EQ(list.plugins[1].type, "second");
  EXPECT_EQ(list.plugins[2].type, "third");
}

TEST(NetworkListTest, DropInsAreNotReadWhenOnlyInlinedOnesAreWanted) {
  const NetDir dir;
  dir.write("n.conflist",
            R"({"name": "n", "loadOnlyInlinedPlugins": "true", "plugins": [{"type": "first"}]})");
  dir.write("n/10-b.conf", "not even JSON");
  EXPECT_EQ(NetworkList::load("n", dir.path()).plugins.size(), 1U);
}

TEST(NetworkListTest, FaultOfADropInNamesItsFile) {
  const NetDir dir;
  dir.write("n.conflist", R"({"name": "n"})");
  const std::string dropIn = dir.write("n/10-b.conf", R"({"type": 1})");
  EXPECT_EQ(faultOfLoading("n", dir.path()), dropIn + ": type: 1: must be a string");
}

// ---- finding -----------------------------------------------------------------------------------

TEST(NetworkListTest, ListsComeBeforeSinglePlugins) {
  const NetDir dir;
  dir.write("10-n.conf", R"({"name": "n", "type": "single"})");
  dir.write("20-n.conflist", R"({"name": "n", "plugins": [{"type": "listed"}]})");
  dir.write("30-m.json", R"({"name": "m", "type": "other"})");
  EXPECT_EQ(NetworkList::load("n", dir.path()).plugins[0].type, "listed");
  EXPECT_EQ(NetworkList::load("m", dir.path()).plugins[0].type, "other");
}

TEST(NetworkListTest, NetworkThatIsNotThereIsToldWithThoseThatAre) {
  const NetDir dir;
  EXPECT_EQ(faultOfLoading("x", dir.path()),
            dir.path() + ": no network configurations here (*.conflist, *.conf, *.json)");
  EXPECT_EQ(faultOfLoading("x", dir.path() + "/none"),
            dir.path() + "/none: no network configurations here (*.conflist, *.conf, *.json)");
  dir.write("a.conflist", R"({"name": "a", "plugins": [{"type": "t"}]})");
  dir.write("b.conf", R"({"name": "b", "type": "t"})");
  EXPECT_EQ(faultOfLoading("x", dir.path()), dir.path() + ": no network is called \"x\" (there are: a, b)");
}

TEST(NetworkListTest, FileThatIsNotThereIsTold) {
  EXPECT_EQ(faultOfLoading("./none.conflist", "/nowhere"), "./none.conflist: no such file");
}

TEST(NetworkListTest, BrokenFileOnTheWayIsTold) {
  const NetDir dir;
  const std::string file = dir.write("10-a.conflist", "{");
  dir.write("20-b.conflist", R"({"name": "b", "plugins": [{"type": "t"}]})");
  EXPECT_EQ(faultOfLoading("b", dir.path()).substr(0, file.size()), file);
}

TEST(NetworkListTest, FifoIsRefusedWithoutWaiting) {
  const NetDir dir;
  const std::string fifo = dir.path() + "/x.conflist";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NE(faultOfLoading(fifo, "/nowhere").find("not a regular file"), std::string::npos);
}

TEST(NetworkListTest, BareWordIsAName) {
  EXPECT_TRUE(asFile("/etc/cni/net.d/x"));
  EXPECT_TRUE(asFile("./x"));
  EXPECT_FALSE(asFile("x"));
  EXPECT_FALSE(asFile("x.conflist"));  // not there
}

// ---- what a plugin gets on its standard input --------------------------------------------------

NetworkList sample() {
  return NetworkList::parse(
      R"({"cniVersion": "1.0.0", "name": "n", "plugins": [
          {"type": "a", "mtu": 1500.0, "zeta": {"y": 1e3, "x": [0.5, "<&>"]}, "big": 9007199254740993,
           "capabilities": {"mac": true, "ips": false}}, {"type": "b"}]})",
      "x.conflist");
}

TEST(NetworkListTest, InputIsCompactAndSortedWithNameAndVersion) {
  EXPECT_EQ(sample().input(1, nullptr, Json::object()), R"({"cniVersion":"1.0.0","name":"n","type":"b"})");
  EXPECT_EQ(
      sample().input(0, nullptr, Json::object()),
      R"({"big":9007199254740993,"capabilities":{"ips":false,"mac":true},"cniVersion":"1.0.0","mtu":1500,)"
      R"("name":"n","type":"a","zeta":{"x":[0.5,"\u003c\u0026\u003e"],"y":1000}})");
}

TEST(NetworkListTest, InputHasOnlyTheCapabilitiesThatThePluginAsksFor) {
  const Json args = {{"mac", "02:00:00:00:00:01"}, {"ips", {"10.0.0.1"}}, {"portMappings", Json::array()}};
  EXPECT_NE(sample().input(0, nullptr, args).find(R"("runtimeConfig":{"mac":"02:00:00:00:00:01"})"),
            std::string::npos);
  EXPECT_EQ(sample().input(1, nullptr, args).find("runtimeConfig"), std::string::npos);
}

TEST(NetworkListTest, InputHasThePreviousResult) {
  Result result;
  Interface& interface = result.interfaces.emplace_back();
  interface.name = "eth0";
  interface.mac = "02:00:00:00:00:01";
  interface.sandbox = "/run/netns/x";
  IPConfig& ip = result.ips.emplace_back();
  ip.interface = 0;
  ip.address = *netns::Prefix::parse("10.0.0.2/24");
  ip.gateway = netns::IP::parse("10.0.0.1");
  EXPECT_EQ(sample().input(1, &result, Json::object()),
            R"({"cniVersion":"1.0.0","name":"n","prevResult":{"cniVersion":"1.0.0","interfaces":)"
            R"([{"mac":"02:00:00:00:00:01","name":"eth0","sandbox":"/run/netns/x"}],)"
            R"("ips":[{"address":"10.0.0.2/24","gateway":"10.0.0.1","interface":0}]},"type":"b"})");
}

TEST(NetworkListTest, StatusAndGcInputConcernNoContainer) {
  EXPECT_EQ(sample().statusInput(1), R"({"cniVersion":"1.0.0","name":"n","type":"b"})");
  EXPECT_EQ(sample().gcInput(1, {{"n", "c1", "eth0"}}),
            R"({"cni.dev/attachments":[{"containerID":"c1","ifname":"eth0"}],)"
            R"("cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}],)"
            R"("cniVersion":"1.1.0","name":"n","type":"b"})");
  EXPECT_EQ(sample().gcInput(1, {}), R"({"cni.dev/attachments":[],"cni.dev/valid-attachments":[],)"
                                     R"("cniVersion":"1.1.0","name":"n","type":"b"})");
}

}  // namespace
}  // namespace fairlead::plugin
