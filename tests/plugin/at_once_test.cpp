// Two calls at once, or a call and a hand on the host: whoever wins, each ends with success or with an error
// in CNI's words, and a DEL puts everything right. Root.
#include <filesystem>
#include <memory>

#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

using netns::shell;
using nlohmann::json;

class AtOnceTest : public BridgeTest {
 protected:
  static constexpr int kRounds = 12;

  static CniCall gcCall(const std::set<std::string>& valid) {
    json document = json::parse(masq());
    document["cni.dev/valid-attachments"] = json::array();
    for (const std::string& id : valid)
      document["cni.dev/valid-attachments"].push_back({{"containerID", id}, {"ifname", "eth0"}});
    return {.command = "GC", .conf = document.dump(), .netns = "", .container = "", .ifname = ""};
  }
  static std::string masq() { return conf({{"ipMasq", true}}); }

  // both() makes two calls at once, the second one first in every other round.
  static std::pair<CniOutcome, CniOutcome> both(const CniCall& one, const CniCall& two, int round) {
    const bool swap = round % 2 == 1;
    CniProcess first(swap ? two : one);
    CniProcess second(swap ? one : two);
    const CniOutcome a = first.wait();
    const CniOutcome b = second.wait();
    for (const CniOutcome& outcome : {a, b}) {
      EXPECT_TRUE(outcome.status == 0 || outcome.status == 1) << outcome.err;
      if (outcome.status == 1) {
        EXPECT_NE(outcome.msg(), "");
      }
    }
    return swap ? std::pair{b, a} : std::pair{a, b};
  }
  // withHand() makes a call while a shell command changes the host.
  static CniOutcome withHand(const CniCall& call, const std::string& command) {
    CniProcess process(call);
    shell(command);
    return process.wait();
  }
  static void expectClean(const std::string& netns) {
    EXPECT_EQ(inside(netns, "ip link show dev eth0"), "");
    EXPECT_EQ(reservations(), std::set<std::string>{});
    EXPECT_EQ(records(), std::set<std::string>{});
    EXPECT_EQ(shell("nft list ruleset").text.find("masq-"), std::string::npos);
    for (const std::string& link : links()) EXPECT_TRUE(link == "lo" || link == "br0") << link;
  }
};

TEST_F(AtOnceTest, AddAgainstDelOfTheSameAttachment) {
  const std::string c1 = container("c1");
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    both(call("ADD", masq(), c1), call("DEL", masq(), c1), round);
    del(masq(), c1);
    expectClean(c1);
  }
}

TEST_F(AtOnceTest, DelAgainstDel) {
  const std::string c1 = container("c1");
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const json result = add(masq(), c1);
    const CniCall once = call("DEL", withResult(masq(), result), c1);
    both(once, call("DEL", masq(), c1), round);
    del(masq(), c1);
    expectClean(c1);
  }
}

TEST_F(AtOnceTest, AddAgainstGcThatKnowsItKeepsEverything) {
  const std::string c1 = container("c1");
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const auto [added, collected] = both(call("ADD", masq(), c1), gcCall({"c1"}), round);
    EXPECT_EQ(collected.status, 0) << collected.out;
    ASSERT_EQ(added.status, 0) << added.out;
    const CniOutcome checked = cni(call("CHECK", withResult(masq(), added.json()), c1));
    EXPECT_EQ(checked.status, 0) << checked.out;
    del(masq(), c1, "c1", added.json());
    expectClean(c1);
  }
}

TEST_F(AtOnceTest, AddAgainstGcThatDoesNotKnowIt) {
  const std::string c1 = container("c1");
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    both(call("ADD", masq(), c1), gcCall({}), round);
    del(masq(), c1);
    expectClean(c1);
  }
}

TEST_F(AtOnceTest, TwoGcs) {
  for (int round = 0; round < kRounds / 2 && !HasFailure(); ++round) {
    for (const char* name : {"c1", "c2", "c3"}) {
      const std::string id = name + std::to_string(round);
      add(masq(), container(id), id);
    }
    both(gcCall({}), gcCall({}), round);
    EXPECT_EQ(gc(masq()).status, 0);
    expectClean("/run/netns/c1" + std::to_string(round));
    EXPECT_EQ(links(), (std::set<std::string>{"lo"}));
  }
}

TEST_F(AtOnceTest, ABridgeThatIsDeletedByHand) {
  const std::string c1 = container("c1");
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const CniOutcome outcome = withHand(call("ADD", masq(), c1), "ip link del br0");
    EXPECT_TRUE(outcome.status == 0 || outcome.status == 1) << outcome.err;
    withHand(call("DEL", masq(), c1), "ip link del br0");
    del(masq(), c1);
    expectClean(c1);
  }
}

TEST_F(AtOnceTest, ANamespaceThatVanishes) {
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const std::string c1 = container("c1");
    const bool early = round % 2 == 0;
    if (!early) add(masq(), c1);
    const CniOutcome outcome = withHand(call(early ? "ADD" : "DEL", masq(), c1), "ip netns del c1");
    EXPECT_TRUE(outcome.status == 0 || outcome.status == 1) << outcome.err;
    del(masq(), c1);
    EXPECT_EQ(reservations(), std::set<std::string>{});
    EXPECT_EQ(records(), std::set<std::string>{});
    EXPECT_EQ(shell("nft list ruleset").text.find("masq-"), std::string::npos);
  }
}

}  // namespace
}  // namespace fairlead::plugin
