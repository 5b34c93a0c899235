// Names, paths and callers that mean harm, or know no better: the plugin's binary on a real host. Whatever is
// refused has changed nothing. Root.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;
using netns::shell;
using nlohmann::json;

class HostileTest : public BridgeTest {
 protected:
  // A neighbour has made what attachments share, and keeps it.
  void SetUp() override {
    BridgeTest::SetUp();
    if (!IsSkipped()) add(conf({{"ipMasq", true}}), container("neighbour"), "neighbour");
  }

  // everything() is all that a call could have touched: links, addresses, routes, rules and switches of the
  // host, the names of all files below /run, the container c1.
  static std::string everything() {
    return shell(
               "ip -br link; ip -br addr; ip route; nft --stateless list ruleset; find /run -xdev | sort; "
               "ip -n c1 -br link; ip -n c1 -br addr; grep -H . /proc/sys/net/ipv4/conf/*/forwarding "
               "/proc/sys/net/ipv6/conf/*/forwarding /proc/sys/net/ipv6/conf/*/accept_ra")
        .text;
  }
  // refusal() is what the call says, which must fail in CNI's words and change nothing.
  static std::string refusal(const CniCall& call) {
    const std::string before = everything();
    const CniOutcome outcome = cni(call);
    EXPECT_EQ(outcome.status, 1) << outcome.out << outcome.err;
    EXPECT_EQ(everything(), before);
    if (outcome.status != 1) return "";
    EXPECT_NE(outcome.msg(), "");
    return std::to_string(outcome.json().value("code", 0)) + " " + outcome.msg();
  }
  // works() has an ADD, a CHECK and a DEL succeed and nothing stay.
  static void works(const CniCall& add) {
    const std::string before = everything();
    CniCall call = add;
    const CniOutcome added = cni(call);
    ASSERT_EQ(added.status, 0) << added.out << added.err;
    call.conf = withResult(add.conf, added.json());
    for (const char* verb : {"CHECK", "DEL"}) {
      call.command = verb;
      const CniOutcome outcome = cni(call);
      EXPECT_EQ(outcome.status, 0) << verb << ": " << outcome.out << outcome.err;
    }
    // The bridge goes with the last of a network.
    if (json::parse(add.conf).at("name") == "other") {
      EXPECT_EQ(gc(add.conf).status, 0);
    }
    fs::remove_all(kDataDir + "/other");
    EXPECT_EQ(everything(), before);
  }
};

// ---- names -------------------------------------------------------------------------------------

TEST_F(HostileTest, BridgeNamesThatAreNoneAreRefused) {
  const std::string c1 = container("c1");
  for (const std::string& name :
       {std::string(), std::string("0123456789abcdef"), std::string(100'000, 'x'), std::string("."),
        std::string(".."), std::string("a/b"), std::string("../../x"), std::string("a b"), std::string("a\n"),
        std::string("a:b"), std::string("a\0b", 3), std::string("br%d"), std::string("%s%n"),
        std::string("all"), std::string("default"), std::string("lo")}) {
    SCOPED_TRACE(name.substr(0, 20));
    EXPECT_NE(refusal(call("ADD", conf({{"bridge", name}, {"ipMasq", true}}), c1)), "");
  }
}

TEST_F(HostileTest, InterfaceNamesThatAreNoneAreRefused) {
  container("c1");
  for (const std::string& name :
       {std::string("0123456789abcdef"), std::string("."), std::string(".."), std::string("a/b"),
        std::string("a:b"), std::string("a\tb"), std::string("eth%d"), std::string("all"),
        std::string("default"), std::string("lo")}) {
    SCOPED_TRACE(name);
    CniCall add = call("ADD", conf({{"ipMasq", true}}), "/run/netns/c1");
    add.ifname = name;
    EXPECT_NE(refusal(add), "");
  }
}

TEST_F(HostileTest, NamesWithSyntaxOfOthersAreJustNames) {
  const std::string c1 = container("c1");
  for (const std::string name : {"a;reboot", "$(id)", "`id`", "a\"b", "a'b", "{}", "}", "-x", "--help", "*",
                                 "#", "\\", "accept", "a.b", "\xC3\xA9"}) {
    SCOPED_TRACE(name);
    CniCall add = call("ADD", conf({{"ipMasq", true}}), c1);
    add.ifname = name;
    works(add);
    works(call("ADD",
               conf({{"bridge", name},
                     {"ipMasq", true},
                     {"name", "other"},
                     {"ipam", {{"ranges", {{{{"subnet", "10.2.0.0/24"}}}}}}}}),
               c1));
  }
}

// Each is in a namespace of its own.
TEST_F(HostileTest, TheBridgeAndTheInterfaceMayHaveOneName) {
  CniCall add = call("ADD",
                     conf({{"bridge", "same"},
                           {"ipMasq", true},
                           {"name", "other"},
                           {"ipam", {{"ranges", {{{{"subnet", "10.2.0.0/24"}}}}}}}}),
                     container("c1"));
  add.ifname = "same";
  works(add);
}

TEST_F(HostileTest, IdsAndNetworksStayWithinTheirDirectories) {
  const std::string c1 = container("c1");
  for (const std::string id : {"../c", "/etc/passwd", "a/../../b", ".hidden", "a\nb", "a;b", "a b", "-rf"}) {
    SCOPED_TRACE(id);
    EXPECT_EQ(refusal(call("ADD", conf(), c1, id)), "4 invalid characters in containerID");
    EXPECT_EQ(refusal(call("DEL", conf(), c1, id)), "4 invalid characters in containerID");
    EXPECT_EQ(refusal(call("ADD", conf({{"name", id}}), c1)), "7 invalid characters found in network name");
    EXPECT_EQ(refusal(call("DEL", conf({{"name", id}}), c1)), "7 invalid characters found in network name");
  }
  EXPECT_NE(refusal(call("ADD", conf({{"name", std::string(300, 'n')}}), c1)), "");
  works(call("ADD", conf({{"ipMasq", true}}), c1, std::string(100'000, 'c')));
}

TEST_F(HostileTest, ADataDirectoryIsWhatItSays) {
  const std::string c1 = container("c1");
  const auto with = [&](const std::string& directory) {
    return call("ADD", conf({{"ipam", {{"dataDir", directory}}}}), c1);
  };
  for (const std::string& directory :
       {kDataDir + std::string("\0/x", 3), std::string(5000, '/') + std::string(300, 'x'),
        std::string("/dev/null"), std::string("/proc/none"), std::string("/proc/self/mem/x")}) {
    SCOPED_TRACE(directory.substr(0, 30));
    EXPECT_NE(refusal(with(directory)), "");
  }
  works(with("/run/none/../../run/./reservations//"));
}

// Whether it was there before the ADD, or has come in the place of the attachment's record.
TEST_F(HostileTest, WhatIsInARecordsPlaceHindersNobody) {
  const std::string c1 = container("c1");
  const std::set<std::string> others = records();
  const std::string before = everything();
  add(conf(), c1);
  std::string name;
  for (const std::string& record : records())
    if (!others.contains(record)) name = record;
  const std::string place = "/run/fairlead/net/" + name;
  const std::string clear = "rm " + place + "; ";
  for (const std::string& put : {"mkdir " + place, "mkdir -p " + place + "/x", "mkfifo " + place,
                                 "ln -s /etc/passwd " + place, "echo garbage >" + place}) {
    SCOPED_TRACE(put);
    ASSERT_EQ(shell(clear + put).status, 0);
    del(conf(), c1);
    shell(put);
    const json result = add(conf(), c1);
    EXPECT_EQ(cni(call("CHECK", withResult(conf(), result), c1)).status, 0);
    del(conf(), c1);
    shell("rm -rf " + place);
    EXPECT_EQ(everything(), before);
    add(conf(), c1);
  }
  del(conf(), c1);
  EXPECT_TRUE(fs::exists("/etc/passwd"));
}

// A record that is mounted on stays, and the DEL must not say that it is gone.
TEST_F(HostileTest, ARecordThatCannotBeRemovedIsTold) {
  const std::string c1 = container("c1");
  const std::set<std::string> others = records();
  add(conf(), c1);
  std::string place = "/run/fairlead/net/";
  for (const std::string& record : records())
    if (!others.contains(record)) place += record;
  ASSERT_EQ(shell("mount --bind " + place + " " + place).status, 0);
  const CniOutcome outcome = cni(call("DEL", conf(), c1));
  EXPECT_EQ(shell("umount " + place).status, 0);
  ASSERT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.msg(), "remove " + place + ": device or resource busy");
  del(conf(), c1);
  EXPECT_EQ(records(), others);
}

// ---- namespaces --------------------------------------------------------------------------------

TEST_F(HostileTest, WhatIsNoNetworkNamespaceIsRefusedAndForgottenByDel) {
  container("c1");
  std::ofstream("/run/plain") << "x";
  ASSERT_EQ(::mkfifo("/run/fifo", 0600), 0);
  fs::create_symlink("loop", "/run/loop");
  fs::create_symlink("/none", "/run/dangling");
  for (const std::string& path :
       {std::string("/run/plain"), std::string("/run/fifo"), std::string("/run/loop"),
        std::string("/run/dangling"), std::string("/run"), std::string("/run/plain/x"),
        std::string("/dev/null"), std::string("/dev/tty"), std::string("/proc/self/ns/mnt"),
        std::string("/proc/self/ns/user"), std::string("/proc/self/fd/0"), std::string("x"),
        "/" + std::string(5000, 'x')}) {
    SCOPED_TRACE(path.substr(0, 30));
    EXPECT_TRUE(refusal(call("ADD", conf(), path)).starts_with("999 failed to open netns")) << path;
    del(conf(), path);
  }
  for (const char* name : {"/run/plain", "/run/fifo", "/run/loop", "/run/dangling"}) fs::remove(name);
}

TEST_F(HostileTest, TheHostsOwnNamespaceIsRefusedUnderAnyName) {
  container("c1");
  const std::string own = "/proc/" + std::to_string(::getpid()) + "/ns/net";
  fs::create_symlink(own, "/run/own");
  for (const std::string& path : {std::string("/proc/self/ns/net"), std::string("/proc/thread-self/ns/net"),
                                  own, std::string("/run/own"), std::string("/run/netns/../own")}) {
    for (const char* verb : {"ADD", "DEL"})
      EXPECT_TRUE(refusal(call(verb, conf(), path)).starts_with("8 ")) << verb << path;
  }
  fs::remove("/run/own");
}

// The path leads to the container when the call is checked, and to the host when the plugin opens it: strace
// stops the process after it has looked.
class SwappedTest : public HostileTest, public testing::WithParamInterface<const char*> {};

TEST_P(SwappedTest, NamespaceBetweenCheckAndUse) {
  const std::string c1 = container("c1");
  fs::create_symlink(c1, "/run/swapped");
  ASSERT_EQ(::mkfifo("/run/trace", 0600), 0);
  const std::string before = everything();
  CniCall request = call(GetParam(), conf(), "/run/swapped");
  request.wrapper =
      "strace -f -P /run/swapped -e trace=%file -e inject=%file:signal=STOP:when=1 -o /run/trace";
  CniProcess process(request);
  std::ifstream trace("/run/trace");
  bool swapped = false;
  for (std::string line; std::getline(trace, line);) {
    if (line.find("--- stopped by SIGSTOP ---") == std::string::npos) continue;
    if (!swapped) {
      fs::create_symlink("/proc/" + std::to_string(::getpid()) + "/ns/net", "/run/new");
      fs::rename("/run/new", "/run/swapped");
      swapped = true;
    }
    ::kill(static_cast<pid_t>(std::stol(line)), SIGCONT);
  }
  EXPECT_TRUE(swapped) << "it did not look at the path";
  const CniOutcome outcome = process.wait();
  fs::remove("/run/swapped");
  fs::create_symlink(c1, "/run/swapped");
  EXPECT_EQ(outcome.status, 1) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.msg(), "plugin's netns and netns from CNI_NETNS should not be the same");
  EXPECT_EQ(everything(), before);
  fs::remove("/run/swapped");
  fs::remove("/run/trace");
}

INSTANTIATE_TEST_SUITE_P(Verbs, SwappedTest, testing::Values("ADD", "DEL"),
                         [](const auto& info) { return std::string(info.param); });

// ---- callers -----------------------------------------------------------------------------------

TEST_F(HostileTest, CallersWithoutPrivilegesAreToldAndChangeNothing) {
  const std::string c1 = container("c1");
  const std::string c2 = container("c2");
  // Where anybody may execute it.
  ASSERT_EQ(shell(std::string("cp -a ") + FAIRLEAD_CNI_DIR + " /run/bin && chmod 755 /run/bin").status, 0);
  const std::string masq = conf({{"ipMasq", true}});
  const json result = add(masq, c1);
  for (const char* wrapper : {"setpriv --reuid=65534 --regid=65534 --clear-groups",
                              "setpriv --bounding-set=-all --inh-caps=-all"}) {
    for (const char* verb : {"ADD", "DEL", "GC"}) {
      SCOPED_TRACE(std::string(wrapper) + " " + verb);
      const bool isAdd = verb == std::string("ADD");
      json document = json::parse(isAdd ? masq : withResult(masq, result));
      document["cni.dev/valid-attachments"] = json::array();
      CniCall request = call(verb, document.dump(), isAdd ? c2 : c1, isAdd ? "c2" : "c1");
      request.directory = "/run/bin";
      request.wrapper = wrapper;
      const std::string said = refusal(request);
      EXPECT_TRUE(said.find("permission denied") != std::string::npos ||
                  said.find("operation not permitted") != std::string::npos)
          << said;
      EXPECT_TRUE(pings(c1, "10.1.0.1"));
    }
  }
  del(masq, c1, "c1", result);
  fs::remove_all("/run/bin");
}

}  // namespace
}  // namespace fairlead::plugin
