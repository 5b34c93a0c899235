// Namespaces: opening, making, entering. Root.
#include "netns/netns.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>

#include "netns/sysctl.h"
#include "runtime/runtime.h"
#include "tests/netns/host.h"

namespace fairlead::netns {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Kind = NetNSError::Kind;

class NetNSTest : public HostTest {
 protected:
  // The kind of the error that opening `path` throws, and what is in the way.
  struct Refusal {
    Kind kind;
    uint32_t fsMagic;
    friend bool operator==(const Refusal&, const Refusal&) = default;
  };
  static std::optional<Refusal> refusalOf(const std::string& path) {
    try {
      NetNS::open(path);
      return std::nullopt;
    } catch (const NetNSError& error) {
      return Refusal{error.kind(), error.fsMagic()};
    }
  }
  // waitUntil() lets other goroutines run until `done`; false when it is not for 10 s.
  template <class F>
  static bool waitUntil(const F& done) {
    for (const auto limit = std::chrono::steady_clock::now() + 10s; !done(); runtime::sleep(1ms))
      if (std::chrono::steady_clock::now() > limit) return false;
    return true;
  }
  // forbid() has a system call fail with EPERM from now on.
  static void forbid(unsigned call) {
    sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                             BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                             BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog filter{.len = std::size(program), .filter = program};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
      ::_exit(2);
  }
  static NetNS::Identity identityAt(const std::string& path) { return NetNS::open(path).identity(); }

  // A directory for files that are no namespaces; /run is the test's own.
  const std::string dir_ = "/run/netns_test";
};

// ---- opening -----------------------------------------------------------------------------------

TEST_F(NetNSTest, SameNamespaceHasOneIdentityHoweverItIsOpened) {
  const NetNS container = NetNS::createNamed("web");
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setns(container.fd(), CLONE_NEWNET) != 0) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  EXPECT_TRUE(waitUntil([&] { return NetNS::ofPid(child).identity() == container.identity(); }));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);

  EXPECT_EQ(identityAt("/run/netns/web"), container.identity());
  EXPECT_NE(NetNS::current().identity(), container.identity());
  EXPECT_EQ(NetNS::current().identity(), NetNS::ofPid(::getpid()).identity());
  fs::create_symlink("/run/netns/web", "/run/link");
  EXPECT_EQ(identityAt("/run/link"), container.identity());
  fs::remove("/run/link");
  EXPECT_TRUE(NetNS::removeNamed("web"));
}

TEST_F(NetNSTest, PathWithNothingBehindItIsNotFound) {
  EXPECT_EQ(refusalOf("/run/nosuch"), (Refusal{Kind::NotFound, 0}));
  EXPECT_EQ(refusalOf("/proc/4194305/ns/net"), (Refusal{Kind::NotFound, 0}));
  EXPECT_EQ(refusalOf("/proc/self/status/ns/net"), (Refusal{Kind::NotFound, 0}));
  EXPECT_EQ(refusalOf(""), (Refusal{Kind::NotFound, 0}));
  fs::create_symlink("/run/nosuch", "/run/dangling");
  EXPECT_EQ(refusalOf("/run/dangling"), (Refusal{Kind::NotFound, 0}));
  fs::remove("/run/dangling");
}

TEST_F(NetNSTest, WhatIsNoNetworkNamespaceIsSaidToBeWhatItIs) {
  fs::create_directory(dir_);
  std::ofstream(dir_ + "/plain") << "left by a vanished mount";
  ASSERT_EQ(::mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  (dir_ + "/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);

  for (const auto* name : {"/plain", "/fifo", "/socket", ""})
    EXPECT_EQ(refusalOf(dir_ + name), (Refusal{Kind::NotNamespace, TMPFS_MAGIC})) << name;
  for (const auto* other : {"mnt", "uts", "pid", "user"})
    EXPECT_EQ(refusalOf(std::string("/proc/self/ns/") + other), (Refusal{Kind::NotNamespace, NSFS_MAGIC}))
        << other;
  EXPECT_EQ(refusalOf("/proc/self/status"), (Refusal{Kind::NotNamespace, PROC_SUPER_MAGIC}));
  EXPECT_EQ(refusalOf("/dev/null").value().kind, Kind::NotNamespace);
  fs::remove_all(dir_);
}

TEST_F(NetNSTest, RefusalNamesPathAndFileSystem) {
  fs::create_directory(dir_);
  std::ofstream(dir_ + "/plain") << "x";
  try {
    NetNS::open(dir_ + "/plain");
    FAIL() << "no error";
  } catch (const NetNSError& error) {
    EXPECT_STREQ(
        error.what(),
        "open /run/netns_test/plain: invalid argument (not a network namespace, file system magic 1021994)");
  }
  fs::remove_all(dir_);
}

TEST_F(NetNSTest, PathWithNulIsRefusedRatherThanCut) {
  EXPECT_EQ(refusalOf(std::string("/proc/self/ns/net\0x", 19)), (Refusal{Kind::Other, 0}));
}

TEST_F(NetNSTest, OpenNamespaceOutlivesItsName) {
  const NetNS container = NetNS::createNamed("web");
  EXPECT_TRUE(NetNS::removeNamed("web"));
  EXPECT_EQ(refusalOf("/run/netns/web"), (Refusal{Kind::NotFound, 0}));
  Socket socket = Socket::open(container);
  EXPECT_TRUE(link::find(socket, {.name = "lo"}));
}

// ---- making ------------------------------------------------------------------------------------

TEST_F(NetNSTest, NewNamespaceHasLoopbackDownAndTheThreadStaysHome) {
  const auto home = NetNS::current().identity();
  const NetNS container = NetNS::create();
  EXPECT_EQ(NetNS::current().identity(), home);
  EXPECT_NE(container.identity(), home);
  EXPECT_EQ(identityAt(container.path()), container.identity());
  const auto links = lookIn(container, "ip -j link");
  ASSERT_EQ(links.size(), 1U);
  EXPECT_EQ(links.at(0).at("operstate"), "DOWN");
}

TEST_F(NetNSTest, NamedNamespaceIsOneForIpNetns) {
  const NetNS container = NetNS::createNamed("web");
  EXPECT_EQ(look("ip -j netns").at(0).at("name"), "web");
  EXPECT_EQ(look("ip -n web -j link").size(), 1U);
  EXPECT_EQ(codeOf([] { NetNS::createNamed("web"); }), EEXIST);
  EXPECT_EQ(shell("ip netns del web").text, "");
  EXPECT_FALSE(NetNS::removeNamed("web"));

  ASSERT_EQ(shell("ip netns add theirs").text, "");
  EXPECT_EQ(codeOf([] { NetNS::createNamed("theirs"); }), EEXIST);
  EXPECT_TRUE(NetNS::removeNamed("theirs"));
}

TEST_F(NetNSTest, PlainFileLeftUnderANameIsRemoved) {
  fs::create_directories("/run/netns");
  std::ofstream("/run/netns/stale") << "";
  EXPECT_TRUE(NetNS::removeNamed("stale"));
  EXPECT_FALSE(fs::exists("/run/netns/stale"));
}

TEST_F(NetNSTest, NameCannotLeaveItsDirectory) {
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("../x"),
                                  std::string("a/b"), std::string("a\0b", 3)}) {
    EXPECT_EQ(codeOf([&] { NetNS::createNamed(name); }), EINVAL) << name;
    EXPECT_EQ(codeOf([&] { NetNS::removeNamed(name); }), EINVAL) << name;
  }
}

TEST_F(NetNSTest, FailedCreationLeavesNoName) {
  EXPECT_EQ(codeOf([] { NetNS::createNamed(std::string(300, 'x')); }), ENAMETOOLONG);
  // A process in which unshare fails comes as far as having made the file.
  const pid_t child = ::fork();
  if (child == 0) {
    forbid(SYS_unshare);
    ::_exit(codeOf([] { NetNS::createNamed("web"); }) == EPERM ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(fs::exists("/run/netns/web"));
}

// ---- entering ----------------------------------------------------------------------------------

TEST_F(NetNSTest, WorkIsDoneInsideAndTheThreadComesBack) {
  const NetNS container = NetNS::create();
  const auto home = NetNS::current().identity();
  NetNS::Identity inside;
  doInNetNS(container, [&] { inside = NetNS::current().identity(); });
  EXPECT_EQ(inside, container.identity());
  EXPECT_EQ(NetNS::current().identity(), home);
}

TEST_F(NetNSTest, ExceptionPassesThroughAndTheThreadComesBack) {
  const NetNS container = NetNS::create();
  const auto home = NetNS::current().identity();
  EXPECT_THROW(doInNetNS(container, [] { throw std::out_of_range("f's own"); }), std::out_of_range);
  EXPECT_EQ(NetNS::current().identity(), home);
}

TEST_F(NetNSTest, VisitsNest) {
  const NetNS outer = NetNS::create();
  const NetNS inner = NetNS::create();
  const auto home = NetNS::current().identity();
  doInNetNS(outer, [&] {
    doInNetNS(inner, [&] { EXPECT_EQ(NetNS::current().identity(), inner.identity()); });
    EXPECT_EQ(NetNS::current().identity(), outer.identity());
    Socket::open(inner);
    EXPECT_EQ(NetNS::current().identity(), outer.identity());
    sysctl::read(inner, "net/ipv4/ip_forward");
    EXPECT_EQ(NetNS::current().identity(), outer.identity());
  });
  EXPECT_EQ(NetNS::current().identity(), home);
}

TEST_F(NetNSTest, EnteringWhatCannotBeEnteredChangesNothing) {
  NetNS container = NetNS::create();
  const auto home = NetNS::current().identity();
  bool ran = false;
  EXPECT_EQ(codeOf([&] { doInNetNS(closed(container), [&] { ran = true; }); }), EBADF);
  EXPECT_FALSE(ran);
  EXPECT_EQ(NetNS::current().identity(), home);
}

TEST_F(NetNSTest, GoroutinesStartedInsideRunInTheHost) {
  const NetNS container = NetNS::create();
  const auto home = NetNS::current().identity();
  const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
  struct Seen {
    std::atomic<int> count = 0;
    std::atomic<bool> elsewhere = false;
  };
  const auto seen = std::make_shared<Seen>();
  constexpr int kGoroutines = 8;
  doInNetNS(container, [&] {
    for (int i = 0; i < kGoroutines; ++i)
      runtime::go([seen, home] {
        if (NetNS::current().identity() != home) seen->elsewhere = true;
        ++seen->count;
      });
    EXPECT_TRUE(waitUntil([&] { return seen->count == kGoroutines; }));
    EXPECT_EQ(NetNS::current().identity(), container.identity());
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
      const bool ours = task.path().filename() == std::to_string(self);
      EXPECT_EQ(identityAt(task.path() / "ns/net"), ours ? container.identity() : home) << task.path();
    }
  });
  EXPECT_FALSE(seen->elsewhere);
}

TEST_F(NetNSTest, ThreadThatCannotComeBackDies) {
  const NetNS container = NetNS::create();
  // The descriptors of network namespaces that are open.
  const auto openNamespaces = [] {
    std::set<int> found;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (fs::read_symlink(entry.path(), gone).string().starts_with("net:"))
        found.insert(std::stoi(entry.path().filename()));
    }
    return found;
  };
  struct Seen {
    std::atomic<pid_t> thread = 0;
    std::atomic<int> code = -1;
  };
  const auto seen = std::make_shared<Seen>();
  runtime::go([&container, &openNamespaces, seen] {
    seen->thread = static_cast<pid_t>(::syscall(SYS_gettid));
    const std::set<int> before = openNamespaces();
    seen->code = codeOf([&] {
      doInNetNS(container, [&] {
        // Takes the way back away.
        for (const int fd : openNamespaces())
          if (!before.contains(fd)) ::close(fd);
      });
    });
  });
  EXPECT_TRUE(waitUntil([&] { return seen->code != -1; }));
  EXPECT_EQ(seen->code, EBADF);
  EXPECT_TRUE(waitUntil([&] { return !fs::exists("/proc/self/task/" + std::to_string(seen->thread)); }));
}

}  // namespace
}  // namespace fairlead::netns
