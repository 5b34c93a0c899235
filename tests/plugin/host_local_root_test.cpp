// The plugin host-local on disks that are full or read-only, and killed at every system call. What it mounts
// is in the test program's own mount namespace.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ipam.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

const std::string kOurs = FAIRLEAD_CNI_DIR "/host-local";

class HostLocalRootTest : public IpamTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
    fs::create_directories(data());
  }
  void TearDown() override { ::umount2(data().c_str(), MNT_DETACH); }

  std::string data() const { return root() + "/data"; }
  void mountData(const std::string& options) const {
    ASSERT_EQ(::mount("tmpfs", data().c_str(), "tmpfs", 0, options.c_str()), 0);
  }
  void makeReadOnly() const {
    ASSERT_EQ(::mount(nullptr, data().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  }
  Json net() const { return conf("host-local", {{"subnet", "10.1.2.0/24"}}); }
  // traced() is a program that calls the plugin under strace with these words.
  std::string traced(const std::string& words) const {
    std::string path = root() + "/traced";
    std::ofstream(path) << "#!/bin/sh\nexec strace -o /dev/null " << words << " " << kOurs << "\n";
    ::chmod(path.c_str(), 0700);
    return path;
  }
};

class FullDisk : public HostLocalRootTest {
 protected:
  // fillUp() adds until that fails, and returns the failure.
  Reply fillUp() {
    for (;; ++added_) {
      Reply reply = ours(net(), {.id = "c" + std::to_string(added_)});
      if (reply.status != 0) return reply;
      if (added_ > 200) throw std::runtime_error("the disk does not fill up");
    }
  }
  void expectItGoesOn() const {
    EXPECT_EQ(reservations().size(), static_cast<size_t>(added_));
    for (const auto& [name, content] : reservations()) EXPECT_TRUE(content.ends_with("\r\neth0")) << name;
    EXPECT_EQ(ours(net(), {.verb = "DEL", .id = "c0"}).status, 0);
    EXPECT_EQ(ours(net(), {.id = "late"}).status, 0);
  }
  std::string next() const { return directory() + "/10.1.2." + std::to_string(added_ + 2); }

  int added_ = 0;
};

TEST_F(FullDisk, LeavesNothingHalfDoneWithoutRoomForAFile) {
  mountData("nr_inodes=12");
  const Reply full = fillUp();
  EXPECT_EQ(full.msg(), "failed to allocate for range 0: open " + next() + ": no space left on device");
  expectItGoesOn();
}

TEST_F(FullDisk, LeavesNothingHalfDoneWithoutRoomForBytes) {
  mountData("size=" + std::to_string(8 * ::sysconf(_SC_PAGESIZE)));
  const Reply full = fillUp();
  EXPECT_EQ(full.msg(), "failed to allocate for range 0: write " + next() + ": no space left on device");
  expectItGoesOn();
}

TEST_F(HostLocalRootTest, SaysThatADiskIsReadOnly) {
  mountData("size=1m");
  fs::create_directories(directory());
  makeReadOnly();
  EXPECT_EQ(ours(net(), {}).msg(), "open " + directory() + "/lock: read-only file system");
  Json status = net();
  status["cniVersion"] = "1.1.0";
  const Reply reply = ours(status, {.verb = "STATUS"});
  EXPECT_EQ(reply.code(), 50);
  EXPECT_EQ(reply.msg(), "data directory " + directory() + " cannot be used: read-only file system");
}

TEST_F(HostLocalRootTest, FailsToChangeButNotToLookOnAReadOnlyDisk) {
  mountData("size=1m");
  EXPECT_EQ(ours(net(), {}).status, 0);
  makeReadOnly();
  EXPECT_EQ(ours(net(), {.verb = "CHECK"}).status, 0);
  EXPECT_EQ(ours(net(), {.id = "other"}).msg(),
            "failed to allocate for range 0: open " + directory() + "/10.1.2.3: read-only file system");
  EXPECT_EQ(ours(net(), {.verb = "DEL"}).msg(), "remove " + directory() + "/10.1.2.2: read-only file system");
  EXPECT_EQ(ours(net(), {.verb = "DEL", .id = "other"}).status, 0);
}

TEST_F(HostLocalRootTest, DoesWithoutUnnamedFiles) {
  if (::access("/usr/bin/strace", X_OK) != 0) GTEST_SKIP() << "strace is not installed";
  const std::string without = traced("-e trace=linkat -e inject=linkat:error=EPERM");
  EXPECT_EQ(theirs(without, net(), {}).address(), "10.1.2.2/24");
  EXPECT_EQ(theirs(without, net(), {.id = "other"}).address(), "10.1.2.3/24");
  EXPECT_EQ(reservations(), (Files{{"10.1.2.2", "abc\r\neth0"}, {"10.1.2.3", "other\r\neth0"}}));
}

// killedEverywhere() makes a call again and again, killed before its first system call of that name, its
// second, and so on, until it gets through. After each the directory must be in order.
class KilledEverywhere : public HostLocalRootTest, public testing::WithParamInterface<const char*> {
 protected:
  void killAt(const std::string& name) const {
    const std::string verb = GetParam();
    for (int count = 1;; ++count) {
      ASSERT_LT(count, 30) << "more of " << name << " than there should be";
      const std::string number = std::to_string(count);
      std::string where = verb;
      where.append(" at ").append(name).append(" ").append(number);
      std::string words = "-e trace=";
      words.append(name).append(" -e inject=").append(name).append(":signal=KILL:when=").append(number);
      if (verb == "DEL") ours(net(), {});
      const Reply reply = theirs(traced(words), net(), {.verb = verb});
      for (const auto& [file, content] : reservations())
        EXPECT_TRUE(content.ends_with("\r\neth0")) << where << file;
      EXPECT_EQ(ours(net(), {.verb = "DEL"}).status, 0) << where;
      EXPECT_EQ(ours(net(), {.verb = "CHECK"}).status, 1) << where;
      EXPECT_EQ(reservations().size(), kOthers) << where;
      if (reply.status == 0) return;
    }
  }
  static constexpr size_t kOthers = 10;  // enough for an index
};

TEST_P(KilledEverywhere, LeavesWhatTheNextCallCanUse) {
  if (::access("/usr/bin/strace", X_OK) != 0) GTEST_SKIP() << "strace is not installed";
  for (size_t i = 0; i < kOthers; ++i) ASSERT_EQ(ours(net(), {.id = "c" + std::to_string(i)}).status, 0);
  for (const char* name :
       {"openat", "flock", "linkat", "unlinkat", "pwrite64", "ftruncate", "utimensat", "close", "write"}) {
    killAt(name);
  }
}

INSTANTIATE_TEST_SUITE_P(Verbs, KilledEverywhere, testing::Values("ADD", "DEL"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace fairlead::plugin
