// The bridge plugin when others are at it too: at once, killed half-way, or another implementation.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "plugin/names.h"
#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

using netns::shell;
using nlohmann::json;

constexpr const char* kReference = "/usr/lib/cni";

CniCall by(const char* directory, CniCall call) {
  call.directory = directory;
  return call;
}

// ---- at once -----------------------------------------------------------------------------------

TEST_F(BridgeTest, EightAddsAtOnceOnAFreshHost) {
  constexpr int kContainers = 8;
  const std::string masq = conf({{"ipMasq", true}});
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<CniProcess>> processes;
    for (int i = 0; i < kContainers; ++i) {
      const std::string name = "r" + std::to_string(round) + "c" + std::to_string(i);
      processes.push_back(std::make_unique<CniProcess>(call("ADD", masq, container(name), name)));
    }
    std::set<std::string> addresses;
    for (const auto& process : processes) {
      const CniOutcome outcome = process->wait();
      ASSERT_EQ(outcome.status, 0) << outcome.out << outcome.err;
      addresses.insert(outcome.json().at("ips")[0].at("address").get<std::string>());
    }
    EXPECT_EQ(addresses.size(), size_t{kContainers});
    EXPECT_EQ(netns::look("ip -j link show type bridge").size(), 1U);
    EXPECT_EQ(netns::look("ip -j link show master br0").size(), size_t{kContainers});
    for (int i = 0; i < kContainers; ++i) {
      const std::string name = "r" + std::to_string(round) + "c" + std::to_string(i);
      EXPECT_TRUE(pings("/run/netns/" + name, "10.1.0.1"));
    }
    processes.clear();
    for (int i = 0; i < kContainers; ++i) {
      const std::string name = "r" + std::to_string(round) + "c" + std::to_string(i);
      processes.push_back(std::make_unique<CniProcess>(call("DEL", masq, "/run/netns/" + name, name)));
    }
    for (const auto& process : processes) {
      const CniOutcome outcome = process->wait();
      EXPECT_EQ(outcome.status, 0) << outcome.out;
    }
    EXPECT_TRUE(reservations().empty());
    EXPECT_EQ(gc(masq).status, 0);
    EXPECT_EQ(links(), (std::set<std::string>{"lo"}));
  }
}

// ---- killed half-way ---------------------------------------------------------------------------

// An ADD is killed as it makes its n-th system call of a kind, for every n and every kind that leaves
// something behind.
class KilledAddTest : public BridgeTest {
 protected:
  // forEachPoint() kills one ADD at each point, has `recover` put things right, and returns the number of
  // points.
  template <class F>
  static int forEachPoint(const std::string& conf, const std::string& netns, const F& recover) {
    int points = 0;
    for (const char* kind :
         {"sendto", "linkat", "renameat", "pwrite64", "write", "setns", "socket", "openat"}) {
      for (int n = 1; kill(kind, n, conf, netns); ++n, ++points) {
        SCOPED_TRACE(std::string("killed at ") + kind + " " + std::to_string(n));
        recover();
        if (HasFailure()) return points;
      }
      del(conf, netns);  // of the ADD that went through
      EXPECT_EQ(gc(conf).status, 0);
    }
    return points;
  }

  static void expectNothing() {
    EXPECT_EQ(links(), (std::set<std::string>{"lo"}));
    EXPECT_EQ(reservations(), std::set<std::string>{});
    EXPECT_EQ(records(), std::set<std::string>{});
    EXPECT_EQ(shell("nft list ruleset").text, "");
  }

 private:
  // kill() returns false when the ADD had come to its end before.
  static bool kill(const std::string& kind, int n, const std::string& conf, const std::string& netns) {
    CniCall add = call("ADD", conf, netns);
    add.wrapper = "strace -f -o /dev/null -e inject=" + kind + ":signal=KILL:when=" + std::to_string(n);
    return cni(add).status != 0;
  }
};

TEST_F(KilledAddTest, DelCleansUp) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  const int points = forEachPoint(masq, c1, [&] {
    del(masq, c1);
    EXPECT_EQ(reservations(), std::set<std::string>{});
    EXPECT_EQ(records(), std::set<std::string>{});
    EXPECT_EQ(inside(c1, "ip link show dev eth0"), "");
    EXPECT_EQ(shell("nft list ruleset").text.find("masq-"), std::string::npos);
    EXPECT_EQ(gc(masq).status, 0);
    expectNothing();
  });
  EXPECT_GT(points, 20);
}

TEST_F(KilledAddTest, GcCleansUp) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  const int points = forEachPoint(masq, c1, [&] {
    const CniOutcome outcome = gc(masq);
    EXPECT_EQ(outcome.status, 0) << outcome.out;
    expectNothing();
  });
  EXPECT_GT(points, 20);
}

TEST_F(KilledAddTest, AnotherAddSucceeds) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  const int points = forEachPoint(masq, c1, [&] {
    add(masq, c1);
    EXPECT_TRUE(pings(c1, "10.1.0.1"));
    EXPECT_EQ(reservations().size(), 1U);
    del(masq, c1);
  });
  EXPECT_GT(points, 20);
}

// ---- switching over ----------------------------------------------------------------------------

class SwitchOverTest : public BridgeTest {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(std::string(kReference) + "/bridge")) {
      GTEST_SKIP() << "the reference plugins are not installed (package containernetworking-plugins)";
    }
    BridgeTest::SetUp();
  }
  // The reference knows versions up to 1.0.0.
  const std::string conf_ = conf({{"cniVersion", "1.0.0"}});
};

TEST_F(SwitchOverTest, OursDeletesWhatTheReferenceAdded) {
  const std::string c1 = container("c1");
  const CniOutcome added = cni(by(kReference, call("ADD", conf_, c1)));
  ASSERT_EQ(added.status, 0) << added.out;
  const CniOutcome checked = cni(call("CHECK", withResult(conf_, added.json()), c1));
  EXPECT_EQ(checked.status, 0) << checked.out;
  del(conf_, c1, "c1", added.json());
  EXPECT_TRUE(reservations().empty());
  EXPECT_EQ(links(), (std::set<std::string>{"lo", "br0"}));
  shell("ip link del br0");
}

TEST_F(SwitchOverTest, OursDeletesTheReferencesMasquerading) {
  const std::string c1 = container("c1");
  const std::string masq = conf({{"cniVersion", "1.0.0"}, {"ipMasq", true}});
  const CniOutcome added = cni(by(kReference, call("ADD", masq, c1)));
  ASSERT_EQ(added.status, 0) << added.out;
  ASSERT_NE(shell("iptables-save -t nat").text.find("CNI-"), std::string::npos);
  const CniOutcome checked = cni(call("CHECK", withResult(masq, added.json()), c1));
  EXPECT_EQ(checked.status, 0) << checked.out;
  del(masq, c1, "c1", added.json());
  EXPECT_EQ(shell("iptables-save -t nat").text.find("CNI-"), std::string::npos);
  shell("ip link del br0; nft flush ruleset");
}

TEST_F(SwitchOverTest, OursDeletesTheRulesOfTheNftablesBackend) {
  const std::string c1 = container("c1");
  const std::string masq = conf({{"ipMasq", true}});
  // As later versions of the reference write them.
  const Attachment attachment{.network = "net", .containerId = "c1", .ifname = "eth0"};
  const std::string rule =
      "nft add rule inet cni_plugins_masquerade masq_checks ip saddr == 10.1.0.2 masquerade comment ";
  ASSERT_EQ(shell("nft add table inet cni_plugins_masquerade; nft add chain inet cni_plugins_masquerade "
                  "masq_checks; " +
                  rule + "\\\"" + names::comment(attachment) + "\\\"; " + rule + "\\\"another\\\"")
                .status,
            0);
  del(masq, c1);
  const std::string rules = shell("nft list ruleset").text;
  EXPECT_EQ(rules.find("if: eth0"), std::string::npos) << rules;
  EXPECT_NE(rules.find("another"), std::string::npos) << rules;
  shell("nft flush ruleset");
}

TEST_F(SwitchOverTest, TheReferenceDeletesWhatOursAdded) {
  const std::string c1 = container("c1");
  const json result = add(conf_, c1);
  const CniOutcome checked = cni(by(kReference, call("CHECK", withResult(conf_, result), c1)));
  EXPECT_EQ(checked.status, 0) << checked.out;
  const CniOutcome deleted = cni(by(kReference, call("DEL", withResult(conf_, result), c1)));
  EXPECT_EQ(deleted.status, 0) << deleted.out;
  EXPECT_TRUE(reservations().empty());
  EXPECT_EQ(links(), (std::set<std::string>{"lo", "br0"}));
}

TEST_F(SwitchOverTest, BothShareABridgeAndAPool) {
  const std::string c1 = container("c1");
  const std::string c2 = container("c2");
  ASSERT_EQ(cni(by(kReference, call("ADD", conf_, c1, "c1"))).status, 0);
  EXPECT_EQ(add(conf_, c2, "c2").at("ips")[0].at("address"), "10.1.0.3/24");
  EXPECT_TRUE(pings(c1, "10.1.0.3"));
  del(conf_, c1, "c1");
  del(conf_, c2, "c2");
  shell("ip link del br0");
}

TEST_F(SwitchOverTest, ResultsAreAlike) {
  for (const std::string version : {"0.2.0", "0.3.1", "0.4.0", "1.0.0"}) {
    const std::string c1 = container("c1");
    const std::string network =
        conf({{"cniVersion", version}, {"isDefaultGateway", true}, {"ipam", {{"routes", nullptr}}}});
    json results[2];
    for (int i = 0; i < 2; ++i) {
      const char* directory = i == 0 ? kReference : FAIRLEAD_CNI_DIR;
      const CniOutcome outcome = cni(by(directory, call("ADD", network, c1)));
      ASSERT_EQ(outcome.status, 0) << outcome.out;
      results[i] = outcome.json();
      // The reference of Debian 12 prints an empty one, later ones do not.
      if (results[i].contains("dns") && results[i]["dns"].empty()) results[i].erase("dns");
      ASSERT_EQ(cni(by(directory, call("DEL", network, c1))).status, 0);
      std::filesystem::remove_all(kDataDir);
    }
    for (json& result : results) {
      if (!result.contains("interfaces")) continue;
      for (json& interface : result["interfaces"]) interface.erase("mac");
      result["interfaces"][1].erase("name");
    }
    EXPECT_EQ(results[0], results[1]) << version;
    shell("ip netns del c1; ip link del br0");
  }
}

// ---- where threads are -------------------------------------------------------------------------

std::string namespaceOf(const std::string& task) {
  std::error_code gone;
  return std::filesystem::read_symlink(task + "/ns/net", gone).string();
}

// childOf() is the process that strace started, 0 before it has.
int childOf(int pid) {
  int child = 0;
  std::ifstream("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children") >> child;
  return child;
}

// An ADD has no other thread: a worker for the masquerading costs what it saves (tests/bench/README.md).
// Threads that are started while main is in another namespace are the business of runtime.born_clean.
TEST_F(BridgeTest, OnlyTheMainThreadIsEverInTheContainer) {
  const std::string c1 = container("c1");
  const std::string host = namespaceOf("/proc/thread-self");
  CniCall request = call("ADD", conf({{"ipMasq", true}}), c1);
  // Stay a while after each entering and leaving, to be seen.
  request.wrapper = "strace -f -o /dev/null -e inject=setns:delay_exit=100000";
  CniProcess process(request);
  bool mainInside = false;
  while (process.running()) {
    const int pid = childOf(process.pid());
    if (pid == 0) continue;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    const std::string main = namespaceOf(tasks + "/" + std::to_string(pid));
    mainInside |= !main.empty() && main != host;
    std::error_code gone;
    for (const auto& task : std::filesystem::directory_iterator(tasks, gone))
      ASSERT_EQ(task.path().filename(), std::to_string(pid));
  }
  const CniOutcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_TRUE(mainInside);
}

}  // namespace
}  // namespace fairlead::plugin
