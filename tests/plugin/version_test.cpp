#include "plugin/version.h"

#include <gtest/gtest.h>

#include <string>

#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

TEST(Version, UpToThreePartsAreCompared) {
  EXPECT_EQ(Version::parse(""), (Version{0, 1, 0}));
  EXPECT_EQ(Version::parse("1"), (Version{1, 0, 0}));
  EXPECT_EQ(Version::parse("1.1"), (Version{1, 1, 0}));
  EXPECT_EQ(Version::parse("0.3.1"), (Version{0, 3, 1}));
  EXPECT_EQ(Version::parse("+1.-2.03"), (Version{1, -2, 3}));
  EXPECT_TRUE(atLeast("1.10.0", {1, 9, 0}));
  EXPECT_TRUE(atLeast("0.4.0", {0, 4, 0}));
  EXPECT_FALSE(atLeast("0.3.9", {0, 4, 0}));
  EXPECT_TRUE(atLeast("999999999999.0.0", {1, 1, 0}));
}

TEST(Version, WhatIsNoVersionIsRefusedInGosWords) {
  const auto failure = [](std::string_view text) -> std::string {
    try {
      Version::parse(text);
      return "";
    } catch (const CniError& error) {
      EXPECT_EQ(error.code(), Code::DecodingFailure);
      return error.msg();
    }
  };
  const std::string syntax = R"(": invalid syntax)";
  EXPECT_EQ(failure("1.2.3.4"), R"(invalid version "1.2.3.4": too many parts)");
  EXPECT_EQ(failure("v1.0.0"),
            R"(failed to convert major version part "v1": strconv.Atoi: parsing "v1)" + syntax);
  EXPECT_EQ(failure("1.x"), R"(failed to convert minor version part "x": strconv.Atoi: parsing "x)" + syntax);
  EXPECT_EQ(failure("1.0.0-rc1"),
            R"(failed to convert micro version part "0-rc1": strconv.Atoi: parsing "0-rc1)" + syntax);
  EXPECT_EQ(failure("1."), R"(failed to convert minor version part "": strconv.Atoi: parsing ")" + syntax);
  EXPECT_EQ(failure("+-1"),
            R"(failed to convert major version part "+-1": strconv.Atoi: parsing "+-1)" + syntax);
  EXPECT_EQ(failure("99999999999999999999"),
            R"(failed to convert major version part "99999999999999999999": strconv.Atoi: parsing )"
            R"("99999999999999999999": value out of range)");
}

}  // namespace
}  // namespace fairlead::plugin
