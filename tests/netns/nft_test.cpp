// nftables transactions, seen with nft's eyes. Root.
#include "netns/nft.h"

#include <string>
#include <vector>

#include "tests/netns/host.h"

namespace fairlead::netns::nft {
namespace {

using F = Match::Field;
using Json = nlohmann::json;

Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }
IP ip(std::string_view text) { return IP::parse(text).value(); }

const Table kTable{.family = Family::Inet, .name = "fairlead"};

// everything() is a transaction with every kind of line that adds.
Transaction everything(Family family = Family::Inet) {
  const bool v4 = family != Family::IPv6;
  const bool v6 = family != Family::IPv4;
  const bool nat = family != Family::Bridge;
  Transaction transaction({.family = family, .name = "fairlead"});
  transaction.addTable(false, "the table");
  if (nat)
    transaction.addChain("post", Hook{"nat", "postrouting", 100}, "where it begins");
  else
    transaction.addChain("post", Hook{"filter", "postrouting", 300});
  transaction.addChain("att-1", {}, "of one attachment").addChain("att-2");
  if (v4) {
    transaction.addVerdictMap("m4", true);
    transaction.addRule(
        {"post", {Match{F::Destination, false, prefix("224.0.0.0/4")}, Return{}}, "multicast"});
    transaction.addRule({"post", {Vmap{F::Source, true, "m4"}}, {}});
    transaction.addRule({"att-1", {Match{F::Source, false, prefix("10.1.2.3/32")}, Jump{"att-2"}}, "jump"});
    transaction.addRule({"att-1",
                         {Match{F::Source, true, prefix("10.1.2.3/17")},
                          Match{F::Destination, true, prefix("10.1.2.3/8")}, Goto{"att-2"}},
                         {}});
    transaction.addRule({"att-1", {Match{F::Source, false, prefix("0.0.0.0/0")}, Return{}}, {}});
    transaction.addElement("m4", ip("10.1.2.3"), {"att-1"}).addElement("m4", ip("10.1.2.4"), {"att-2"});
  }
  if (v6) {
    transaction.addVerdictMap("m6", false);
    transaction.addRule({"post", {Match{F::Destination, false, prefix("ff00::/8")}, Return{}}, {}});
    transaction.addRule({"post", {Vmap{F::Source, false, "m6"}}, {}});
    transaction.addRule(
        {"att-1", {Match{F::Source, true, prefix("fd00::1/61")}, Return{}}, "net: a, 'b' \\ c"});
    transaction.addRule({"att-1", {Match{F::Destination, false, prefix("fd00::1/128")}, Return{}}, {}});
    transaction.addElement("m6", ip("fd00::5"), {"att-1"});
  }
  if (nat) transaction.addRule({"att-2", {Masquerade{}}, std::string(128, 'c')});
  return transaction;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

Output feed(const NetNS& ns, const std::string& options, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(ns.fd());
  return shell("nsenter --net=" + path + " nft " + options + " -f - <<'END'\n" + text + "END");
}

class NftTest : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    ns_.emplace(NetNS::create());
    socket_.emplace(Socket::open(*ns_, Socket::Family::Netfilter));
  }
  void TearDown() override {
    socket_.reset();
    ns_.reset();
    HostTest::TearDown();
  }
  void commit(const Transaction& transaction) { transaction.commit(*socket_); }
  int refused(const Transaction& transaction) {
    return codeOf([&] { commit(transaction); });
  }
  std::string ruleset() const { return shellIn(*ns_, "nft list ruleset").text; }

  std::optional<NetNS> ns_;
  std::optional<Socket> socket_;
};

class NftFamilies : public NftTest, public testing::WithParamInterface<Family> {};

TEST_P(NftFamilies, RulesetIsWhatNftMakesOfTheSameText) {
  const Transaction transaction = everything(GetParam());
  commit(transaction);
  const NetNS theirs = NetNS::create();
  const Output output = feed(theirs, "", joined(transaction.text()));
  ASSERT_EQ(output.status, 0) << output.text;
  EXPECT_NE(ruleset(), "");
  EXPECT_EQ(ruleset(), shellIn(theirs, "nft list ruleset").text);
  EXPECT_EQ(lookIn(*ns_, "nft -j list ruleset"), lookIn(theirs, "nft -j list ruleset"));
}

TEST_P(NftFamilies, WhatNftListsNftAcceptsAgain) {
  commit(everything(GetParam()));
  const NetNS theirs = NetNS::create();
  EXPECT_EQ(feed(theirs, "-c", ruleset()).text, "");
}

INSTANTIATE_TEST_SUITE_P(All, NftFamilies,
                         testing::Values(Family::Inet, Family::IPv4, Family::IPv6, Family::Bridge));

TEST_F(NftTest, EveryLineThatRemovesIsAcceptedByNft) {
  commit(everything());
  const uint64_t handle = listRules(*socket_, kTable, "att-2").at(0).handle;
  Transaction transaction(kTable);
  transaction.deleteElement("m4", ip("10.1.2.3")).deleteElement("m6", ip("fd00::5"));
  transaction.deleteRule("att-2", handle)
      .flushChain("post")
      .flushChain("att-1")
      .deleteChain("att-1")
      .deleteTable();
  EXPECT_EQ(feed(*ns_, "-c", joined(transaction.text())).text, "");
  commit(transaction);
  EXPECT_EQ(ruleset(), "");
}

TEST_F(NftTest, RepeatedTransactionChangesNothingButAppendsRules) {
  Transaction transaction(kTable);
  transaction.addTable()
      .addChain("post", Hook{"nat", "postrouting", 100})
      .addChain("att-1")
      .addVerdictMap("m4", true)
      .addElement("m4", ip("10.1.2.3"), {"att-1"});
  commit(transaction);
  const std::string once = ruleset();
  commit(transaction);
  EXPECT_EQ(ruleset(), once);
}

TEST_F(NftTest, FailedTransactionChangesNothingAndNamesTheCommand) {
  commit(everything());
  const std::string before = ruleset();
  Transaction transaction(kTable);
  transaction.addChain("new").deleteChain("nosuch").addElement("m4", ip("10.9.9.9"), {"new"});
  try {
    commit(transaction);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ENOENT);
    EXPECT_EQ(error.index(), 1U);
    EXPECT_NE(
        std::string(error.what()).find(" nft delete chain inet fairlead nosuch: no such file or directory"),
        std::string::npos)
        << error.what();
  }
  EXPECT_EQ(ruleset(), before);
}

TEST_F(NftTest, CommandInAnErrorCanBePastedIntoAShell) {
  const NetNS named = NetNS::createNamed("web");
  Socket socket = Socket::open(named, Socket::Family::Netfilter);
  Transaction transaction(kTable);
  transaction.addElement("m4", ip("10.1.2.3"), {"c"});
  try {
    transaction.commit(socket);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.attempted(),
              "ip netns exec web nft 'add element inet fairlead m4 { 10.1.2.3 : goto c }'");
  }
  EXPECT_TRUE(NetNS::removeNamed("web"));
}

TEST_F(NftTest, ClashesKeepTheirErrno) {
  commit(everything());
  EXPECT_EQ(refused(Transaction(kTable).addTable(true)), EEXIST);
  EXPECT_EQ(refused(Transaction(kTable).addElement("m4", ip("10.1.2.3"), {"att-2"})), EEXIST);
  EXPECT_EQ(refused(Transaction(kTable).addElement("m4", ip("10.1.2.3"), {"att-1"})), 0);
  EXPECT_EQ(refused(Transaction(kTable).deleteElement("m4", ip("10.9.9.9"))), ENOENT);
  EXPECT_EQ(refused(Transaction(kTable).deleteChain("nosuch")), ENOENT);
  EXPECT_EQ(refused(Transaction(kTable).flushChain("nosuch")), ENOENT);
  EXPECT_EQ(refused(Transaction(kTable).deleteChain("att-1")), EBUSY);  // the map refers to it
  EXPECT_EQ(refused(Transaction({Family::Inet, "nosuch"}).addChain("c")), ENOENT);
  EXPECT_EQ(refused(Transaction({Family::Inet, "nosuch"}).deleteTable()), ENOENT);
  EXPECT_EQ(refused(Transaction(kTable).deleteRule("att-1", 4711)), ENOENT);
}

TEST_F(NftTest, UnknownHookIsRefusedWithoutTheKernel) {
  EXPECT_EQ(codeOf([] { Transaction(kTable).addChain("c", Hook{"nat", "nowhere", 0}); }), EINVAL);
}

TEST_F(NftTest, LookingFindsWhatIsThere) {
  EXPECT_FALSE(hasTable(*socket_, kTable));
  EXPECT_FALSE(hasChain(*socket_, kTable, "post"));
  EXPECT_EQ(findElement(*socket_, kTable, "m4", ip("10.1.2.3")), std::nullopt);
  commit(everything());
  EXPECT_TRUE(hasTable(*socket_, kTable));
  EXPECT_FALSE(hasTable(*socket_, {Family::IPv4, "fairlead"}));
  EXPECT_TRUE(hasChain(*socket_, kTable, "post"));
  EXPECT_FALSE(hasChain(*socket_, kTable, "nosuch"));
  EXPECT_EQ(findElement(*socket_, kTable, "m4", ip("10.1.2.4")), "att-2");
  EXPECT_EQ(findElement(*socket_, kTable, "m6", ip("fd00::5")), "att-1");
  EXPECT_EQ(findElement(*socket_, kTable, "m4", ip("10.9.9.9")), std::nullopt);
  EXPECT_EQ(findElement(*socket_, kTable, "nosuch", ip("10.9.9.9")), std::nullopt);
}

TEST_F(NftTest, ListsAreOfOneTableChainAndMap) {
  EXPECT_TRUE(listChains(*socket_, kTable).empty());
  EXPECT_TRUE(listRules(*socket_, kTable, "post").empty());
  EXPECT_TRUE(listElements(*socket_, kTable, "m4").empty());
  commit(everything());
  commit(everything(Family::IPv4));
  Transaction other({Family::Inet, "other"});
  other.addTable().addChain("post").addRule({"post", {Return{}}, "not ours"});
  commit(other);

  EXPECT_EQ(listChains(*socket_, kTable), (std::vector<std::string>{"post", "att-1", "att-2"}));
  const std::vector<RuleInfo> rules = listRules(*socket_, kTable, "post");
  ASSERT_EQ(rules.size(), 4U);
  EXPECT_EQ(rules[0].comment, "multicast");
  EXPECT_EQ(rules[1].comment, "");
  EXPECT_EQ(listRules(*socket_, kTable, "att-2").at(0).comment, std::string(128, 'c'));
  const std::vector<ElementInfo> elements = listElements(*socket_, kTable, "m6");
  ASSERT_EQ(elements.size(), 1U);
  EXPECT_EQ(elements[0].key, ip("fd00::5"));
  EXPECT_EQ(elements[0].target, "att-1");
}

TEST_F(NftTest, ThousandsOfElementsFitOneTransaction) {
  constexpr int kCount = 3000;
  Transaction transaction(kTable);
  transaction.addTable().addChain("c").addVerdictMap("m4", true);
  IP key = ip("10.0.0.1");
  for (int i = 0; i < kCount; ++i, key = key.next()) transaction.addElement("m4", key, {"c"});
  commit(transaction);
  EXPECT_EQ(listElements(*socket_, kTable, "m4").size(), static_cast<size_t>(kCount));
  EXPECT_EQ(findElement(*socket_, kTable, "m4", ip("10.0.11.184")), "c");
}

TEST_F(NftTest, EmptyTransactionIsNothing) {
  const Transaction transaction(kTable);
  EXPECT_TRUE(transaction.empty());
  commit(transaction);
  EXPECT_EQ(ruleset(), "");
}

}  // namespace
}  // namespace fairlead::netns::nft
