// The files in conf/ read well: each is a network of built-in plugins, listed as a test, shown in the README,
// and in nobody's way.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "plugin/network_list.h"
#include "plugin/plugin.h"
#include "runtime/runtime.h"

namespace fairlead::plugin {
namespace {

const std::filesystem::path kSource = FAIRLEAD_SOURCE_DIR;

std::vector<NetworkList> networks() {
  std::vector<NetworkList> lists;
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "conf")) {
    lists.push_back(NetworkList::load(entry.path().string(), {}));
  }
  return lists;
}

std::string readText(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Conf, NamesOnlyBuiltInPlugins) {
  for (const NetworkList& list : networks()) {
    for (const PluginConf& plugin : list.plugins) {
      EXPECT_NE(findPlugin(plugin.type), nullptr) << list.file << ": " << plugin.type;
      if (!plugin.conf.contains("ipam")) continue;
      const std::string ipam = plugin.conf.at("ipam").at("type");
      EXPECT_NE(findPlugin(ipam), nullptr) << list.file << ": " << ipam;
    }
  }
}

TEST(Conf, SharesNoNameNorBridge) {
  std::set<std::string> names;
  std::set<std::string> bridges;
  for (const NetworkList& list : networks()) {
    EXPECT_TRUE(names.insert(list.name).second) << list.file << ": " << list.name;
    for (const PluginConf& plugin : list.plugins) {
      if (plugin.type != "bridge") continue;
      EXPECT_TRUE(bridges.insert(plugin.conf.at("bridge")).second) << list.file;
    }
  }
}

TEST(Conf, IsTestedFileByFile) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "conf")) {
    EXPECT_EQ(entry.path().extension(), ".conflist");
    files.insert(entry.path().stem().string());
  }
  std::istringstream list(FAIRLEAD_CONFLISTS);
  std::set<std::string> tested;
  for (std::string name; std::getline(list, name, ',');) tested.insert(name);
  EXPECT_EQ(files, tested) << "tests/conf/CMakeLists.txt lists them";
}

TEST(Conf, IsShownInTheReadme) {
  const std::string readme = readText(kSource / "README.md");
  for (const NetworkList& list : networks()) {
    const std::string file = "conf/" + std::filesystem::path(list.file).filename().string();
    EXPECT_NE(readme.find(file), std::string::npos) << file;
  }
}

TEST(Conf, IsQuotedAsItIs) {
  EXPECT_NE(readText(kSource / "README.md").find(readText(kSource / "conf/10-bridge.conflist")),
            std::string::npos);
}

}  // namespace
}  // namespace fairlead::plugin

int fairlead::goMain(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
