#include <gtest/gtest.h>

#include <string>

#include "plugin/json.h"

namespace fairlead::plugin {
namespace {

// with() reads from {"a": <value>}.
template <class Read>
auto with(std::string_view value, Read read) {
  const Json object = parseJson(R"({"a":)" + std::string(value) + "}");
  return read(Fields(object, "NetConf"));
}

template <class Read>
std::string failure(std::string_view value, Read read) {
  try {
    with(value, read);
    return "";
  } catch (const JsonError& error) {
    return error.what();
  }
}

const auto kString = [](const Fields& f) { return f.string("a", "default"); };
const auto kBool = [](const Fields& f) { return f.boolean("a", true); };
const auto kInt = [](const Fields& f) { return f.integer("a", 7); };
const auto kInt32 = [](const Fields& f) { return f.maybeInt32("a"); };
const auto kStrings = [](const Fields& f) { return f.strings("a"); };
const auto kIP = [](const Fields& f) { return f.ip("a"); };
const auto kPrefix = [](const Fields& f) { return f.prefix("a"); };
const auto kList = [](const Fields& f) { return f.list("a").size(); };
const auto kObject = [](const Fields& f) { return f.object("a").string("b"); };

TEST(Fields, AbsentAndNullMembersLeaveTheDefault) {
  const Json object = parseJson(R"({"n":null})");
  const Fields fields(object, "NetConf");
  for (const char* key : {"n", "absent"}) {
    EXPECT_EQ(fields.find(key), nullptr);
    EXPECT_EQ(fields.string(key, "default"), "default");
    EXPECT_TRUE(fields.boolean(key, true));
    EXPECT_EQ(fields.integer(key, 7), 7);
    EXPECT_EQ(fields.maybeInteger(key), std::nullopt);
    EXPECT_TRUE(fields.strings(key).empty());
    EXPECT_EQ(fields.ip(key), std::nullopt);
    EXPECT_EQ(fields.prefix(key), std::nullopt);
    EXPECT_TRUE(fields.list(key).empty());
    EXPECT_TRUE(fields.object(key).empty());
  }
}

TEST(Fields, KeysMatchWithoutRegardToCase) {
  const Json object = parseJson(R"({"RuntimeConfig":{"bandWidth":1}})");
  EXPECT_EQ(Fields(object, "NetConf").object("runtimeConfig").integer("bandwidth"), 1);
}

TEST(Fields, TheLastSpellingThatIsNotNullWins) {
  const Json object = parseJson(R"({"mtu":1,"MTU":2,"Mtu":null,"mtux":3})");
  EXPECT_EQ(Fields(object, "NetConf").integer("mtu"), 2);
}

TEST(Fields, WrongTypesAreNamedAsGoNamesThem) {
  const std::string field = " into Go struct field NetConf.a of type ";
  EXPECT_EQ(failure("1", kString), "json: cannot unmarshal number" + field + "string");
  EXPECT_EQ(failure("true", kString), "json: cannot unmarshal bool" + field + "string");
  EXPECT_EQ(failure("[]", kString), "json: cannot unmarshal array" + field + "string");
  EXPECT_EQ(failure("{}", kString), "json: cannot unmarshal object" + field + "string");
  EXPECT_EQ(failure(R"("true")", kBool), "json: cannot unmarshal string" + field + "bool");
  EXPECT_EQ(failure("1", kBool), "json: cannot unmarshal number" + field + "bool");
  EXPECT_EQ(failure(R"("1")", kInt), "json: cannot unmarshal string" + field + "int");
  EXPECT_EQ(failure("1.5", kInt), "json: cannot unmarshal number 1.5" + field + "int");
  EXPECT_EQ(failure("9223372036854775808", kInt),
            "json: cannot unmarshal number 9223372036854775808" + field + "int");
  EXPECT_EQ(failure("2147483648", kInt32), "json: cannot unmarshal number 2147483648" + field + "int");
  EXPECT_EQ(failure(R"("x")", kStrings), "json: cannot unmarshal string" + field + "array");
  EXPECT_EQ(failure("[1]", kStrings), "json: cannot unmarshal number" + field + "string");
  EXPECT_EQ(failure("1", kIP), "json: cannot unmarshal number" + field + "string");
  EXPECT_EQ(failure("{}", kList), "json: cannot unmarshal object" + field + "array");
  EXPECT_EQ(failure("[]", kObject), "json: cannot unmarshal array" + field + "object");
}

TEST(Fields, IntegersRefuseExponents) { EXPECT_NE(failure("1e3", kInt), ""); }

TEST(Fields, IntegersReachBothEnds) {
  EXPECT_EQ(with("9223372036854775807", kInt), INT64_MAX);
  EXPECT_EQ(with("-9223372036854775808", kInt), INT64_MIN);
  EXPECT_EQ(with("2147483647", kInt32), INT32_MAX);
  EXPECT_EQ(with("-2147483648", kInt32), INT32_MIN);
}

TEST(Fields, ErrorsNameTheWholePath) {
  const Json object = parseJson(R"({"ipam":{"ranges":{"gateway":5}}})");
  const Fields ranges = Fields(object, "IPAMEnv").object("ipam").object("ranges");
  try {
    ranges.string("gateway");
    FAIL() << "a number passed for a string";
  } catch (const JsonError& error) {
    EXPECT_STREQ(
        error.what(),
        "json: cannot unmarshal number into Go struct field IPAMEnv.ipam.ranges.gateway of type string");
  }
}

TEST(Fields, OnlyAnObjectOrNullHasFields) {
  const Json array = Json::array();
  EXPECT_THROW(Fields(array, "NetConf"), JsonError);
  const Json null;
  EXPECT_TRUE(Fields(null, "NetConf").empty());
}

TEST(Fields, NullInAListOfStringsIsTheEmptyString) {
  EXPECT_EQ(with(R"(["x",null])", kStrings), (std::vector<std::string>{"x", ""}));
}

TEST(Fields, AddressesFollowGosParser) {
  EXPECT_EQ(with(R"("")", kIP), std::nullopt);
  EXPECT_EQ(with(R"("10.1.2.3")", kIP)->str(), "10.1.2.3");
  EXPECT_EQ(with(R"("2001:DB8::0:1")", kIP)->str(), "2001:db8::1");
  EXPECT_EQ(with(R"("::ffff:10.1.2.3")", kIP)->str(), "10.1.2.3");
  for (const std::string bad : {"10.1.2", "010.1.2.3", "fe80::1%eth0", "10.1.2.3/24", " 10.1.2.3"})
    EXPECT_EQ(failure('"' + bad + '"', kIP), "invalid IP address: " + bad);
  EXPECT_EQ(with(R"("10.1.2.3/24")", kPrefix)->str(), "10.1.2.3/24");
  for (const std::string bad : {"", "10.1.2.3", "10.1.2.3/33", "10.1.2.3/-1", "10.1.2.3/024x", "::1/129"})
    EXPECT_EQ(failure('"' + bad + '"', kPrefix), "invalid CIDR address: " + bad);
}

}  // namespace
}  // namespace fairlead::plugin
