// Versions of the CNI specification.
#pragma once

#include <array>
#include <compare>
#include <span>
#include <string>
#include <string_view>

namespace fairlead::plugin {

inline constexpr std::array<std::string_view, 7> kAllVersions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                                 "0.4.0", "1.0.0", "1.1.0"};
inline constexpr std::string_view kNewestVersion = "1.1.0";

// Version is a parsed version, for "at least" questions. Compatibility itself is an exact match of strings.
struct Version {
  int major = 0, minor = 0, micro = 0;
  // parse() reads up to three decimal parts; "" is 0.1.0. Throws CniError 6 with Go's text.
  static Version parse(std::string_view text);
  friend auto operator<=>(const Version&, const Version&) = default;
};

// atLeast() parses `version` and compares.
bool atLeast(std::string_view version, Version minimum);

// buildVersion() is Fairlead's own version.
std::string_view buildVersion();

}  // namespace fairlead::plugin
