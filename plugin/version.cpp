#include "plugin/version.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

// parsePart() is Go's strconv.Atoi with its error texts. What fits 64 bits and not an int is still larger
// than any version there is, so it may be cut.
int parsePart(std::string_view part, std::string_view name) {
  const auto fail = [&](const char* why) {
    const std::string text = quoted(part);
    return CniError(Code::DecodingFailure, "failed to convert " + std::string(name) + " version part " +
                                               text + ": strconv.Atoi: parsing " + text + ": " + why);
  };
  std::string_view digits = part;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool twoSigns = digits.size() < part.size() && digits.starts_with('-');
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size() || twoSigns)
    throw fail("invalid syntax");
  if (error != std::errc{}) throw fail("value out of range");
  return static_cast<int>(
      std::clamp<int64_t>(value, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
}

}  // namespace

Version Version::parse(std::string_view text) {
  if (text.empty()) return {0, 1, 0};
  if (std::ranges::count(text, '.') >= 3)
    throw CniError(Code::DecodingFailure, "invalid version " + quoted(text) + ": too many parts");
  auto next = [&, more = true](std::string_view name) mutable {
    if (!more) return 0;
    const size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    more = dot != std::string_view::npos;
    if (more) text.remove_prefix(dot + 1);
    return parsePart(part, name);
  };
  Version version;
  version.major = next("major");
  version.minor = next("minor");
  version.micro = next("micro");
  return version;
}

bool atLeast(std::string_view version, Version minimum) { return Version::parse(version) >= minimum; }

std::string_view buildVersion() { return "v" FAIRLEAD_VERSION; }

}  // namespace fairlead::plugin
