#include "plugin/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

// failure() is what the parser says of a text that is no JSON; "" when it takes it.
std::string failure(std::string_view text) {
  try {
    parseJson(text);
    return "";
  } catch (const JsonError& error) {
    return error.what();
  }
}

struct Syntax {
  std::string_view text;
  std::string_view error;
};

constexpr std::string_view kEnd = "unexpected end of JSON input";

// What Go's encoding/json says of the same input.
constexpr Syntax kSyntaxErrors[] = {
    {"", kEnd},
    {" \t\r\n", kEnd},
    {"{", kEnd},
    {"[1,", kEnd},
    {R"({"a")", kEnd},
    {R"({"a":)", kEnd},
    {R"({"a":1)", kEnd},
    {R"("abc)", kEnd},
    {"x", "invalid character 'x' looking for beginning of value"},
    {"'a'", R"(invalid character '\'' looking for beginning of value)"},
    {"\xEF\xBB\xBF{}", "invalid character '\xC3\xAF' looking for beginning of value"},
    {std::string_view("\0", 1), R"(invalid character '\x00' looking for beginning of value)"},
    {"// c\n{}", "invalid character '/' looking for beginning of value"},
    {"[1,]", "invalid character ']' looking for beginning of value"},
    {"{1:2}", "invalid character '1' looking for beginning of object key string"},
    {R"({"a":1,})", "invalid character '}' looking for beginning of object key string"},
    {R"({"a" 1})", "invalid character '1' after object key"},
    {R"({"a":1 "b":2})", "invalid character '\"' after object key:value pair"},
    {"[1 2]", "invalid character '2' after array element"},
    {"{} {}", "invalid character '{' after top-level value"},
    {"01", "invalid character '1' after top-level value"},
    {"\"a\nb\"", R"(invalid character '\n' in string literal)"},
    {R"("\x41")", "invalid character 'x' in string escape code"},
    {R"("\u00g0")", R"(invalid character 'g' in \u hexadecimal character escape)"},
    {"-", "invalid character ' ' in numeric literal"},
    {"-a", "invalid character 'a' in numeric literal"},
    {"1.", "invalid character ' ' after decimal point in numeric literal"},
    {"1.e2", "invalid character 'e' after decimal point in numeric literal"},
    {"1e+", "invalid character ' ' in exponent of numeric literal"},
    {"tru", "invalid character ' ' in literal true (expecting 'e')"},
    {"txue", "invalid character 'x' in literal true (expecting 'r')"},
    {"falsy", "invalid character 'y' in literal false (expecting 'e')"},
    {"nil", "invalid character 'i' in literal null (expecting 'u')"},
    {"1e999", "json: cannot unmarshal number 1e999 into Go value of type float64"},
};

TEST(JsonParse, SyntaxErrorsCarryGosWords) {
  for (const auto& [text, error] : kSyntaxErrors) EXPECT_EQ(failure(text), error) << text;
}

struct Pair {
  std::string_view in;
  std::string_view out;
};

TEST(JsonParse, ValuesSurviveInDocumentOrder) {
  constexpr Pair kPairs[] = {
      {R"( {"b": [1, -2, true, false, null], "a": {"x": {}, "y": []}} )",
       R"({"b":[1,-2,true,false,null],"a":{"x":{},"y":[]}})"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"18446744073709551615", "18446744073709551615"},
      {"1.5", "1.5"},
      {"1e3", "1000"},
      {"-0", "0"},
      {R"("\"\\\/\b\f\n\r\t\u0041")", R"("\"\\/\b\f\n\r\tA")"},
      {R"("\u0001\u001f")", R"("\u0001\u001f")"},
      {R"("\ud83d\ude00")", "\"\xF0\x9F\x98\x80\""},
  };
  for (const auto& [in, out] : kPairs) EXPECT_EQ(dumpCompact(parseJson(in)), out);
}

TEST(JsonParse, TheLastOfEqualKeysWinsInItsOwnPlace) {
  EXPECT_EQ(dumpCompact(parseJson(R"({"a":1,"A":2,"a":3})")), R"({"A":2,"a":3})");
}

TEST(JsonParse, BrokenTextBecomesTheReplacementCharacter) {
  const std::string mark = "\xEF\xBF\xBD";
  const std::pair<std::string, std::string> kTexts[] = {
      {"\"a\xFFz\"", "a" + mark + "z"},
      {"\"\xC3\"", mark},
      {"\"\xC0\xAF\"", mark + mark},                        // overlong
      {"\"\xED\xA0\x80\"", mark + mark + mark},             // a surrogate in UTF-8
      {"\"\xF4\x90\x80\x80\"", mark + mark + mark + mark},  // beyond U+10FFFF
      {R"("\ud800")", mark},
      {R"("\ud800x")", mark + "x"},
      {R"("\udc00\ud800")", mark + mark},
      {R"("\ud800\u0041")", mark + "A"},
  };
  for (const auto& [text, value] : kTexts) EXPECT_EQ(parseJson(text).get<std::string>(), value) << text;
}

TEST(JsonParse, DepthAndSizeAreBounded) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(failure(nested(128)), "");
  EXPECT_EQ(failure(nested(129)), "invalid character '[' exceeded max depth");
  EXPECT_EQ(failure(std::string(1'000'000, '[')), "invalid character '[' exceeded max depth");
  const size_t limit = size_t{4} << 20;
  EXPECT_EQ(failure('"' + std::string(limit - 2, 'a') + '"'), "");
  EXPECT_EQ(failure('"' + std::string(limit - 1, 'a') + '"'), "JSON document of more than 4 MiB");
}

TEST(JsonParse, ManyMembersTakeLinearithmicTime) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += "\"key" + std::to_string(i) + "\":0,";
  EXPECT_EQ(parseJson(text + "\"key0\":1}").size(), 100'000U);
}

TEST(JsonDump, CharactersThatMatterToHtmlAreEscaped) {
  const Json value = "<a href=\"x&y\">\xE2\x80\xA8\xE2\x80\xA9\x7F";
  EXPECT_EQ(dumpCompact(value), R"("\u003ca href=\"x\u0026y\"\u003e\u2028\u2029)"
                                "\x7F\"");
}

TEST(JsonDump, InvalidUtf8FromElsewhereIsReplaced) {
  EXPECT_EQ(dumpCompact(Json("a\xFF")), "\"a\xEF\xBF\xBD\"");
}

TEST(JsonDump, NumbersPrintAsGoPrintsThem) {
  EXPECT_EQ(dumpCompact(Json(1e6)), "1000000");
  EXPECT_EQ(dumpCompact(Json(1e20)), "100000000000000000000");
  EXPECT_EQ(dumpCompact(Json(1e21)), "1e+21");
  EXPECT_EQ(dumpCompact(Json(0.25)), "0.25");
  EXPECT_EQ(dumpCompact(Json(std::numeric_limits<uint64_t>::max())), "18446744073709551615");
}

TEST(JsonDump, IndentedFormHasFourSpacesAndNoNewlineAtTheEnd) {
  EXPECT_EQ(dumpIndented(parseJson(R"({"a":[1,{"b":{}}],"c":[]})")), R"({
    "a": [
        1,
        {
            "b": {}
        }
    ],
    "c": []
})");
}

TEST(Quoted, TextIsRenderedAsGosPercentQ) {
  EXPECT_EQ(quoted(""), R"("")");
  EXPECT_EQ(quoted("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(quoted("\a\b\f\n\r\t\v"), R"("\a\b\f\n\r\t\v")");
  EXPECT_EQ(quoted(std::string_view("\0\x1F\x7F", 3)), R"("\x00\x1f\x7f")");
  EXPECT_EQ(quoted("\xC3\xA9\xE2\x82\xAC"), "\"\xC3\xA9\xE2\x82\xAC\"");
  EXPECT_EQ(quoted("\xFF\xC3"), R"("\xff\xc3")");
  EXPECT_EQ(quoted("\xC2\xA0\xE2\x80\xAE"), R"("\u00a0\u202e")");
  EXPECT_EQ(quoted("\xF4\x8F\xBF\xBF"), R"("\U0010ffff")");
}

TEST(CniErrorDocument, ShowsDetailsOnlyWhenThereAreSome) {
  EXPECT_EQ(CniError(Code::InvalidConfig, "missing network name").document(), R"({
    "code": 7,
    "msg": "missing network name"
})");
  const CniError error = CniError::internal("it \"broke\"", "here & there");
  EXPECT_EQ(error.document(), R"({
    "code": 999,
    "msg": "it \"broke\"",
    "details": "here \u0026 there"
})");
  EXPECT_STREQ(error.what(), "it \"broke\"; here & there");
}

}  // namespace
}  // namespace fairlead::plugin
