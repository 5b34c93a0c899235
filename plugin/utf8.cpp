#include "plugin/utf8.h"

#include <algorithm>
#include <array>

namespace fairlead::plugin {
namespace {

struct Range {
  char32_t first, last;
};

constexpr std::array kNotPrintable = {
    Range{0x0000, 0x001F},   Range{0x007F, 0x00A0},
    Range{0x00AD, 0x00AD},  // controls, NBSP, soft hyphen
    Range{0x061C, 0x061C},   Range{0x1680, 0x1680},
    Range{0x180E, 0x180E},  // ALM, ogham space, MVS
    Range{0x2000, 0x200F},   Range{0x2028, 0x202F},
    Range{0x205F, 0x206F},  // spaces, joiners, bidi controls
    Range{0x3000, 0x3000},   Range{0xD800, 0xF8FF},
    Range{0xFDD0, 0xFDEF},  // surrogates, private use
    Range{0xFEFF, 0xFEFF},   Range{0xFFF0, 0xFFFB},
    Range{0xFFFE, 0xFFFF},                              // BOM, specials
    Range{0xE0000, 0xE0FFF}, Range{0xF0000, 0x10FFFF},  // tags, private planes
};

bool isSurrogate(char32_t rune) { return rune >= 0xD800 && rune <= 0xDFFF; }

}  // namespace

Rune decodeRune(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return {};
  char32_t value = lead & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[size] || value > 0x10FFFF || isSurrogate(value)) return {};
  return {value, size, true};
}

void appendRune(std::string& out, char32_t rune) {
  if (rune > 0x10FFFF || isSurrogate(rune)) rune = kReplacementRune;
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (rune >> shift & 0x3F)); };
  if (rune < 0x80) {
    out += static_cast<char>(rune);
  } else if (rune < 0x800) {
    out += static_cast<char>(0xC0 | rune >> 6);
    tail(0);
  } else if (rune < 0x10000) {
    out += static_cast<char>(0xE0 | rune >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | rune >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

bool isSpaceRune(char32_t rune) {
  return (rune >= 0x09 && rune <= 0x0D) || rune == 0x20 || rune == 0x85 || rune == 0xA0 || rune == 0x1680 ||
         (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 || rune == 0x202F ||
         rune == 0x205F || rune == 0x3000;
}

bool isPrintRune(char32_t rune) {
  return std::ranges::none_of(kNotPrintable, [&](Range r) { return rune >= r.first && rune <= r.last; });
}

}  // namespace fairlead::plugin
