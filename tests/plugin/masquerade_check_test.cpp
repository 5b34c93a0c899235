// CHECK of a container that is to be masqueraded, after somebody has been at the rules with nft. Root.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

using netns::shell;
using nlohmann::json;

struct Spoil {
  const char* name;
  const char* command;  // CHAIN is the container's
  const char* msg;
  friend std::ostream& operator<<(std::ostream& out, const Spoil& spoil) { return out << spoil.name; }
};

class MasqueradeCheckTest : public BridgeTest, public testing::WithParamInterface<Spoil> {
 protected:
  void SetUp() override {
    BridgeTest::SetUp();
    netns_ = container("c1");
    const json ranges = {{{{"subnet", "10.1.0.0/24"}}}, {{{"subnet", "fd00:1::/64"}}}};
    conf_ = conf({{"ipMasq", true}, {"ipam", {{"ranges", ranges}}}});
    result_ = add(conf_, netns_);
  }
  CniOutcome check() const { return cni(call("CHECK", withResult(conf_, result_), netns_)); }
  // chain() is the container's.
  static std::string chain() {
    return shell("nft list ruleset | sed -n 's/.*chain \\(masq-[^ ]*\\) .*/\\1/p' | tr -d '\\n'").text;
  }

 private:
  std::string netns_, conf_;
  json result_;
};

// mendIn() is the command that an error proposes first.
std::string mendIn(const json& error) {
  const std::string details = error.at("details");
  const std::string label = "; mend: ";
  const size_t at = details.find(label);
  if (at == details.npos) return {};
  return details.substr(at + label.size(), details.find('\n', at) - at - label.size());
}

TEST_P(MasqueradeCheckTest, NamesWhatIsMissingAndTheCommandThatMendsIt) {
  const CniOutcome healthy = check();
  ASSERT_EQ(healthy.status, 0) << healthy.out;
  const std::string ours = chain();
  ASSERT_NE(ours, "");
  std::string command = GetParam().command;
  std::string msg = GetParam().msg;
  for (std::string* text : {&command, &msg})
    if (const size_t at = text->find("CHAIN"); at != text->npos) text->replace(at, 5, ours);
  ASSERT_EQ(shell(command).status, 0) << command;

  const CniOutcome spoilt = check();
  EXPECT_EQ(spoilt.status, 1);
  EXPECT_EQ(spoilt.msg(), msg);
  const std::string mend = mendIn(spoilt.json());
  ASSERT_TRUE(mend.starts_with("nft '")) << spoilt.out;
  const auto [status, text] = shell(mend + " 2>&1");
  ASSERT_EQ(status, 0) << mend << "\n" << text;
  const CniOutcome mended = check();
  EXPECT_EQ(mended.status, 0) << mended.out;
}

INSTANTIATE_TEST_SUITE_P(
    ByHand, MasqueradeCheckTest,
    testing::Values(
        Spoil{"everything", "nft flush ruleset", "Failed to find masquerading for 10.1.0.2"},
        Spoil{"table", "nft delete table inet fairlead", "Failed to find masquerading for 10.1.0.2"},
        Spoil{"element4", "nft delete element inet fairlead sources4 { 10.1.0.2 }",
              "Failed to find masquerading for 10.1.0.2"},
        Spoil{"element6", "nft delete element inet fairlead sources6 { fd00:1::2 }",
              "Failed to find masquerading for fd00:1::2"},
        Spoil{"rules", "nft flush chain inet fairlead CHAIN",
              "Failed to find the masquerading rules of CHAIN"},
        Spoil{"rule",
              "nft delete rule inet fairlead CHAIN handle "
              "$(nft -a list table inet fairlead | sed -n '/ip6 daddr != .*masquerade/s/.*handle //p')",
              "Failed to find the masquerading rules of CHAIN"},
        Spoil{"lookups", "nft flush chain inet fairlead postrouting",
              "Failed to find the rule that leads to sources4"},
        Spoil{"lookup",
              "nft delete rule inet fairlead postrouting handle "
              "$(nft -a list table inet fairlead | sed -n '/vmap @sources6/s/.*handle //p')",
              "Failed to find the rule that leads to sources6"},
        Spoil{"base chain",
              "nft flush chain inet fairlead postrouting && nft delete chain inet fairlead postrouting",
              "Failed to find the rule that leads to sources4"}));

}  // namespace
}  // namespace fairlead::plugin
