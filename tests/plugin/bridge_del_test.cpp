// A DEL that does not wait for the kernel: what its caller can observe. Root.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/netns/keeper.h"
#include "tests/plugin/bridge_host.h"

namespace fairlead::plugin {
namespace {

using netns::shell;
using nlohmann::json;

class BridgeDelTest : public BridgeTest {
 protected:
  static void expectGone(const std::string& netns) {
    EXPECT_EQ(links(), (std::set<std::string>{"lo", "br0"}));
    EXPECT_EQ(inside(netns, "ip link show dev eth0"), "");
    EXPECT_EQ(shell("nft list ruleset").text.find("masq-"), std::string::npos);
    EXPECT_EQ(reservations(), std::set<std::string>{});
    EXPECT_EQ(records(), std::set<std::string>{});
  }
};

TEST_F(BridgeDelTest, EverythingIsGoneAndAnotherAddSucceedsAtOnce) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  for (int i = 0; i < 20; ++i) {
    const json result = add(masq, c1);
    del(masq, c1, "c1", i % 2 == 0 ? result : json());
    expectGone(c1);
  }
}

TEST_F(BridgeDelTest, HoldsNoFileOfTheCallers) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  ASSERT_EQ(::mkfifo("/run/held", 0600), 0);
  const netns::Fd reader(::open("/run/held", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const json result = add(masq, c1);
  CniCall request = call("DEL", withResult(masq, result), c1);
  request.wrapper = "3>/run/held";
  EXPECT_EQ(cni(request).status, 0);
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0);  // at its end; EAGAIN while somebody could write
  ::unlink("/run/held");
}

TEST_F(BridgeDelTest, LeavesOneProcessThatEndsByItself) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  const json result = add(masq, c1);
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);  // orphans become ours
  del(masq, c1, "c1", result);
  int status = -1;
  EXPECT_GT(::waitpid(-1, &status, 0), 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(::waitpid(-1, &status, 0), -1);
  del(masq, c1, "c1", result);  // nothing to remove, nobody to leave
  EXPECT_EQ(::waitpid(-1, &status, 0), -1);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_F(BridgeDelTest, WhatRemovesNothingLeavesNoProcessAndItsSocketWithWhoKeepsSome) {
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  json result = add(masq, c1);
  int status = -1;
  EXPECT_EQ(::waitpid(-1, &status, 0), -1);
  del(masq, c1, "c1", result);
  EXPECT_GT(::waitpid(-1, &status, 0), 0);
  {
    netns::test::Keeper keeper;
    result = add(masq, c1);
    EXPECT_EQ(::waitpid(-1, &status, 0), -1);
    EXPECT_EQ(keeper.take().size(), 1);
    EXPECT_EQ(cni(call("CHECK", withResult(masq, result), c1)).status, 0);
    EXPECT_EQ(::waitpid(-1, &status, 0), -1);
    EXPECT_EQ(keeper.take().size(), 1);
    EXPECT_EQ(gc(masq, {"c1"}).status, 0);
    EXPECT_EQ(::waitpid(-1, &status, 0), -1);
    EXPECT_EQ(keeper.take().size(), 1);
  }
  del(masq, c1, "c1", result);
  EXPECT_GT(::waitpid(-1, &status, 0), 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  expectGone(c1);
}

// ---- where it goes wrong -----------------------------------------------------------------------

// Each is something that strace does to the DEL.
class HinderedDelTest : public BridgeDelTest, public testing::WithParamInterface<std::string> {};

TEST_P(HinderedDelTest, DoesItTheLongWay) {
  if (::access("/usr/bin/strace", X_OK) != 0) GTEST_SKIP() << "strace is not installed";
  const std::string masq = conf({{"ipMasq", true}});
  const std::string c1 = container("c1");
  const json result = add(masq, c1);
  CniCall request = call("DEL", withResult(masq, result), c1);
  request.wrapper = "strace -f -o /run/trace -e inject=" + GetParam();
  const CniOutcome outcome = cni(request);
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  expectGone(c1);
  const std::string hindered = GetParam().substr(0, GetParam().find(':'));
  EXPECT_EQ(shell("grep -qw " + hindered + " /run/trace").status, 0);  // it came to that
  ::unlink("/run/trace");
}

INSTANTIATE_TEST_SUITE_P(Everywhere, HinderedDelTest,
                         testing::Values("clone:error=EAGAIN",            // no child
                                         "socketpair:error=EMFILE",       // no line to it
                                         "setsockopt:error=EPERM",        // no announcements
                                         "close_range:error=ENOSYS",      // an old kernel
                                         "close_range:signal=SIGKILL",    // killed before it has sent
                                         "close_range:signal=SIGSTOP",    // stopped, for ever
                                         "sendmsg:error=ETOOMANYREFS"));  // the child gets no socket

}  // namespace
}  // namespace fairlead::plugin
