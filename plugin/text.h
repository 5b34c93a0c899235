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

// shellWord() is `text` as one word of a shell's command line.
inline std::string shellWord(std::string_view text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return std::string(text);
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

// lowerCase() is for ASCII; no locale has a say.
constexpr char lowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace fairlead::plugin
