#include "netns/error.h"

#include <cctype>
#include <cstring>
#include <utility>

namespace fairlead::netns {

namespace {

std::string describe(int code, const std::string& attempted, const std::string& extack) {
  std::string text = attempted + ": " + errnoText(code);
  if (!extack.empty()) text += " (" + extack + ")";
  return text;
}

}  // namespace

Error::Error(int code, std::string attempted, std::string extack, size_t index)
    : std::runtime_error(describe(code, attempted, extack)),
      code_(code),
      attempted_(std::move(attempted)),
      extack_(std::move(extack)),
      index_(index) {}

std::string errnoText(int code) {
  const char* text = strerrordesc_np(code);  // the C locale's text, unlike strerror
  if (text == nullptr) return "errno " + std::to_string(code);
  // Go lowers a first letter that does not begin an abbreviation: "Bad address", but not "RFS specific
  // error".
  std::string lowered = text;
  if (std::isupper(lowered[0]) && std::islower(lowered[1]))
    lowered[0] = static_cast<char>(std::tolower(lowered[0]));
  return lowered;
}

}  // namespace fairlead::netns
