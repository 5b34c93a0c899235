#include "plugin/table.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "plugin/utf8.h"

namespace fairlead::plugin {
namespace {

constexpr std::string_view kGap = "  ";

const char* escape(Colour colour) {
  switch (colour) {
    case Colour::Red:
      return "\x1b[31m";
    case Colour::Green:
      return "\x1b[32m";
    case Colour::Yellow:
      return "\x1b[33m";
    case Colour::Bold:
      return "\x1b[1m";
    case Colour::Dim:
      return "\x1b[2m";
  }
  return "";
}

// width() counts code points, without the escapes of paint().
size_t width(std::string_view text) {
  size_t count = 0;
  while (!text.empty()) {
    if (text.starts_with("\x1b[")) {
      text.remove_prefix(std::min(text.find('m'), text.size() - 1) + 1);
      continue;
    }
    ++count;
    text.remove_prefix(decodeRune(text).size);
  }
  return count;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Rune rune = decodeRune(text);
    if (rune.value == '\n' || (rune.valid && isPrintRune(rune.value))) {
      out += text.substr(0, rune.size);
    } else {
      for (const unsigned char byte : text.substr(0, rune.size)) {
        char hex[8];
        std::snprintf(hex, sizeof hex, "\\x%02x", byte);
        out += hex;
      }
    }
    text.remove_prefix(rune.size);
  }
  return out;
}

std::string indented(std::string_view text, std::string_view margin) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += margin;
  }
  return out;
}

std::string paint(std::string_view text, Colour colour, FILE* stream) {
  const char* refused = std::getenv("NO_COLOR");
  const bool wanted = ::isatty(::fileno(stream)) != 0 && (refused == nullptr || *refused == '\0');
  return wanted ? escape(colour) + std::string(text) + "\x1b[0m" : std::string(text);
}

Table::Table(std::vector<std::string> header) : right_(header.size(), false) {
  rows_.push_back(std::move(header));
}

void Table::alignRight(size_t column) { right_[column] = true; }

void Table::row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

void Table::print(FILE* stream) const {
  std::vector<size_t> widths(right_.size(), 0);
  for (const auto& cells : rows_) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width(cells[i]));
  }
  for (const auto& cells : rows_) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - width(cells[i]), ' ');
      if (i > 0) line += kGap;
      line += right_[i] ? padding + cells[i] : cells[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::fprintf(stream, "%s\n", line.c_str());
  }
}

}  // namespace fairlead::plugin
