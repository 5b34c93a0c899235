#include "plugin/error.h"

#include <cstdio>
#include <utility>

#include "plugin/json.h"
#include "plugin/utf8.h"

namespace fairlead::plugin {

CniError::CniError(Code code, std::string msg, std::string details)
    : code_(code),
      msg_(std::move(msg)),
      details_(std::move(details)),
      what_(details_.empty() ? msg_ : msg_ + "; " + details_) {}

CniError CniError::internal(std::string msg, std::string details) {
  return {Code::Internal, std::move(msg), std::move(details)};
}

std::string CniError::document() const {
  Json document = {{"code", static_cast<unsigned>(code_)}, {"msg", msg_}};
  if (!details_.empty()) document["details"] = details_;
  return dumpIndented(document);
}

namespace {

std::string hexEscape(char letter, unsigned value, int digits) {
  char text[16];
  std::snprintf(text, sizeof text, "\\%c%0*x", letter, digits, value);
  return text;
}

std::string escapeRune(char32_t rune) {
  constexpr std::string_view kLetters = "abtnvfr";  // U+0007 to U+000D, in C's order
  if (rune >= 7 && rune <= 13) return {'\\', kLetters[rune - 7]};
  if (rune < 0x80) return hexEscape('x', rune, 2);
  return rune < 0x10000 ? hexEscape('u', rune, 4) : hexEscape('U', rune, 8);
}

}  // namespace

std::string Quoted::operator()(std::string_view text) const {
  std::string out = "\"";
  while (!text.empty()) {
    const Rune rune = decodeRune(text);
    if (!rune.valid) {
      out += hexEscape('x', static_cast<unsigned char>(text[0]), 2);
    } else if (rune.value == '"' || rune.value == '\\') {
      out += {'\\', text[0]};
    } else if (isPrintRune(rune.value)) {
      out += text.substr(0, rune.size);
    } else {
      out += escapeRune(rune.value);
    }
    text.remove_prefix(rune.size);
  }
  return out + '"';
}

}  // namespace fairlead::plugin
