// What `fairlead doctor` finds on a real host, and that the commands that it prints mend it.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/plugin/cli_root.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;
using test::has;
using test::Json;
using test::kBinary;
using test::Output;
using test::run;

class DoctorTest : public test::CliRootTest {
 protected:
  void SetUp() override {
    CliRootTest::SetUp();
    if (!IsSkipped()) bridge("1.1.0");
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(fairlead("doctor", {"--json"}).out, "[]\n");
    CliRootTest::TearDown();
  }

  void add(const std::string& netns, const std::string& network = "net") const {
    const Output output = fairlead("add", {network, "--netns", netns});
    EXPECT_EQ(output.status, 0) << output.err;
  }
  void del(const std::string& netns, const std::string& network = "net") const {
    const Output output = fairlead("del", {network, "--netns", netns});
    EXPECT_EQ(output.status, 0) << output.err;
  }
  // findings() are those of one kind; there must be no other.
  Json findings(const std::string& kind) const {
    const Output output = fairlead("doctor", {"--json"});
    Json all = Json::parse(output.out);
    EXPECT_EQ(output.status, all.empty() ? 0 : 1) << output.err;
    for (const Json& one : all) EXPECT_EQ(one.at("kind"), kind) << one;
    return all;
  }
  // mend() types the commands that doctor prints.
  void mend() const {
    const std::string path = "PATH=" + std::string(FAIRLEAD_CNI_DIR) + ":$PATH; ";
    for (const Json& one : Json::parse(fairlead("doctor", {"--json"}).out)) {
      const Output output = run({"sh", "-c", path + one.at("mend").get<std::string>()},
                                {"FAIRLEAD_RUN_DIR=" + fairlead.dir / "run"});
      EXPECT_EQ(output.status, 0) << one << output.err;
    }
  }
};

TEST_F(DoctorTest, FindsNothingWhereAllIsWell) {
  add("web");
  const Output output = fairlead("doctor");
  EXPECT_EQ(output.status, 0) << output.out << output.err;
  EXPECT_EQ(output.out, "nothing found: 1 attachment and the kernel\n");
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
  del("web");
}

TEST_F(DoctorTest, FindsAndMendsWhatAContainerWithoutDelLeaves) {
  must({"ip", "netns", "add", "gone"});
  add("web");
  add("gone");
  must({"ip", "netns", "del", "gone"});
  const Json found = findings("orphan");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(has(found[0].at("what"), "eth0 on net: its namespace is gone: /run/netns/gone")) << found;
  EXPECT_TRUE(has(found[0].at("mend"), "fairlead gc net --net-dir ")) << found;
  const Output text = fairlead("doctor");
  EXPECT_EQ(text.status, 1);
  EXPECT_TRUE(text.out.starts_with("orphan: ")) << text.out;
  EXPECT_FALSE(has(text.out, "\x1b")) << "colours are for a terminal";
  mend();
  EXPECT_EQ(reservations(), "net/10.99.0.2\n");
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
  del("web");
}

TEST_F(DoctorTest, FindsAnAddThatWasKilled) {
  fairlead.conf("10-net.conflist", R"({"cniVersion": "1.1.0", "name": "net", "plugins": [
      {"type": "bridge", "bridge": "cbr0", "isGateway": true, "ipam": {"type": "killer"}}]})");
  fairlead.dir.write("bin/killer", "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || kill -9 $PPID\n", 0755);
  EXPECT_NE(fairlead("add", {"net", "--netns", "web"}).status, 0);
  const Json found = findings("half-done");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(has(found[0].at("what"), "eth0 on net: an ADD was killed")) << found;
  EXPECT_EQ(fairlead("gc", {"net"}).status, 0);
}

// A network that is configured no more, and whose results are lost: the record is enough.
TEST_F(DoctorTest, MendsWhatIsLeftOfANetworkThatIsGone) {
  must({"ip", "netns", "add", "gone"});
  add("gone");
  must({"ip", "netns", "del", "gone"});
  fs::remove_all(fairlead.dir / "cache");
  fs::remove(fairlead.dir / "net.d/10-net.conflist");
  EXPECT_EQ(findings("orphan").size(), 1U);
  mend();
  EXPECT_EQ(reservations(), "");
}

TEST_F(DoctorTest, FindsLinksAndChainsOfNobody) {
  add("web");
  const std::string chain = "masq-0123456789abcdef-0123456789abcdef";
  must({"nft", "add chain inet fairlead " + chain +
                   "; add element inet fairlead sources4 { 192.0.2.7 : goto " + chain + " }"});
  const std::string ours = ip({"link", "show", "type", "veth"})[0]["ifname"];
  must({"ip", "link", "add", ours.substr(0, 7) + "zzzzzzzz", "type", "veth", "peer", "name", "other"});
  const Json found = findings("orphan");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].at("what"), "link " + ours.substr(0, 7) + "zzzzzzzz of net belongs to no attachment");
  EXPECT_EQ(found[1].at("what"), "nftables chain " + chain + " belongs to no attachment");
  mend();
  EXPECT_EQ(ip({"link", "show", "type", "veth"}).size(), 1U);
  EXPECT_FALSE(has(must({"nft", "list", "ruleset"}), chain));
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
  del("web");
}

TEST_F(DoctorTest, FindsWhoHoldsAnAddressAndIsNotKnown) {
  fairlead.dir.write("ipam/net/10.99.0.9", "somebody\r\neth0");
  const Json found = findings("unknown holder");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(has(found[0].at("what"), "10.99.0.9 is held for somebody eth0 on net")) << found;
  mend();
  EXPECT_EQ(reservations(), "");
}

// Its record and its cached result are lost, but it runs: its veth pair is there.
TEST_F(DoctorTest, SparesWhoRunsWithoutARecord) {
  add("web");
  fs::remove_all(fairlead.dir / "cache");
  fs::remove_all(fairlead.dir / "run");
  EXPECT_EQ(findings("none").size(), 0U);
  del("web");
}

TEST_F(DoctorTest, FindsAnAddressThatTwoHave) {
  fairlead.conf("20-twin.conflist", R"({"cniVersion": "1.1.0", "name": "twin", "plugins": [
      {"type": "bridge", "bridge": "cbr1", "ipam": {"type": "host-local", "dataDir": ")" +
                                        fairlead.dir / "ipam" + R"(",
       "ranges": [[{"subnet": "10.99.0.0/24"}]]}}]})");
  must({"ip", "netns", "add", "second"});
  add("web");
  add("second", "twin");
  const Json found = findings("duplicate address");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(has(found[0].at("what"), "10.99.0.2 is that of ")) << found;
  mend();
  EXPECT_EQ(ip({"link", "show", "type", "veth"}).size(), 1U);
  for (const char* netns : {"web", "second"}) {
    fairlead("del", {"net", "--netns", netns});
    fairlead("del", {"twin", "--netns", netns});
  }
  must({"ip", "netns", "del", "second"});
}

TEST_F(DoctorTest, GcOfNoNetworkIsOfAll) {
  fairlead.conf("20-other.conflist", R"({"cniVersion": "1.1.0", "name": "other", "plugins": [
      {"type": "bridge", "bridge": "cbr1", "ipam": {"type": "host-local", "dataDir": ")" +
                                         fairlead.dir / "ipam" + R"(",
       "ranges": [[{"subnet": "10.98.0.0/24"}]]}}]})");
  for (const char* netns : {"gone", "away"}) must({"ip", "netns", "add", netns});
  add("web");
  add("gone");
  add("away", "other");
  for (const char* netns : {"gone", "away"}) must({"ip", "netns", "del", netns});
  fs::remove(fairlead.dir / "net.d/20-other.conflist");
  EXPECT_EQ(findings("orphan").size(), 2U);
  const Output dry = fairlead("gc", {"--dry-run"});
  EXPECT_TRUE(has(dry.out, "net: 1 to remove, 1 kept\n")) << dry.out;
  EXPECT_TRUE(has(dry.out, "other: 1 to remove, 0 kept\n")) << dry.out;
  const std::string bad = fairlead.conf("30-bad.conflist", "{");
  const Output gc = fairlead("gc");
  EXPECT_EQ(gc.status, 1) << "of one it is not known what it is";
  EXPECT_TRUE(has(gc.err, bad)) << gc.err;
  fs::remove(bad);
  EXPECT_EQ(reservations(), "net/10.99.0.2\n");
  EXPECT_EQ(fairlead("gc").status, 0);
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
  del("web");
}

TEST_F(DoctorTest, FindsFilesThatAreNoRecordsAndBadConfigurations) {
  const std::string strange = fairlead.dir.write("run/net/x.json", "{");
  const Json found = findings("strange file");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].at("mend"), "rm " + strange);
  mend();
  EXPECT_FALSE(fs::exists(strange));
  const std::string bad = fairlead.conf("30-bad.conflist", "{");
  ASSERT_EQ(findings("configuration").size(), 1U);
  fs::remove(bad);
}

// Each is found by itself, and looking for it neither hangs nor ends the search.
TEST_F(DoctorTest, FindsWhatIsInTheWayOfHostLocal) {
  fairlead.dir.write("ipam/net/10.99.0.9", "no container's");
  const std::string data = fairlead.dir / "ipam/net/";
  ASSERT_EQ(::mkfifo((data + "10.99.0.10").c_str(), 0600), 0);
  fs::create_directories(data + "10.99.0.11/x");
  fs::create_symlink("/etc/passwd", data + "10.99.0.12");
  fs::create_directories(data + "last_reserved_ip.0");
  fs::create_directories(data + "lock");
  ASSERT_EQ(::mkfifo((data + "notes").c_str(), 0600), 0);  // this one is in nobody's way
  fairlead.dir.write("ipam/net/10.99.0.13", "");           // nor is this: it is given out again
  const Json found = findings("strange file");
  EXPECT_EQ(found.size(), 6U) << found;
  EXPECT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 1);
  EXPECT_EQ(fairlead("gc", {"net", "--dry-run"}).status, 0);
  mend();
  EXPECT_TRUE(fs::exists("/etc/passwd"));
  EXPECT_EQ(reservations(), "net/10.99.0.13\n");
  add("web");
  del("web");
  fs::remove(data + "10.99.0.13");
}

// Of what a runtime has cached, every container has 127.0.0.1, and none has it twice.
TEST_F(DoctorTest, SparesLoopbackAddresses) {
  fairlead.conf("20-lo.conflist",
                R"({"cniVersion": "1.0.0", "name": "lo", "plugins": [{"type": "loopback"}]})");
  must({"ip", "netns", "add", "second"});
  add("web", "lo");
  add("second", "lo");
  EXPECT_EQ(findings("none").size(), 0U);
  del("web", "lo");
  del("second", "lo");
  must({"ip", "netns", "del", "second"});
}

TEST_F(DoctorTest, FindsDirectoriesInRecordsPlaces) {
  fs::create_directories(fairlead.dir / "run/net/x.json/y");
  fairlead.dir.write("run/file", "x");
  const Json found = findings("strange file");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].at("mend"), "rm " + fairlead.dir / "run/file");
  EXPECT_EQ(found[1].at("mend"), "rm -r " + fairlead.dir / "run/net/x.json");
  mend();
}

TEST_F(DoctorTest, FindsWhatTheKernelLacks) {
  const Output output = run({"unshare", "--user", "--map-root-user", "--net", "sh", "-c",
                             "echo 0 >/proc/sys/user/max_net_namespaces; exec " + kBinary +
                                 " doctor --json --net-dir /nowhere --cache-dir /nowhere"},
                            {"FAIRLEAD_RUN_DIR=/nowhere"});
  EXPECT_EQ(output.status, 1) << output.err;
  const Json found = Json::parse(output.out);
  ASSERT_EQ(found.size(), 1U) << found;
  EXPECT_EQ(found[0].at("kind"), "kernel");
  EXPECT_TRUE(has(found[0].at("what"), "no network namespaces: unshare -n: ")) << found;
  EXPECT_TRUE(has(found[0].at("mend"), "max_net_namespaces")) << found;
}

TEST_F(DoctorTest, TellsWhoIsNotRootWhy) {
  add("web");
  const std::string dropped = "setpriv --reuid 65534 --clear-groups " + kBinary;
  const std::vector<std::string> env = {"FAIRLEAD_RUN_DIR=" + fairlead.dir / "run"};
  const Output doctor = run({"sh", "-c", "exec " + dropped + " doctor"}, env);
  EXPECT_EQ(doctor.status, 1);
  EXPECT_TRUE(has(doctor.err, "only root can examine this host")) << doctor.err;
  fs::permissions(fairlead.dir.path(), fs::perms::others_exec, fs::perm_options::add);
  const Output ls = run({"sh", "-c", "exec " + dropped + " ls"}, env);
  EXPECT_EQ(ls.status, 1);
  EXPECT_TRUE(has(ls.err, "permission denied\n  only root may do this")) << ls.err;
  del("web");
}

}  // namespace
}  // namespace fairlead::plugin
