#include "plugin/record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "plugin/names.h"
#include "tests/plugin/no_descriptors.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

class RecordStoreTest : public testing::Test {
 protected:
  RecordStoreTest()
      : store_((fs::path(testing::TempDir()) / ("records-" + std::to_string(::getpid()))).string()) {}
  ~RecordStoreTest() override { fs::remove_all(store_.directory()); }

  static Record record(const std::string& container = "c1") {
    Record record;
    record.attachment = {.network = "net", .containerId = container, .ifname = "eth0"};
    record.type = "bridge";
    record.netns = "/proc/self/ns/net";
    record.netnsIdentity = netns::NetNS::current().identity();
    record.bootId = names::bootId();
    record.conf = Json{{"cniVersion", "1.1.0"}, {"name", "net"}, {"type", "bridge"}};
    return record;
  }
  fs::path network() const { return fs::path(store_.directory()) / "net"; }
  // file() is the only one of the network.
  fs::path file() const { return fs::directory_iterator(network())->path(); }

  void addRecord(const Record& record) {
    store_.begin(record)->keep();
    store_.complete(record.attachment);
  }

  RecordStore store_;
};

TEST_F(RecordStoreTest, CommittedRecordIsFoundAndComplete) {
  {
    auto pending = store_.begin(record());
    ASSERT_TRUE(pending);
    EXPECT_EQ(store_.find(record().attachment)->state, Record::State::Adding);
    pending->keep();
    EXPECT_EQ(store_.find(record().attachment)->state, Record::State::Adding);
    store_.complete(record().attachment);
  }
  const auto found = store_.find(record().attachment);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state, Record::State::Complete);
  EXPECT_EQ(found->toJson(), record().toJson());
  EXPECT_TRUE(found->alive());
}

TEST_F(RecordStoreTest, AbandonedAddLeavesNoFile) {
  { ASSERT_TRUE(store_.begin(record())); }
  EXPECT_FALSE(store_.find(record().attachment));
  EXPECT_TRUE(fs::is_empty(network()));
}

TEST_F(RecordStoreTest, OneAttachmentHasOneRecord) {
  auto first = store_.begin(record());
  ASSERT_TRUE(first);
  EXPECT_FALSE(store_.begin(record()));
  first->keep();
  store_.complete(record().attachment);
  EXPECT_FALSE(store_.begin(record()));
  EXPECT_TRUE(store_.begin(record("c2")));
}

TEST_F(RecordStoreTest, KilledAddIsToldFromOneAtWork) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto pending = store_.begin(record());
    static_cast<void>(::write(ready[1], "x", 1));
    ::pause();
    ::_exit(pending ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(store_.find(record().attachment)->state, Record::State::Adding);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(store_.find(record().attachment)->state, Record::State::Interrupted);
  EXPECT_FALSE(store_.begin(record()));
  EXPECT_TRUE(store_.remove(record().attachment));
  EXPECT_TRUE(store_.begin(record()));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RecordStoreTest, RemovingTheLastTakesTheDirectoryAlong) {
  addRecord(record());
  addRecord(record("c2"));
  EXPECT_TRUE(store_.remove(record().attachment));
  EXPECT_TRUE(fs::exists(network()));
  EXPECT_TRUE(store_.remove(record("c2").attachment));
  EXPECT_FALSE(fs::exists(network()));
  EXPECT_FALSE(store_.remove(record().attachment));
}

TEST_F(RecordStoreTest, OnlyRootMayLook) {
  addRecord(record());
  struct stat status {};
  ASSERT_EQ(::stat(store_.directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
}

TEST_F(RecordStoreTest, StrangeFilesArePassedOverAndNamed) {
  addRecord(record());
  fs::copy(file(), network() / "copy.json");
  std::ofstream(fs::path(store_.directory()) / "file") << "x";
  std::ofstream(fs::path(store_.directory()) / ".index") << "x";
  std::ofstream(network() / "garbage.json") << "{";
  std::ofstream(network() / "empty.json") << "";
  fs::create_symlink("/etc/passwd", network() / "link.json");
  ASSERT_EQ(::mkfifo((network() / "fifo.json").c_str(), 0600), 0);
  std::vector<std::string> strange;
  EXPECT_EQ(store_.list({}, &strange).size(), 1U);
  std::set<std::string> names;
  for (const fs::path path : strange) names.insert(path.filename());
  EXPECT_EQ(names, (std::set<std::string>{"copy.json", "empty.json", "fifo.json", "file", "garbage.json",
                                          "link.json"}));
}

// Whoever goes by it would disconnect that other one.
TEST_F(RecordStoreTest, ARecordThatClaimsToBeAnothersIsNone) {
  addRecord(record("c1"));
  const fs::path own = file();
  addRecord(record("c2"));
  for (const auto& other : fs::directory_iterator(network()))
    if (other.path() != own) fs::copy_file(own, other, fs::copy_options::overwrite_existing);
  EXPECT_TRUE(store_.find(record("c1").attachment));
  EXPECT_FALSE(store_.find(record("c2").attachment));
}

// ---- what is in a record's place ---------------------------------------------------------------

struct Obstacle {
  const char* name;
  void (*put)(const fs::path&);
  bool stays = false;
};

class ObstacleTest : public RecordStoreTest,
                     public testing::WithParamInterface<std::tuple<Obstacle, const char*>> {
 protected:
  // added() does as ADDs do.
  bool added(int attempts = 2) {
    if (auto pending = store_.begin(record())) {
      pending->keep();
      store_.complete(record().attachment);
      return store_.find(record().attachment).has_value();
    }
    store_.remove(record().attachment);
    return attempts > 1 && added(attempts - 1);
  }
};

TEST_P(ObstacleTest, HindersNoDelAndGivesWayToAnAdd) {
  addRecord(record());
  const fs::path place = file().replace_extension(std::get<1>(GetParam()));
  fs::remove(file());
  std::ofstream(network() / "target") << "mine";
  const auto& [name, put, stays] = std::get<0>(GetParam());

  put(place);
  EXPECT_FALSE(store_.find(record().attachment));
  EXPECT_TRUE(store_.list().empty());
  EXPECT_EQ(store_.remove(record().attachment), !stays);
  EXPECT_EQ(fs::exists(fs::symlink_status(place)), stays);

  put(place);
  if (stays) {
    EXPECT_THROW(added(), netns::Error);
    EXPECT_TRUE(fs::exists(place / "x"));
  } else {
    EXPECT_TRUE(added());
  }
  std::string target;
  std::ifstream(network() / "target") >> target;
  EXPECT_EQ(target, "mine");
}

INSTANTIATE_TEST_SUITE_P(
    All, ObstacleTest,
    testing::Combine(
        testing::Values(
            Obstacle{"directory", [](const fs::path& path) { fs::create_directories(path); }},
            Obstacle{"full directory", [](const fs::path& path) { fs::create_directories(path / "x"); },
                     true},
            Obstacle{"pipe", [](const fs::path& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); }},
            Obstacle{"socket",
                     [](const fs::path& path) { ASSERT_EQ(::mknod(path.c_str(), S_IFSOCK | 0600, 0), 0); }},
            Obstacle{"link", [](const fs::path& path) { fs::create_symlink("target", path); }},
            Obstacle{"broken link", [](const fs::path& path) { fs::create_symlink("nothing", path); }},
            Obstacle{"garbage", [](const fs::path& path) { std::ofstream(path) << "{"; }}),
        testing::Values(".json", ".adding")),
    [](const auto& info) {
      std::string name = std::string(std::get<0>(info.param).name) + std::get<1>(info.param);
      std::ranges::replace_if(
          name, [](char c) { return c == ' ' || c == '.'; }, '_');
      return name;
    });

// A link in the place of a network's directory is not followed, whatever is asked.
TEST_F(RecordStoreTest, ALinkIsNoDirectoryOfRecords) {
  addRecord(record());
  const fs::path elsewhere = fs::path(store_.directory()) / "elsewhere";
  fs::rename(network(), elsewhere);
  fs::create_directory_symlink(elsewhere, network());
  EXPECT_FALSE(store_.find(record().attachment));
  EXPECT_FALSE(store_.remove(record().attachment));
  EXPECT_TRUE(store_.list("net").empty());
  EXPECT_THROW(store_.begin(record()), netns::Error);
  EXPECT_FALSE(fs::is_empty(elsewhere));
}

TEST_F(RecordStoreTest, WhatIsNoNetworkIsPassedOver) {
  addRecord(record());
  std::ofstream(fs::path(store_.directory()) / "file") << "x";
  fs::create_directory_symlink("/nonexistent", fs::path(store_.directory()) / "link");
  EXPECT_EQ(store_.list().size(), 1U);
  EXPECT_FALSE(store_.find({.network = "file", .containerId = "c1", .ifname = "eth0"}));
  EXPECT_TRUE(RecordStore(store_.directory() + "/none").list().empty());
}

#if defined(FAIRLEAD_CAN_DO_WITHOUT_DESCRIPTORS)
TEST_F(RecordStoreTest, WhatCannotBeLookedAtIsAnError) {
  const Attachment attachment = record().attachment;
  addRecord(record());
  const auto failsToLook = [&](const auto& look) {
    const test::NoDescriptors none;
    try {
      look();
    } catch (const netns::Error& error) {
      return error.code() == EMFILE && error.attempted().starts_with("open " + store_.directory());
    }
    return false;
  };
  EXPECT_TRUE(failsToLook([&] { static_cast<void>(store_.list()); }));
  EXPECT_TRUE(failsToLook([&] { static_cast<void>(store_.list("net")); }));
  EXPECT_TRUE(failsToLook([&] { static_cast<void>(store_.find(attachment)); }));
  EXPECT_TRUE(failsToLook([&] { static_cast<void>(store_.remove(attachment)); }));
  EXPECT_EQ(store_.list().size(), 1U);
}
#endif

TEST_F(RecordStoreTest, ARecordOfAnotherBootIsNotAlive) {
  Record old = record();
  old.bootId = "another";
  EXPECT_FALSE(old.alive());
  old = record();
  old.netnsIdentity.ino += 1;
  EXPECT_FALSE(old.alive());
  old = record();
  old.netns = "/nonexistent";
  EXPECT_FALSE(old.alive());
}

TEST_F(RecordStoreTest, RecordMakesTheCallThatUndoesIt) {
  const Call call = record().call();
  EXPECT_EQ(call.env.command, "DEL");
  EXPECT_EQ(call.attachment(), record().attachment);
  EXPECT_EQ(call.version, "1.1.0");
  EXPECT_EQ(parseJson(call.input), record().conf);
}

TEST_F(RecordStoreTest, NobodyIsAloneWhileAnotherShares) {
  addRecord(record());
  const netns::Fd one = store_.shareLock();
  ASSERT_TRUE(one);
  {
    const netns::Fd two = store_.shareLock();
    ASSERT_TRUE(two);
    EXPECT_FALSE(RecordStore::alone(one));
  }
  EXPECT_TRUE(RecordStore::alone(one));
}

}  // namespace
}  // namespace fairlead::plugin
