// Small things about text.
#pragma once

#include <string>
#include <string_view>

namespace fairlead::plugin {

// join() puts `separator` between the items of a range of strings.
template <class Range>
std::string join(const Range& items, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const std::string_view item : items) {
    if (!first) out += separator;
    out += item;
    first = false;
  }
  return out;
}

// lowerCase() is for ASCII; no locale has a say.
constexpr char lowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace fairlead::plugin
