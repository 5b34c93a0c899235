#include "plugin/result_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "netns/error.h"
#include "plugin/file.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

class ResultCacheTest : public testing::Test {
 protected:
  ResultCacheTest() {
    std::string name = testing::TempDir() + "/cache.XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~ResultCacheTest() override { fs::remove_all(directory_); }

  // The cache's directories are made by the first write.
  ResultCache cache() const { return ResultCache(directory_ + "/var/cni"); }
  std::string path(const std::string& name) const { return directory_ + "/var/cni/results/" + name; }
  void plant(const std::string& name, std::string_view text) const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }
  static mode_t mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  static CachedAttachment sample() {
    return {.attachment = {"net", "c1", "eth0"},
            .netns = "/run/netns/c1",
            .config = R"({"name": "net"})",
            .args = "IP=10.0.0.9;K=a=b",
            .capabilityArgs = {{"mac", "02:00:00:00:00:01"}},
            .result = {{"cniVersion", "1.0.0"}}};
  }

 private:
  std::string directory_;
};

TEST_F(ResultCacheTest, FileIsAsLibcniWritesIt) {
  cache().write(sample());
  EXPECT_EQ(readFile(path("net-c1-eth0")),
            R"({"kind":"cniCacheV1","containerId":"c1","config":"eyJuYW1lIjogIm5ldCJ9","ifName":"eth0",)"
            R"("networkName":"net","netns":"/run/netns/c1","cniArgs":[["IP","10.0.0.9"],["K","a=b"]],)"
            R"("capabilityArgs":{"mac":"02:00:00:00:00:01"},"result":{"cniVersion":"1.0.0"}})");
  EXPECT_EQ(mode(path("net-c1-eth0")), 0600U);
  EXPECT_EQ(mode(path("")), 0700U);
}

TEST_F(ResultCacheTest, WhatIsNoFileCountsAsNone) {
  cache().write(sample());
  const std::string place = path("net-c1-eth0");
  const Attachment attachment = sample().attachment;
  fs::remove(place);
  fs::create_directories(place + "/x");
  EXPECT_FALSE(cache().find(attachment));
  EXPECT_TRUE(cache().list().empty());
  EXPECT_FALSE(cache().remove(attachment));
  fs::remove_all(place);
  ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
  EXPECT_FALSE(cache().find(attachment));
  EXPECT_TRUE(cache().list().empty());
  EXPECT_TRUE(cache().remove(attachment));
  fs::create_symlink(place, place);
  EXPECT_FALSE(cache().find(attachment));
  EXPECT_TRUE(cache().remove(attachment));
}

TEST_F(ResultCacheTest, WhatIsEmptyIsLeftOut) {
  CachedAttachment bare;
  bare.attachment = {"net", "c1", "eth0"};
  cache().write(bare);
  EXPECT_EQ(readFile(path("net-c1-eth0")),
            R"({"kind":"cniCacheV1","containerId":"c1","config":"","ifName":"eth0",)"
            R"("networkName":"net","result":{}})");
}

TEST_F(ResultCacheTest, WhatWasWrittenIsFound) {
  EXPECT_FALSE(cache().find({"net", "c1", "eth0"}));
  cache().write(sample());
  const auto found = cache().find({"net", "c1", "eth0"});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->attachment, sample().attachment);
  EXPECT_EQ(found->netns, sample().netns);
  EXPECT_EQ(found->config, sample().config);
  EXPECT_EQ(found->args, sample().args);
  EXPECT_EQ(found->capabilityArgs, sample().capabilityArgs);
  EXPECT_EQ(found->result, sample().result);
  EXPECT_GT(found->createdAt, 0);
}

TEST_F(ResultCacheTest, ConfigOfEveryLengthComesBack) {
  CachedAttachment cached = sample();
  for (const std::string config : {"", "a", "ab", "abc", "abcd", "\xff\xfe\xfb\n"}) {
    cached.config = config;
    cache().write(cached);
    EXPECT_EQ(cache().find(cached.attachment)->config, config);
  }
}

TEST_F(ResultCacheTest, RemovedIsGone) {
  cache().write(sample());
  EXPECT_TRUE(cache().remove(sample().attachment));
  EXPECT_FALSE(cache().remove(sample().attachment));
  EXPECT_FALSE(cache().find(sample().attachment));
}

TEST_F(ResultCacheTest, BareResultOfTheOldKindIsFoundButNotListed) {
  plant("net-c1-eth0", R"({"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/24"}})");
  const auto found = cache().find({"net", "c1", "eth0"});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->attachment, (Attachment{"net", "c1", "eth0"}));
  EXPECT_EQ(found->result["ip4"]["ip"], "10.0.0.2/24");
  EXPECT_TRUE(cache().list().empty());
}

TEST_F(ResultCacheTest, ListIsOfOneNetworkOrOfAll) {
  EXPECT_TRUE(cache().list().empty());
  CachedAttachment cached = sample();
  cache().write(cached);
  cached.attachment = {"net-2", "c1", "eth0"};
  cache().write(cached);
  EXPECT_EQ(cache().list().size(), 2U);
  ASSERT_EQ(cache().list("net").size(), 1U);
  EXPECT_EQ(cache().list("net")[0].attachment.network, "net");
}

// "a-b" + "c" and "a" + "b-c" share a file name.
TEST_F(ResultCacheTest, FileOfAnotherAttachmentIsNotTakenForOnesOwn) {
  CachedAttachment cached = sample();
  cached.attachment = {"a-b", "c", "eth0"};
  cache().write(cached);
  EXPECT_TRUE(cache().find({"a-b", "c", "eth0"}));
  EXPECT_FALSE(cache().find({"a", "b-c", "eth0"}));
}

TEST_F(ResultCacheTest, HostileFilesAreNotThere) {
  const char* files[] = {
      "",
      "not JSON",
      "[]",
      R"({"kind": "cniCacheV2", "networkName": "net", "containerId": "c1", "ifName": "eth0"})",
      R"({"kind": 1})",
      R"({"kind": "cniCacheV1", "networkName": "net", "containerId": "c1", "ifName": "eth0", "config": "?"})",
      R"({"kind": "cniCacheV1", "networkName": "net", "containerId": 1, "ifName": "eth0"})",
      R"({"kind": "cniCacheV1", "networkName": "../../x", "containerId": "c1", "ifName": "eth0"})",
      R"({"kind": "cniCacheV1", "networkName": "other", "containerId": "c1", "ifName": "eth0"})"};
  for (const char* text : files) {
    plant("net-c1-eth0", text);
    EXPECT_FALSE(cache().find({"net", "c1", "eth0"})) << text;
    EXPECT_TRUE(cache().list().empty()) << text;
  }
}

TEST_F(ResultCacheTest, MembersOfTheWrongTypeAreIgnored) {
  plant("net-c1-eth0", R"({"kind": "cniCacheV1", "networkName": "net", "containerId": "c1", "ifName": "eth0",
                           "cniArgs": [["A", "1"], ["B"], "C", [1, 2], ["D", "4"]], "result": [], "capabilityArgs": 7})");
  const auto found = cache().find({"net", "c1", "eth0"});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->args, "A=1;D=4");
  EXPECT_EQ(found->result, Json::object());
  EXPECT_EQ(found->capabilityArgs, Json::object());
}

TEST_F(ResultCacheTest, NoNameLeavesTheDirectory) {
  EXPECT_THROW(cache().find({"net", "../c1", "eth0"}), netns::Error);
  EXPECT_THROW(cache().remove({"..", "/x", "eth0"}), netns::Error);
  EXPECT_THROW(cache().find({"net", "c1", std::string("a\0b", 3)}), netns::Error);
  CachedAttachment cached = sample();
  cached.attachment.ifname = "e/0";
  EXPECT_THROW(cache().write(cached), netns::Error);
}

TEST_F(ResultCacheTest, EveryPartOfTheNameIsRequired) {
  try {
    cache().find({"net", "", "eth0"});
    FAIL() << "accepted";
  } catch (const netns::Error& error) {
    EXPECT_NE(
        std::string(error.what())
            .find(
                R"(cache file path requires network name ("net"), container ID (""), and interface name ("eth0"))"),
        std::string::npos);
  }
}

TEST_F(ResultCacheTest, FailedWriteLeavesNoTemporaryFile) {
  fs::create_directories(path("net-c1-eth0"));  // a directory is where the file belongs
  EXPECT_THROW(cache().write(sample()), netns::Error);
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path(""))) ++entries;
  EXPECT_EQ(entries, 1U);
}

}  // namespace
}  // namespace fairlead::plugin
