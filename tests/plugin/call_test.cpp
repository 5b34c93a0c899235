#include "plugin/call.h"

#include <gtest/gtest.h>

#include <string>

#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

std::string failure(std::string_view args) {
  try {
    const CniArgs parsed(args, {"IP", "MAC"});
    return "";
  } catch (const CniError& error) {
    EXPECT_EQ(error.code(), Code::Internal);
    return error.msg();
  }
}

TEST(CniArgs, KnownKeysAreKept) {
  EXPECT_EQ(CniArgs("", {"IP"}).get("IP"), std::nullopt);
  const CniArgs args("IP=10.1.2.3;MAC=;IP=10.1.2.4", {"IP", "MAC", "GATEWAY"});
  EXPECT_EQ(args.get("IP"), "10.1.2.4");  // the last wins
  EXPECT_EQ(args.get("MAC"), "");
  EXPECT_EQ(args.get("GATEWAY"), std::nullopt);
}

TEST(CniArgs, MalformedPairsAreRefused) {
  EXPECT_EQ(failure("IP"), R"(ARGS: invalid pair "IP")");
  EXPECT_EQ(failure("IP=1;"), R"(ARGS: invalid pair "")");
  EXPECT_EQ(failure("IP=a=b"), R"(ARGS: invalid pair "IP=a=b")");
  EXPECT_EQ(failure(";"), R"(ARGS: invalid pair "")");
}

TEST(CniArgs, UnknownKeysNeedIgnoreUnknown) {
  EXPECT_EQ(failure("K8S_POD_NAME=a;IP=10.1.2.3;ip=x"), R"(ARGS: unknown args ["K8S_POD_NAME=a" "ip=x"])");
  EXPECT_EQ(failure("K8S_POD_NAME=a;IgnoreUnknown=1"), "");
  EXPECT_EQ(failure("IgnoreUnknown=TRUE;K8S_POD_NAME=a"), "");
  EXPECT_EQ(failure("IgnoreUnknown=false;K8S_POD_NAME=a"), R"(ARGS: unknown args ["K8S_POD_NAME=a"])");
  EXPECT_EQ(
      failure("IgnoreUnknown=Yes"),
      R"(ARGS: error parsing value of pair "IgnoreUnknown=Yes": boolean unmarshal error: invalid input yes)");
}

Call callOf(std::string_view conf) {
  Call call;
  call.conf = parseJson(conf);
  call.name = "net";
  call.version = "1.1.0";
  return call;
}

TEST(Call, PrevResultIsAbsentNullOrThere) {
  EXPECT_FALSE(callOf("{}").prevResult());
  EXPECT_FALSE(callOf(R"({"prevResult":null})").prevResult());
  EXPECT_TRUE(callOf(R"({"prevResult":{}})").prevResult());
  EXPECT_EQ(callOf(R"({"PrevResult":{"ips":[{"address":"10.1.0.5/16"}]}})").prevResult()->ips.size(), 1U);
}

TEST(Call, ValidAttachmentsComeFromEitherKey) {
  const std::vector<Attachment> expected = {{"net", "a", "eth0"}, {"net", "b", "eth1"}};
  const std::string list = R"([{"containerID":"a","ifname":"eth0"},{"containerID":"b","ifname":"eth1"}])";
  EXPECT_EQ(callOf(R"({"cni.dev/valid-attachments":)" + list + "}").validAttachments(), expected);
  EXPECT_EQ(callOf(R"({"cni.dev/attachments":)" + list + "}").validAttachments(), expected);
  EXPECT_TRUE(callOf(R"({"cni.dev/valid-attachments":null})").validAttachments().empty());
}

TEST(Call, NoListOfValidAttachmentsIsNotAnEmptyOne) {
  try {
    callOf("{}").validAttachments();
    FAIL() << "everything would be collected";
  } catch (const CniError& error) {
    EXPECT_EQ(error.code(), Code::InvalidConfig);
    EXPECT_EQ(error.msg(), "missing cni.dev/valid-attachments");
  }
}

}  // namespace
}  // namespace fairlead::plugin
