// Removing links without the kernel's wait. Root.
#include "netns/straggler.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <ctime>
#include <fstream>
#include <string>

#include "netns/route.h"
#include "tests/netns/host.h"
#include "tests/netns/keeper.h"

namespace fairlead::netns {
namespace {

struct Ends {
  Fd reader, writer;
};

Ends makePipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK), 0);
  return {.reader = Fd(ends[0]), .writer = Fd(ends[1])};
}

// held() tells whether anybody has the other end of a pipe.
bool held(const Fd& reader) {
  char byte = 0;
  const ssize_t size = ::read(reader.get(), &byte, 1);
  EXPECT_TRUE(size == 0 || (size < 0 && errno == EAGAIN));
  return size < 0;
}

bool ended(const Straggler& straggler, int patience) {
  pollfd entry{.fd = straggler.lifeline(), .events = 0, .revents = 0};
  return ::poll(&entry, 1, patience) == 1;
}

// Busy is a socket that a send to waits at until somebody receives.
class Busy {
 public:
  Busy() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
    const std::string block(4096, 'x');
    while (::send(ours_.get(), block.data(), block.size(), MSG_DONTWAIT) > 0) {
    }
  }
  int fd() const { return ours_.get(); }

 private:
  Fd ours_, theirs_;
};

class StragglerTest : public HostTest {
 protected:
  void TearDown() override {
    while (::waitpid(-1, nullptr, __WALL) > 0) {  // children end by themselves
    }
    HostTest::TearDown();
  }
  void addPair(const NetNS& container) {
    host().send(link::addVeth({.name = "veth0", .peerName = "eth0", .peerNS = &container}));
  }
};

TEST_F(StragglerTest, BothEndsAreGoneAndTheirNamesFree) {
  const NetNS container = NetNS::create();
  const int bridge = addBridge("br0");
  Straggler straggler;
  for (int i = 0; i < 20; ++i) {
    addContainer(container, "veth0", bridge, Prefix::parse("10.1.0.2/24").value());
    const int index = link::find(host(), {.name = "veth0"}).value().index;
    ASSERT_TRUE(link::remove(host(), {.name = "veth0", .index = i % 2 == 0 ? 0 : index}, straggler));
    EXPECT_NE(shell("ip link show veth0").status, 0);
    EXPECT_EQ(shellIn(container, "ip link show eth0").status, 1);
    EXPECT_EQ(lookIn(container, "ip -j route"), nlohmann::json::array());
  }
}

TEST_F(StragglerTest, EndsThatAreInOneNamespaceGoTogether) {
  Straggler straggler;
  host().send(link::addVeth({.name = "one", .peerName = "two"}));
  EXPECT_TRUE(link::remove(host(), {.name = "two"}, straggler));
  EXPECT_EQ(look("ip -j link").size(), 1U);
}

TEST_F(StragglerTest, NothingIsLeftBehindForALinkThatIsNotThere) {
  Straggler straggler;
  EXPECT_FALSE(link::remove(host(), {.name = "nosuch"}, straggler));
  EXPECT_FALSE(link::remove(host(), {.name = "nosuch", .index = 4711}, straggler));
  EXPECT_EQ(straggler.lifeline(), -1);
}

TEST_F(StragglerTest, WhatTheKernelRefusesIsTheCallersError) {
  Straggler straggler;
  try {
    link::remove(host(), {.name = "lo"}, straggler);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), EOPNOTSUPP);
    EXPECT_STREQ(error.what(), "ip link del lo: operation not supported");
  }
  EXPECT_TRUE(link::find(host(), {.name = "lo"}));  // the socket is fine
}

TEST_F(StragglerTest, InTheContainersNamespace) {
  const NetNS container = NetNS::create();
  addPair(container);
  Socket inside = Socket::open(container);
  Straggler straggler;
  EXPECT_TRUE(link::remove(inside, {.name = "eth0"}, straggler));
  EXPECT_NE(shell("ip link show veth0").status, 0);
}

TEST_F(StragglerTest, HoldsNoFileOfTheCallers) {
  const NetNS container = NetNS::create();
  addPair(container);
  Ends ends = makePipe();
  Straggler straggler;
  EXPECT_TRUE(link::remove(host(), {.name = "veth0"}, straggler));
  ends.writer.reset();
  EXPECT_FALSE(held(ends.reader));
}

TEST_F(StragglerTest, IsReapedWhenItHasEndedAndIsNobodysChildMeanwhile) {
  const NetNS container = NetNS::create();
  {
    Straggler straggler;
    for (int i = 0; i < 3; ++i) {
      addPair(container);
      EXPECT_TRUE(link::remove(host(), {.name = "veth0"}, straggler));
      EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);  // children that end without a signal do not count
      EXPECT_EQ(errno, ECHILD);
      EXPECT_TRUE(ended(straggler, -1));
      // The line hangs up a little before there is something to reap.
      siginfo_t info{};
      EXPECT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL), 0);
    }
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
}

// ---- what it keeps -----------------------------------------------------------------------------

pid_t latestChild() {
  std::ifstream list("/proc/thread-self/children");
  pid_t child = 0;
  while (list >> child) {
  }
  return child;
}

// awaitEnd() waits until a child has let go of everything; its line hangs up a little before.
void awaitEnd(pid_t child) {
  siginfo_t info{};
  EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT | __WALL), 0);
}

// leftWithOthers() offers a pipe's end to who keeps sockets in the calling thread's namespace, and returns
// the other end if it is taken.
Fd leftWithOthers() {
  Ends ends = makePipe();
  Straggler straggler;
  straggler.keepIfOthersDo(ends.writer.get());
  ends.writer.reset();
  // A child of its own has it when the other has ended just then.
  return straggler.lifeline() == -1 && held(ends.reader) ? std::move(ends.reader) : Fd();
}

// seesOneKeep() has a child keep something, and leaves a pipe's end with it before it ends: it may have been
// made just before the instant.
Fd seesOneKeep(Straggler& straggler, int fd) {
  constexpr int kAttempts = 5;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    straggler.keep(fd);
    while (!ended(straggler, 1))
      if (Fd left = leftWithOthers()) return left;
  }
  return {};
}

TEST_F(StragglerTest, KeepsWhatItIsGivenWhileItSends) {
  Ends ends = makePipe();
  const Busy busy;
  Straggler straggler;
  ASSERT_TRUE(straggler.send(busy.fd(), std::string("x")));
  straggler.keep(ends.writer.get());
  ends.writer.reset();
  EXPECT_TRUE(held(ends.reader));
  EXPECT_FALSE(ended(straggler, 0));
  straggler.stop();
  EXPECT_TRUE(ended(straggler, 0));
  EXPECT_FALSE(held(ends.reader));
  straggler.stop();  // again
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
}

TEST_F(StragglerTest, KeepsUntilTheNextInstantAndEndsByItself) {
  Ends ends = makePipe();
  Straggler straggler;
  straggler.keep(ends.writer.get());  // by nobody yet
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  ends.writer.reset();
  awaitEnd(latestChild());
  EXPECT_FALSE(held(ends.reader));

  ends = makePipe();
  straggler.keep(ends.writer.get());  // too late for that one
  ends.writer.reset();
  awaitEnd(latestChild());
  EXPECT_FALSE(held(ends.reader));
}

TEST_F(StragglerTest, EndsNotBeforeTheInstantThatIsTheSameForAll) {
  const auto instants = [] {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 2 + now.tv_nsec / 500'000'000;
  };
  const Ends ends = makePipe();
  for (int i = 0; i < 4; ++i) {
    const auto before = instants();
    Straggler straggler;
    straggler.keep(ends.writer.get());
    ASSERT_TRUE(ended(straggler, -1));
    EXPECT_GT(instants(), before);
  }
}

TEST_F(StragglerTest, OthersLeaveTheirsWithIt) {
  const NetNS elsewhere = NetNS::create();
  const Ends ends = makePipe();
  EXPECT_FALSE(leftWithOthers());
  Straggler straggler;
  const Fd left = seesOneKeep(straggler, ends.writer.get());
  EXPECT_TRUE(left);
  doInNetNS(elsewhere, [] { EXPECT_FALSE(leftWithOthers()); });
  awaitEnd(latestChild());
  EXPECT_FALSE(held(left));
  EXPECT_FALSE(leftWithOthers());
}

TEST_F(StragglerTest, WhereNobodyKeepsNothingIsKept) {
  Ends ends = makePipe();
  Straggler straggler;
  straggler.keepIfOthersDo(ends.writer.get());
  ends.writer.reset();
  EXPECT_EQ(straggler.lifeline(), -1);
  EXPECT_FALSE(held(ends.reader));
}

TEST_F(StragglerTest, LeavesItsOwnWithOthersAndNeedsNoChild) {
  test::Keeper keeper;
  Ends ends = makePipe();
  Straggler straggler;
  straggler.keep(ends.writer.get());
  ends.writer.reset();
  EXPECT_EQ(straggler.lifeline(), -1);
  EXPECT_TRUE(held(ends.reader));
  EXPECT_EQ(keeper.take().size(), 1);
  EXPECT_FALSE(held(ends.reader));
}

TEST_F(StragglerTest, WhatIsLeftIsClosedWithTheListener) {
  std::optional<test::Keeper> keeper(std::in_place);
  const Fd left = leftWithOthers();
  ASSERT_TRUE(left);
  keeper.reset();
  EXPECT_FALSE(held(left));
}

// A socket that is left open would be anybody's otherwise, for who takes the name.
TEST_F(StragglerTest, NothingIsLeftWithAnotherUser) {
  constexpr uid_t kNobody = 65534;
  test::Keeper stranger(kNobody);
  for (const auto keep : {&Straggler::keep, &Straggler::keepIfOthersDo}) {
    Ends ends = makePipe();
    Straggler straggler;
    (straggler.*keep)(ends.writer.get());
    ends.writer.reset();
    EXPECT_EQ(stranger.take().size(), 0);
    EXPECT_NE(straggler.lifeline(), -1);  // its own child does it
    awaitEnd(latestChild());
    EXPECT_FALSE(held(ends.reader));
  }
}

TEST_F(StragglerTest, WhereThereIsNoRoomItsOwnChildKeeps) {
  test::Keeper keeper(0, 0);
  keeper.fill();
  Ends ends = makePipe();
  Straggler straggler;
  straggler.keepIfOthersDo(ends.writer.get());
  ends.writer.reset();
  EXPECT_NE(straggler.lifeline(), -1);
  EXPECT_EQ(keeper.take().size(), 0);
  awaitEnd(latestChild());
  EXPECT_FALSE(held(ends.reader));
}

TEST_F(StragglerTest, NothingIsSeenOfOneThatKeepsNothing) {
  const Busy busy;
  Straggler straggler;
  ASSERT_TRUE(straggler.send(busy.fd(), std::string("x")));
  EXPECT_FALSE(leftWithOthers());
  straggler.stop();
}

TEST_F(StragglerTest, NobodyHasToWaitForOneThatKeeps) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    Ends ends = makePipe();
    Straggler straggler;
    EXPECT_TRUE(seesOneKeep(straggler, ends.writer.get()));
    ends.writer.reset();
    const pid_t child = latestChild();
    ASSERT_GT(child, 0);
    ::kill(child, signal);
    awaitEnd(child);
    EXPECT_FALSE(held(ends.reader));
  }
}

TEST_F(StragglerTest, BlocksAllSignals) {
  const Busy busy;
  Straggler straggler;
  ASSERT_TRUE(straggler.send(busy.fd(), std::string("x")));
  const std::string status = shell("cat /proc/" + std::to_string(latestChild()) + "/status").text;
  straggler.stop();
  const size_t at = status.find("SigBlk:");
  ASSERT_NE(at, std::string::npos) << status;
  const uint64_t blocked = std::stoull(status.substr(at + 7), nullptr, 16);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGURG, SIGPIPE, SIGSEGV})
    EXPECT_NE(blocked & (uint64_t{1} << (signal - 1)), 0U) << signal;
}

// ---- what others announce ----------------------------------------------------------------------

// listen() has the socket receive what happens to links. One that has not sent yet has no address and would
// be left out.
void listen(Socket& socket) {
  link::find(socket, {.name = "lo"});
  const int group = RTNLGRP_LINK;
  ASSERT_EQ(::setsockopt(socket.fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), 0);
}

TEST_F(StragglerTest, AnnouncementIsNoAnswerWhateverItsNumber) {
  addBridge("br0");
  addBridge("br1");
  Socket mine = Socket::open();
  Socket others = Socket::open();
  listen(mine);
  for (int i = 0; i < 8; ++i) others.send(link::set({.name = "br1"}, {.mtu = 1300 + i}));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(link::find(mine, {.name = "br0"}).value().name, "br0");
}

TEST_F(StragglerTest, LostMessagesAreNoticedAndTheSocketIsOfUse) {
  addBridge("br0");
  host().send(link::addVeth({.name = "one", .peerName = "two"}));
  Socket mine = Socket::open();
  listen(mine);
  const int small = 1;
  ASSERT_EQ(::setsockopt(mine.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  for (int i = 0; i < 8; ++i) host().send(link::set({.name = "br0"}, {.mtu = 1300 + i}));
  Straggler straggler;
  EXPECT_FALSE(mine.sendBy(straggler, link::remove({.name = "one"}), RTNLGRP_LINK,
                           [](const nlmsghdr&) { return false; }));
  mine.send(link::remove({.name = "one"}));
  EXPECT_NE(shell("ip link show two").status, 0);
}

}  // namespace
}  // namespace fairlead::netns
