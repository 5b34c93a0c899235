// The command line with real plugins and real namespaces.
#include <algorithm>
#include <array>

#include "tests/plugin/cli_root.h"

namespace fairlead::plugin {
namespace {

using test::Cli;
using test::CliRootTest;
using test::has;
using test::Json;
using test::Output;
using test::run;

TEST_F(CliRootTest, LoopbackIsAddedCheckedAndDeleted) {
  fairlead.conf("lo.conf", R"({"cniVersion": "1.1.0", "name": "lo", "type": "loopback"})");
  const Output add = fairlead("add", {"lo", "--netns", "web", "--ifname", "lo"});
  ASSERT_EQ(add.status, 0) << add.err;
  EXPECT_TRUE(has(add.out, "address    127.0.0.1/8")) << add.out;
  EXPECT_EQ(ip({"-n", "web", "link", "show", "lo"})[0]["flags"].dump(), R"(["LOOPBACK","UP","LOWER_UP"])");
  EXPECT_EQ(fairlead("check", {"lo", "--netns", "web", "--ifname", "lo"}).status, 0);
  must({"ip", "-n", "web", "link", "set", "lo", "down"});
  const Output check = fairlead("check", {"lo", "--netns", "web", "--ifname", "lo"});
  EXPECT_EQ(check.status, 1);
  EXPECT_TRUE(has(check.err, "plugins[0] loopback: CHECK: loopback interface is down")) << check.err;
  EXPECT_EQ(fairlead("del", {"lo", "--netns", "web", "--ifname", "lo"}).status, 0);
}

// bridge refuses the ADD after loopback has succeeded.
TEST_F(CliRootTest, ARefusedAddLeavesLoAsItWas) {
  const std::string members = R"([{"type": "loopback"}, {"type": "bridge", "bridge": "br0", "ipam":
      {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]]}}])";
  fairlead.conf("list.conflist", R"({"cniVersion": "1.1.0", "name": "list", "plugins": )" + members + "}");
  fairlead.conf("chain.conf", R"({"cniVersion": "1.1.0", "name": "chain", "type": "fairlead", "plugins": )" +
                                  members + "}");
  must({"ip", "-n", "web", "link", "add", "eth0", "type", "bridge"});
  for (const std::string network : {"list", "chain"}) {
    must({"ip", "-n", "web", "link", "set", "lo", "up"});
    EXPECT_NE(fairlead("add", {network, "--netns", "web"}).status, 0);
    EXPECT_EQ(ip({"-n", "web", "link", "show", "lo"})[0]["flags"].dump(), R"(["LOOPBACK","UP","LOWER_UP"])");
    must({"ip", "-n", "web", "link", "set", "lo", "down"});
    EXPECT_NE(fairlead("add", {network, "--netns", "web"}).status, 0);
    EXPECT_EQ(ip({"-n", "web", "link", "show", "lo"})[0]["flags"].dump(), R"(["LOOPBACK"])");
  }
}

TEST_F(CliRootTest, OwnNamespaceIsRefusedBeforeAnythingIsDone) {
  fairlead.conf("lo.conf", R"({"cniVersion": "1.1.0", "name": "lo", "type": "loopback"})");
  const Output del = fairlead("del", {"lo", "--netns", "/proc/self/ns/net", "--ifname", "lo"});
  EXPECT_EQ(del.status, 1);
  EXPECT_TRUE(has(del.err, "should not be the same")) << del.err;
  EXPECT_TRUE(has(ip({"link", "show", "lo"})[0]["flags"].dump(), "\"UP\"")) << "the host's lo was taken down";
}

TEST_F(CliRootTest, BridgeConnectsAndNothingIsLeft) {
  bridge("1.1.0");
  const Output add =
      fairlead("add", {"net", "--netns", "web", "--capability-args", R"({"mac": "02:00:00:00:00:07"})"});
  ASSERT_EQ(add.status, 0) << add.err;
  EXPECT_EQ(addressOf("web"), "10.99.0.2");
  EXPECT_EQ(ip({"-n", "web", "link", "show", "eth0"})[0]["address"], "02:00:00:00:00:07");
  must({"ip", "netns", "exec", "web", "ping", "-c1", "-W5", "10.99.0.1"});
  EXPECT_EQ(reservations(), "net/10.99.0.2\n");

  const Json list = Json::parse(fairlead("ls", {"--json"}).out);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["addresses"], Json({"10.99.0.2/24"}));
  EXPECT_EQ(list[0]["state"], "live");
  EXPECT_EQ(list[0]["plugin"], "bridge");
  EXPECT_EQ(list[0]["hostInterface"], ip({"link", "show", "type", "veth"})[0]["ifname"]);

  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
  const Output again = fairlead("add", {"net", "--netns", "web"});
  EXPECT_EQ(again.status, 1);
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0) << "the second ADD has broken the first";

  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0) << "twice";
  EXPECT_EQ(ip({"-n", "web", "link"}).size(), 1U);
}

TEST_F(CliRootTest, CheckTellsTheDrift) {
  bridge("1.1.0");
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
  must({"ip", "-n", "web", "addr", "flush", "dev", "eth0"});
  const Output check = fairlead("check", {"net", "--netns", "web"});
  EXPECT_EQ(check.status, 1);
  EXPECT_TRUE(has(check.err, "plugins[0] bridge: CHECK: ")) << check.err;
  EXPECT_TRUE(has(check.err, "10.99.0.2")) << check.err;
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

TEST_F(CliRootTest, DelWorksWhenTheNamespaceIsGone) {
  bridge("1.1.0");
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
  must({"ip", "netns", "del", "web"});
  EXPECT_TRUE(has(fairlead("ls").out, "namespace gone"));
  const Output del = fairlead("del", {"net", "--netns", "web"});
  EXPECT_EQ(del.status, 0) << del.err;
}

TEST_F(CliRootTest, DelOfAnEarlierNamespaceLeavesTheLaterOneOfItsNameAlone) {
  bridge("1.1.0");
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web", "--container-id", "earlier"}).status, 0);
  must({"ip", "netns", "del", "web"});
  must({"ip", "netns", "add", "web"});
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web", "--container-id", "later"}).status, 0);
  EXPECT_EQ(fairlead("del", {"net", "--container-id", "earlier"}).status, 0);
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web", "--container-id", "later"}).status, 0);
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

TEST_F(CliRootTest, GcOfAnEarlierNamespaceLeavesTheLaterOneOfItsNameAlone) {
  bridge("1.1.0");
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
  must({"ip", "netns", "del", "web"});
  must({"ip", "netns", "add", "web"});
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
  EXPECT_TRUE(has(fairlead("gc", {"net"}).out, "net: 1 removed, 1 kept"));
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

// The same with no runtime's cache: the bridge plugin goes by its record.
TEST_F(CliRootTest, GcByTheRecordLeavesTheLaterNamespaceOfItsNameAlone) {
  bridge("1.1.0");
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
  must({"ip", "netns", "del", "web"});
  must({"ip", "netns", "add", "web"});
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
  std::filesystem::remove_all(fairlead.dir / "cache");
  EXPECT_TRUE(has(fairlead("gc", {"net"}).out, "net: 1 removed, 1 kept"));
  EXPECT_EQ(addressOf("web"), "10.99.0.3");
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

TEST_F(CliRootTest, FailedAddLeavesNothing) {
  bridge("1.1.0", R"(, {"type": "broken"})");
  fairlead.dir.write("bin/broken", "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || exit 7\n", 0755);
  const Output add = fairlead("add", {"net", "--netns", "web"});
  EXPECT_EQ(add.status, 1);
  EXPECT_TRUE(has(add.err, "plugins[1] broken: ADD: netplugin failed with no error message: exit status 7"))
      << add.err;
  EXPECT_EQ(ip({"-n", "web", "link"}).size(), 1U);
}

TEST_F(CliRootTest, FailedAddLeavesAnInterfaceThatWasThereAlone) {
  bridge("1.1.0");
  must({"ip", "-n", "web", "link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  EXPECT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 1);
  EXPECT_EQ(ip({"-n", "web", "link"}).size(), 3U);
}

TEST_F(CliRootTest, ListsOlderThanGcAreCollectedToo) {
  for (const char* version : {"0.4.0", "1.1.0"}) {
    bridge(version);
    run({"ip", "netns", "add", "gone"});
    ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
    ASSERT_EQ(fairlead("add", {"net", "--netns", "gone"}).status, 0);
    must({"ip", "netns", "del", "gone"});
    const Output dry = fairlead("gc", {"net", "--dry-run"});
    EXPECT_TRUE(has(dry.out, "net: 1 to remove, 1 kept")) << dry.out;
    EXPECT_EQ(reservations(), "net/10.99.0.2\nnet/10.99.0.3\n");
    const Output gc = fairlead("gc", {"net"});
    EXPECT_EQ(gc.status, 0) << gc.err;
    EXPECT_TRUE(has(gc.out, "net: 1 removed, 1 kept")) << gc.out;
    EXPECT_EQ(reservations(), "net/10.99.0.2\n");
    EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
    EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
    std::filesystem::remove_all(fairlead.dir / "ipam");
  }
}

TEST_F(CliRootTest, AddThatWasKilledBetweenPluginsCanBeDeleted) {
  bridge("1.1.0", R"(, {"type": "killer"})");
  fairlead.dir.write("bin/killer", "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || kill -9 $PPID\n", 0755);
  EXPECT_NE(fairlead("add", {"net", "--netns", "web"}).status, 0);
  EXPECT_EQ(reservations(), "net/10.99.0.2\n");
  const Json list = Json::parse(fairlead("ls", {"--json"}).out);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["addresses"], Json({"10.99.0.2"})) << "from host-local: no result was cached";
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

TEST_F(CliRootTest, AddThatWasKilledInAPluginIsListedAndCollected) {
  fairlead.conf("10-net.conflist", R"({"cniVersion": "1.1.0", "name": "net", "plugins": [
      {"type": "bridge", "bridge": "cbr0", "isGateway": true, "ipam": {"type": "killer"}}]})");
  fairlead.dir.write("bin/killer", "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || kill -9 $PPID\n", 0755);
  EXPECT_NE(fairlead("add", {"net", "--netns", "web"}).status, 0);
  EXPECT_EQ(Json::parse(fairlead("ls", {"--json"}).out)[0]["state"], "interrupted");
  const Output gc = fairlead("gc", {"net"});
  EXPECT_EQ(gc.status, 0) << gc.err;
  EXPECT_TRUE(has(gc.out, "(interrupted)\nnet: 1 removed, 0 kept")) << gc.out;
}

// The cache and the records may be lost, host-local's files stay: whoever holds an address that we know
// nothing of may be running.
TEST_F(CliRootTest, GcLeavesHoldersThatItDoesNotKnow) {
  bridge("1.1.0");
  ASSERT_EQ(fairlead("add", {"net", "--netns", "web"}).status, 0);
  std::filesystem::remove_all(fairlead.dir / "cache");
  std::filesystem::remove_all(fairlead.dir / "run");
  const Output gc = fairlead("gc", {"net"});
  EXPECT_EQ(gc.status, 0) << gc.err;
  EXPECT_EQ(reservations(), "net/10.99.0.2\n");
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

// What a runtime without a cache connects.
class CliBesideRuntimeTest : public CliRootTest {
 protected:
  // call() is the runtime's, for the container "c1" in "web"; `prefix` is words in front of the plugin.
  Output call(const std::string& verb, const std::string& prefix = "", const std::string& ifname = "eth0") {
    const std::string conf = fairlead.dir.write("plugin.json", R"({"cniVersion": "1.1.0", "name": "net",
        "type": "bridge", "bridge": "cbr0", "isGateway": true, "ipMasq": true,
        "ipam": {"type": "host-local", "dataDir": ")" + fairlead.dir / "ipam" +
                                                                   R"(",
                 "ranges": [[{"subnet": "10.99.0.0/24"}]]}})");
    return run(
        {"sh", "-c", prefix + FAIRLEAD_CNI_DIR "/bridge <" + conf},
        {"CNI_COMMAND=" + verb, "CNI_CONTAINERID=c1", "CNI_NETNS=/run/netns/web", "CNI_IFNAME=" + ifname,
         std::string("CNI_PATH=") + FAIRLEAD_CNI_DIR, "FAIRLEAD_RUN_DIR=" + fairlead.dir / "run"});
  }
};

// A thread that does not find back from the container's namespace must not go on.
TEST_F(CliBesideRuntimeTest, AProcessThatCannotGoOnAnswersInCnisWords) {
  const Output add = call("ADD", "strace -o /dev/null -e inject=setns:error=ENOMEM:when=2 ");
  EXPECT_EQ(add.status, 2) << add.err;
  const Json answer = Json::parse(add.out);
  EXPECT_EQ(answer.at("code"), 999);
  const std::string why =
      "fatal error: cannot return from a network namespace: setns: cannot allocate memory";
  EXPECT_EQ(answer.at("msg"), why);
  EXPECT_TRUE(has(add.err, why + "\n")) << add.err;
  EXPECT_EQ(reservations(), "net/10.99.0.2\n");
  const Output del = call("DEL");
  EXPECT_EQ(del.status, 0) << del.out;
}

// How much is read does not depend on how many others there are, or only once on each of them.
class CliCrowdTest : public CliBesideRuntimeTest {
 protected:
  void SetUp() override {
    CliBesideRuntimeTest::SetUp();
    for (const char* ifname : kOthers) ASSERT_EQ(call("ADD", "", ifname).status, 0) << ifname;
  }
  void TearDown() override {
    for (const char* ifname : kOthers) EXPECT_EQ(call("DEL", "", ifname).status, 0) << ifname;
    CliBesideRuntimeTest::TearDown();
  }
  // opened() are the paths that the traced verb has opened and that match, a line each.
  std::string opened(const std::string& pattern, const std::string& sort = "sort") const {
    const std::string paths = "awk -F'\"' '/ = [0-9]/ {print $2}' " + trace_;
    return run({"sh", "-c", paths + " | grep '" + pattern + "' | " + sort}).out;
  }

  static constexpr std::array kOthers = {"eth1", "eth2", "eth3"};
  const std::string trace_ = fairlead.dir / "trace";
  const std::vector<std::string> traced_ = {"strace", "-e", "trace=openat", "-o", trace_};
};

TEST_F(CliCrowdTest, LsReadsEachReservationOnce) {
  const Output ls = fairlead("ls", {}, traced_);
  for (const char* address : {"10.99.0.2", "10.99.0.3", "10.99.0.4"}) {
    EXPECT_TRUE(has(ls.out, address)) << ls.out;
    EXPECT_EQ(opened(address), std::string(address) + "\n");
  }
}

TEST_F(CliCrowdTest, AddCheckAndDelReadNoRecordsOfOthers) {
  bridge("1.1.0");
  const std::string record = "^[0-9a-f]*\\.json$";
  EXPECT_EQ(fairlead("add", {"net", "--netns", "web"}, traced_).status, 0);
  EXPECT_NE(opened("10-net.conflist"), "");  // there is a trace
  EXPECT_EQ(opened(record), "");
  for (const char* verb : {"check", "del"}) {
    EXPECT_EQ(fairlead(verb, {"net", "--netns", "web"}, traced_).status, 0) << verb;
    const std::string own = opened(record, "sort -u");
    EXPECT_EQ(std::ranges::count(own, '\n'), 1) << verb << ":\n" << own;
  }
}

TEST_F(CliRootTest, ExplainPrintsCommandsAndDoesNothing) {
  bridge("1.1.0");
  const Output explain = fairlead("explain", {"net"});
  EXPECT_EQ(explain.status, 0) << explain.err;
  EXPECT_TRUE(has(explain.out, "# plugins[0] bridge, built in")) << explain.out;
  EXPECT_TRUE(has(explain.out, "ip link add")) << explain.out;
  EXPECT_TRUE(has(explain.out, "cbr0")) << explain.out;
  const Json json = Json::parse(fairlead("explain", {"net", "--netns", "web", "--json"}).out);
  EXPECT_GT(json["plugins"][0]["commands"].size(), 3U);
  EXPECT_EQ(ip({"link"}).size(), 1U);
  EXPECT_EQ(ip({"-n", "web", "link"}).size(), 1U);
  EXPECT_EQ(reservations(), "");
}

TEST_F(CliRootTest, VerboseShowsMainOnTheProcessesFirstThread) {
  bridge("1.1.0");
  const Output add = fairlead("add", {"net", "--netns", "web", "-v"});
  EXPECT_EQ(add.status, 0) << add.err;
  EXPECT_TRUE(has(add.err, "(main)  bridge ADD")) << add.err;
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

// ---- with Debian's containernetworking-plugins ----------------------------------------------------

constexpr const char* kReference = "/usr/lib/cni";

class CliReferenceTest : public CliRootTest {
 protected:
  // The whole chain is found: ours first, theirs for what we do not have.
  CliReferenceTest() : CliRootTest(std::string(FAIRLEAD_CNI_DIR) + ":" + kReference) {}
  void SetUp() override {
    CliRootTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(std::filesystem::exists(std::string(kReference) + "/portmap"))
        << "containernetworking-plugins";
  }
};

// No CHECK here: Debian's portmap 1.1.1 asks for IPv6 rules although it made none.
TEST_F(CliReferenceTest, PortmapFollowsOurBridge) {
  bridge("0.4.0", R"(, {"type": "portmap", "capabilities": {"portMappings": true}})");
  const Output add =
      fairlead("add", {"net", "--netns", "web", "--capability-args",
                       R"({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]})"});
  ASSERT_EQ(add.status, 0) << add.err;
  EXPECT_TRUE(has(must({"iptables-save", "-t", "nat"}), "--dport 8080"));
  const Output del = fairlead("del", {"net", "--netns", "web"});
  EXPECT_EQ(del.status, 0) << del.err;
  EXPECT_FALSE(has(must({"iptables-save", "-t", "nat"}), "--dport 8080"));
}

TEST_F(CliReferenceTest, TuningFollowsOurBridge) {
  bridge("1.0.0", R"(, {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}})");
  const Output add = fairlead("add", {"net", "--netns", "web"});
  ASSERT_EQ(add.status, 0) << add.err;
  EXPECT_EQ(must({"ip", "netns", "exec", "web", "cat", "/proc/sys/net/ipv4/conf/eth0/arp_filter"}), "1\n");
  EXPECT_EQ(fairlead("check", {"net", "--netns", "web"}).status, 0);
  must({"ip", "netns", "exec", "web", "sysctl", "-qw", "net.ipv4.conf.eth0.arp_filter=0"});
  const Output drift = fairlead("check", {"net", "--netns", "web"});
  EXPECT_EQ(drift.status, 1);
  EXPECT_TRUE(has(drift.err, "plugins[1] tuning: CHECK: ")) << drift.err;
  EXPECT_EQ(fairlead("del", {"net", "--netns", "web"}).status, 0);
}

TEST_F(CliReferenceTest, ReferenceBridgeRunsAsAForeignPlugin) {
  const Cli reference(kReference);
  bridge("1.0.0");
  std::filesystem::copy_file(fairlead.dir / "net.d/10-net.conflist", reference.dir / "net.d/10-net.conflist");
  const Output add = reference("add", {"net", "--netns", "web"});
  ASSERT_EQ(add.status, 0) << add.err;
  EXPECT_EQ(addressOf("web"), "10.99.0.2");
  EXPECT_EQ(reference("check", {"net", "--netns", "web"}).status, 0);
  EXPECT_EQ(Json::parse(reference("ls", {"--json"}).out)[0]["addresses"], Json({"10.99.0.2/24"}));
  EXPECT_EQ(reference("del", {"net", "--netns", "web"}).status, 0);
}

}  // namespace
}  // namespace fairlead::plugin
