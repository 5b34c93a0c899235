// The host of the command line's root tests: every test is one of its own, a network namespace with nothing
// but lo, and a mount namespace in which /run and /var/lib are empty.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/plugin/command.h"

namespace fairlead::plugin::test {

using Json = nlohmann::ordered_json;

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class CliRootTest : public testing::Test {
 protected:
  explicit CliRootTest(const std::string& cniPath = FAIRLEAD_CNI_DIR) : fairlead(cniPath) {}

  static void SetUpTestSuite() {
    if (::geteuid() != 0) return;
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    for (const char* directory : {"/run", "/var/lib"}) {
      ASSERT_EQ(::mount("tmpfs", directory, "tmpfs", 0, "mode=755"), 0) << directory;
    }
  }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to make namespaces";
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    must({"ip", "link", "set", "lo", "up"});
    must({"ip", "netns", "add", "web"});
  }
  // Every test has to have disconnected what it has connected.
  void TearDown() override {
    if (IsSkipped()) return;
    run({"ip", "netns", "del", "web"});
    EXPECT_EQ(fairlead("ls", {"--json"}).out, "[]\n");
    EXPECT_EQ(reservations(), "");
    const Output links = run({"ip", "-br", "link", "show", "type", "veth"});
    EXPECT_EQ(links.out, "");
    EXPECT_EQ(run({"sh", "-c", "ls /run/fairlead 2>/dev/null"}).out, "")
        << "records outside FAIRLEAD_RUN_DIR";
  }

  static std::string must(const std::vector<std::string>& argv) {
    const Output output = run(argv);
    EXPECT_EQ(output.status, 0) << argv[0] << ": " << output.err;
    return output.out;
  }
  static Json ip(std::vector<std::string> words) {
    words.insert(words.begin(), {"ip", "-j"});
    const std::string text = must(words);
    return text.empty() ? Json::array() : Json::parse(text);
  }
  // reservations() are the addresses that host-local holds for a network of bridge().
  std::string reservations() const {
    return run({"sh", "-c", "cd '" + fairlead.dir / "ipam" + "' 2>/dev/null && ls -d */[0-9]* 2>/dev/null"})
        .out;
  }
  std::string addressOf(const std::string& netns) const {
    const Json link = ip({"-n", netns, "-4", "addr", "show", "dev", "eth0"});
    return link.at(0).at("addr_info").at(0).at("local").get<std::string>();
  }

  void bridge(const std::string& version, const std::string& more = "") const {
    fairlead.conf("10-net.conflist", R"({"cniVersion": ")" + version + R"(", "name": "net", "plugins": [
        {"type": "bridge", "bridge": "cbr0", "isGateway": true, "ipMasq": true, "capabilities": {"mac": true},
         "ipam": {"type": "host-local", "dataDir": ")" +
                                         fairlead.dir / "ipam" + R"(",
                  "ranges": [[{"subnet": "10.99.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}})" +
                                         more + "]}");
  }

  const Cli fairlead;
};

}  // namespace fairlead::plugin::test
