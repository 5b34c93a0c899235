// UTF-8 as Go reads it: what is invalid becomes U+FFFD, one byte at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fairlead::plugin {

inline constexpr char32_t kReplacementRune = 0xFFFD;

// Rune is one decoded code point and the bytes that it took.
struct Rune {
  char32_t value = kReplacementRune;
  size_t size = 1;
  bool valid = false;  // false: a byte that belongs to no well-formed sequence; value is U+FFFD and size 1
};

// decodeRune() reads the code point at the start of `text`, which must not be empty. Overlong forms,
// surrogates and values beyond U+10FFFF are invalid (RFC 3629).
Rune decodeRune(std::string_view text);

// appendRune() appends the UTF-8 form; surrogates and values beyond U+10FFFF are appended as U+FFFD.
void appendRune(std::string& out, char32_t rune);

// isSpaceRune() is Go's unicode.IsSpace; isPrintRune() is close to Go's strconv.IsPrint: it refuses controls,
// spaces other than U+0020, format characters, private use and non-characters, and takes everything else for
// printable.
bool isSpaceRune(char32_t rune);
bool isPrintRune(char32_t rune);

}  // namespace fairlead::plugin
