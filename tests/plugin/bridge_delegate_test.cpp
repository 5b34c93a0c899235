// An IPAM plugin of somebody else's that misbehaves, under the whole bridge plugin: what it does is told in
// CNI's form and taken back, and costs neither much time nor much memory. Root.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class BridgeDelegateTest : public BridgeTest {
 protected:
  void SetUp() override {
    BridgeTest::SetUp();
    if (IsSkipped()) return;
    fs::create_directory(kDirectory);
    fs::create_symlink(fs::path(FAIRLEAD_CNI_DIR) / "bridge", kDirectory / "bridge");
  }
  void TearDown() override {
    if (IsSkipped()) return;
    fs::remove_all(kDirectory);
    BridgeTest::TearDown();
  }

  // rogue() makes the IPAM plugin: a script that notes its verbs, and in a DEL the most memory that the
  // bridge plugin has had.
  static void rogue(const std::string& add, const std::string& del = "true") {
    const fs::path file = kDirectory / "rogue";
    std::ofstream(file) << "#!/bin/sh\ncd " << kDirectory << "\necho $CNI_COMMAND >>calls\n"
                        << "case $CNI_COMMAND in\nADD) " << add
                        << " ;;\nDEL) awk '/VmHWM/ {print $2}' /proc/$PPID/status >memory; " << del
                        << " ;;\nesac\n";
    fs::permissions(file, fs::perms::owner_all);
  }
  // rogueConf() masquerades, so that there is more to undo.
  static std::string rogueConf() { return conf({{"ipMasq", true}, {"ipam", {{"type", "rogue"}}}}); }
  // ask() bounds each call of the IPAM plugin to five seconds.
  static CniOutcome ask(const std::string& verb, const std::string& netns, const json& result = nullptr) {
    CniCall request = call(verb, withResult(rogueConf(), result), netns);
    request.directory = kDirectory;
    request.wrapper = "env FAIRLEAD_EXEC_TIMEOUT=5";
    return cni(request);
  }
  static std::string read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(kDirectory / name).rdbuf();
    return text.str();
  }

  static inline const fs::path kDirectory = "/run/rogue";
  static inline const std::string kAnswer =
      R"(echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.9/24"}]}')";
};

struct Misbehaviour {
  const char* name;
  const char* add;  // shell commands
  int code;
  const char* msg;   // what the error begins with
  bool undo = true;  // whether the IPAM plugin gets a DEL
};

class MisbehaviourTest : public BridgeDelegateTest, public testing::WithParamInterface<Misbehaviour> {};

TEST_P(MisbehaviourTest, IsToldAndTakenBack) {
  const Misbehaviour& how = GetParam();
  rogue(how.add);
  const std::string c1 = container("c1");
  const State before = state();
  const CniOutcome outcome = ask("ADD", c1);
  ASSERT_EQ(outcome.status, 1) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.json().at("code"), how.code);
  EXPECT_TRUE(outcome.msg().starts_with(how.msg)) << outcome.msg();
  EXPECT_LT(outcome.out.size(), 200'000U);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(inside(c1, "ip -br link show type veth"), "");
  EXPECT_EQ(read("calls"), how.undo ? "ADD\nDEL\n" : "ADD\n");
  if (how.undo) {
    EXPECT_LT(std::stoi(read("memory")), 16 << 10) << "KiB";
  }
  if (fs::exists(kDirectory / "child")) ::kill(std::stoi(read("child")), SIGKILL);
}

INSTANTIATE_TEST_SUITE_P(
    Ipam, MisbehaviourTest,
    testing::Values(
        Misbehaviour{"Hangs", "sleep 1000", 999,
                     "plugin /run/rogue/rogue did not finish within 5 seconds and was killed"},
        Misbehaviour{"PrintsGarbage", "echo garbage", 999, "failed to unmarshal raw result: "},
        Misbehaviour{"PrintsNothing", "true", 999, "failed to unmarshal raw result: "},
        Misbehaviour{"PrintsWithoutEnd", "exec yes", 999,
                     "plugin /run/rogue/rogue printed more than 4 MiB and was killed"},
        Misbehaviour{"ComplainsWithoutEnd", "exec yes >&2", 999,
                     "plugin /run/rogue/rogue printed more than 4 MiB and was killed"},
        Misbehaviour{"FailsWithMuchToSay", "head -c 4000000 /dev/zero | tr '\\0' x; exit 1", 0,
                     "netplugin failed but error parsing its diagnostic message \"xxx"},
        Misbehaviour{"FailsWithoutAWord", "exit 1", 0,
                     "netplugin failed with no error message: exit status 1"},
        Misbehaviour{"Dies", "kill -9 $$", 0, "netplugin failed with no error message: signal: killed"},
        Misbehaviour{"DiesWhileAChildHoldsItsOutput", "sleep 1000 & echo $! >child; kill -9 $$", 0,
                     "netplugin failed with no error message: signal: killed"},
        Misbehaviour{"AnswersNothingWhileAChildHoldsItsOutput", "sleep 1000 & echo $! >child; echo {}", 999,
                     "IPAM plugin returned missing IP config"},
        Misbehaviour{"AnswersWhatIsNoAddress", R"(echo '{"ips": [{"address": "10.1.0.300/24"}]}')", 999,
                     "invalid CIDR address: 10.1.0.300/24"},
        Misbehaviour{"AnswersAnAddressThatTheKernelRefuses", R"(echo '{"ips": [{"address": "ff02::1/64"}]}')",
                     999, "failed to "},
        Misbehaviour{"AnswersAVersionThatIsNone", R"(echo '{"cniVersion": "7.0.0"}')", 999,
                     "unsupported CNI result version \"7.0.0\""},
        Misbehaviour{"AnswersWithAnError", R"(echo '{"code": 11, "msg": "no", "details": "today"}'; exit 1)",
                     11, "no", false}),
    [](const auto& info) { return info.param.name; });

// What a DEL could not give back, the next one does; until then the record tells of it.
TEST_F(BridgeDelegateTest, AFailedReleaseIsToldAndTriedAgain) {
  const std::string c1 = container("c1");
  rogue(kAnswer, "kill -9 $$");
  const CniOutcome added = ask("ADD", c1);
  ASSERT_EQ(added.status, 0) << added.out;
  const CniOutcome failed = ask("DEL", c1, added.json());
  ASSERT_EQ(failed.status, 1);
  EXPECT_TRUE(failed.msg().starts_with("netplugin failed with no error message: signal: killed"))
      << failed.msg();
  EXPECT_EQ(inside(c1, "ip -br link show type veth"), "");
  EXPECT_EQ(records().size(), 1U);
  rogue(kAnswer);
  const CniOutcome done = ask("DEL", c1, added.json());
  EXPECT_EQ(done.status, 0) << done.out;
  EXPECT_TRUE(records().empty());
}

}  // namespace
}  // namespace fairlead::plugin
