#include "plugin/result.h"

#include <gtest/gtest.h>

#include <string>

#include "plugin/error.h"
#include "plugin/version.h"

namespace fairlead::plugin {
namespace {

// One attachment as each family of versions can tell it; V stands for the version.
constexpr std::string_view kOldest =
    R"({"cniVersion":"V","ip4":{"ip":"10.1.0.5/16","gateway":"10.1.0.1","routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}]},)"
    R"("ip6":{"ip":"2001:db8::5/64","routes":[{"dst":"::/0"}]},)"
    R"("dns":{"nameservers":["10.1.0.1"],"domain":"example.net","search":["a.net"],"options":["ndots:2"]}})";
constexpr std::string_view kOld =
    R"({"cniVersion":"V","interfaces":[{"name":"br0","mac":"02:00:00:00:00:01"},)"
    R"({"name":"eth0","mac":"02:00:00:00:00:02","sandbox":"/run/netns/a"}],)"
    R"("ips":[{"version":"4","interface":1,"address":"10.1.0.5/16","gateway":"10.1.0.1"},)"
    R"({"version":"4","interface":0,"address":"10.2.0.5/16"},)"
    R"({"version":"6","address":"2001:db8::5/64"}],)"
    R"("routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1400,"advmss":1360,"priority":100,"table":0,"scope":0},)"
    R"({"dst":"::/0"}],)"
    R"("dns":{"nameservers":["10.1.0.1"],"domain":"example.net","search":["a.net"],"options":["ndots:2"]}})";
constexpr std::string_view kModern =
    R"({"cniVersion":"V","dns":{"domain":"example.net","nameservers":["10.1.0.1"],"options":["ndots:2"],)"
    R"("search":["a.net"]},)"
    R"("interfaces":[{"mac":"02:00:00:00:00:01","name":"br0"},)"
    R"({"mac":"02:00:00:00:00:02","name":"eth0","sandbox":"/run/netns/a"}],)"
    R"("ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":1},)"
    R"({"address":"10.2.0.5/16","interface":0},{"address":"2001:db8::5/64"}],)"
    R"("routes":[{"advmss":1360,"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1400,"priority":100,"scope":0,"table":0},)"
    R"({"dst":"::/0"}]})";

// What is left of it after it has been a 0.1.0 or 0.2.0 result.
constexpr std::string_view kOldFromOldest =
    R"({"cniVersion":"V","ips":[{"version":"4","address":"10.1.0.5/16","gateway":"10.1.0.1"},)"
    R"({"version":"6","address":"2001:db8::5/64"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"},{"dst":"::/0"}],)"
    R"("dns":{"nameservers":["10.1.0.1"],"domain":"example.net","search":["a.net"],"options":["ndots:2"]}})";
constexpr std::string_view kModernFromOldest =
    R"({"cniVersion":"V","dns":{"domain":"example.net","nameservers":["10.1.0.1"],"options":["ndots:2"],)"
    R"("search":["a.net"]},"ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1"},{"address":"2001:db8::5/64"}],)"
    R"("routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"},{"dst":"::/0"}]})";

std::string labelled(std::string_view text, std::string_view version) {
  std::string result(text);
  return result.replace(result.find("\"V\"") + 1, 1, version);
}

int familyOf(std::string_view version) {
  return atLeast(version, {1, 0, 0}) ? 2 : atLeast(version, {0, 3, 0}) ? 1 : 0;
}

Result parse(std::string_view text, std::string_view version = kNewestVersion) {
  return Result::fromJson(parseJson(text), version);
}

template <class F>
std::string failure(F f) {
  try {
    f();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(ResultConversion, EveryVersionBecomesEveryOther) {
  constexpr std::string_view kTexts[] = {kOldest, kOld, kModern};
  constexpr std::string_view kFromOldest[] = {kOldest, kOldFromOldest, kModernFromOldest};
  for (const std::string_view from : kAllVersions) {
    const Result result = parse(labelled(kTexts[familyOf(from)], from));
    for (const std::string_view to : kAllVersions) {
      const auto& expected = familyOf(from) == 0 ? kFromOldest : kTexts;
      EXPECT_EQ(dumpCompact(result.toJson(to)), labelled(expected[familyOf(to)], to)) << from << " to " << to;
    }
  }
}

TEST(ResultConversion, FieldsOfTheNewestVersionStayWithinItsFamily) {
  const std::string text =
      R"({"cniVersion":"1.1.0","interfaces":[{"mac":"02:00:00:00:00:01","mtu":1500,"name":"eth0","pciID":"0000:00:1f.6",)"
      R"("sandbox":"/n","socketPath":"/s"}]})";
  EXPECT_EQ(dumpCompact(parse(text).toJson("1.1.0")), text);
  EXPECT_NE(dumpCompact(parse(text).toJson("1.0.0")).find(R"("mtu":1500)"), std::string::npos);
  EXPECT_EQ(
      dumpCompact(parse(text).toJson("0.4.0")),
      R"({"cniVersion":"0.4.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","sandbox":"/n"}],"dns":{}})");
}

TEST(ResultConversion, OldestFormKeepsNoRouteOfAFamilyWithoutAddress) {
  const Result result = parse(
      R"({"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/16"}],"routes":[{"dst":"::/0"},{"dst":"10.9.0.0/16"}]})");
  EXPECT_EQ(dumpCompact(result.toJson("0.2.0")),
            R"({"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/16","routes":[{"dst":"10.9.0.0/16"}]},"dns":{}})");
}

TEST(ResultConversion, OldestFormNeedsAnAddress) {
  const Result result = parse(R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}]})");
  EXPECT_EQ(failure([&] { result.toJson("0.2.0"); }), "cannot convert: no valid IP addresses");
  EXPECT_EQ(failure([&] { result.toJson(""); }), "cannot convert: no valid IP addresses");
}

TEST(ResultConversion, UnknownTargetIsRefused) {
  EXPECT_EQ(failure([] { Result().toJson("9.9.9"); }), "no converter for CNI result version 1.1.0 to 9.9.9");
}

TEST(ResultConversion, NoVersionMeansTheOldest) {
  const Result result = parse(R"({"ip4":{"ip":"10.1.0.5/16"}})", "");
  EXPECT_EQ(dumpCompact(result.toJson("")), R"({"cniVersion":"0.1.0","ip4":{"ip":"10.1.0.5/16"},"dns":{}})");
}

TEST(ResultPrint, EmptyListsAndDnsAreLeftOut) {
  EXPECT_EQ(Result().print("1.0.0"), "{\n    \"cniVersion\": \"1.0.0\"\n}");
  EXPECT_EQ(Result().print("0.4.0"), "{\n    \"cniVersion\": \"0.4.0\",\n    \"dns\": {}\n}");
}

TEST(ResultPrint, LayoutIsTheReferences) {
  const Result result = parse(
      R"({"cniVersion":"1.1.0","interfaces":[{"name":"lo","mac":"00:00:00:00:00:00","sandbox":"/run/netns/a&b"}],)"
      R"("ips":[{"interface":0,"address":"::FFFF:127.0.0.1/104"}]})");
  EXPECT_EQ(result.print("1.1.0"), R"({
    "cniVersion": "1.1.0",
    "interfaces": [
        {
            "mac": "00:00:00:00:00:00",
            "name": "lo",
            "sandbox": "/run/netns/a\u0026b"
        }
    ],
    "ips": [
        {
            "address": "127.0.0.1/8",
            "interface": 0
        }
    ]
})");
}

TEST(ResultParse, AResultWithoutVersionHasTheOneGiven) {
  for (const std::string_view version :
       {R"("cniVersion":"",)", R"("cniVersion":null,)", R"("cniVersion":5,)", ""})
    EXPECT_EQ(parse("{" + std::string(version) + R"("ips":[{"address":"10.1.0.5/16"}]})", "1.0.0").ips.size(),
              1U);
}

TEST(ResultParse, BadInputIsRefused) {
  const auto parsing = [](std::string_view members) {
    return failure([&] { parse(R"({"cniVersion":"1.1.0",)" + std::string(members) + "}"); });
  };
  EXPECT_EQ(failure([] { parse(R"({"cniVersion":"2.0.0"})"); }), R"(unsupported CNI result version "2.0.0")");
  EXPECT_EQ(parsing(R"("ips":[{"address":"10.1.0.5"}])"), "invalid CIDR address: 10.1.0.5");
  EXPECT_EQ(parsing(R"("ips":[{"gateway":"10.1.0.1"}])"), "invalid CIDR address: <nil>");
  EXPECT_EQ(parsing(R"("ips":[{"address":"10.1.0.5/16","gateway":"x"}])"), "invalid IP address: x");
  EXPECT_EQ(parsing(R"("ips":[{"address":"10.1.0.5/16","interface":1.5}])"),
            "json: cannot unmarshal number 1.5 into Go struct field IPConfig.interface of type int");
  EXPECT_EQ(parsing(R"("routes":[{"dst":"0.0.0.0/0","mtu":99999999999}])"),
            "json: cannot unmarshal number 99999999999 into Go struct field Route.mtu of type int");
  EXPECT_EQ(parsing(R"("interfaces":{})"),
            "json: cannot unmarshal object into Go struct field Result.interfaces of type array");
  EXPECT_EQ(parsing(R"("dns":{"search":"a.net"})"),
            "json: cannot unmarshal string into Go struct field DNS.search of type array");
}

TEST(PrevResult, MustBeOfTheConfigurationsFamily) {
  const auto parsing = [](std::string_view text, std::string_view version) {
    return failure([&] { Result::fromPrevResult(parseJson(text), version); });
  };
  const std::string prefix = "could not parse prevResult: ";
  EXPECT_EQ(parsing(R"({"cniVersion":"1.0.0"})", "1.1.0"), "");
  EXPECT_EQ(parsing(R"({"cniVersion":"0.3.0"})", "0.4.0"), "");
  EXPECT_EQ(parsing(R"({"cniVersion":""})", "0.2.0"), "");
  EXPECT_EQ(parsing("{}", "1.1.0"), "");
  EXPECT_EQ(parsing(R"({"cniVersion":null})", "1.1.0"), "");
  EXPECT_EQ(parsing(R"({"cniVersion":"0.4.0"})", "1.1.0"),
            prefix + R"(result type supports [1.0.0 1.1.0] but unmarshalled CNIVersion is "0.4.0")");
  EXPECT_EQ(parsing(R"({"cniVersion":""})", "0.4.0"),
            prefix + R"(result type supports [0.3.0 0.3.1 0.4.0] but unmarshalled CNIVersion is "")");
  EXPECT_EQ(parsing(R"({"cniVersion":"1.0.0"})", "0.1.0"),
            prefix + R"(result type supports [ 0.1.0 0.2.0] but unmarshalled CNIVersion is "1.0.0")");
  EXPECT_EQ(parsing("{}", "7.0.0"), prefix + R"(unsupported CNI result version "7.0.0")");
  EXPECT_EQ(parsing(R"({"ips":5})", "1.1.0"),
            prefix + "json: cannot unmarshal number into Go struct field Result.ips of type array");
  EXPECT_EQ(parsing("[]", "1.1.0"), prefix + "json: cannot unmarshal array into Go value of type Result");
}

}  // namespace
}  // namespace fairlead::plugin
