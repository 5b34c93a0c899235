#include "plugin/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>

#include "plugin/error.h"
#include "plugin/utf8.h"

namespace fairlead::plugin {
namespace {

constexpr size_t kMaxDocument = size_t{4} << 20;
constexpr int kMaxDepth = 128;

bool isDigit(char c) { return c >= '0' && c <= '9'; }

// dropRepeated() keeps the last of several members with exactly the same key, in the place of that last one:
// the order decides between spellings that differ in case.
void dropRepeated(Json::object_t& members) {
  std::vector<std::string_view> keys;
  keys.reserve(members.size());
  for (const auto& [key, value] : members) keys.emplace_back(key);
  std::ranges::sort(keys);
  if (std::ranges::adjacent_find(keys) == keys.end()) return;

  std::set<std::string_view> seen;
  std::vector<Json::object_t::value_type*> kept;
  for (auto member = members.rbegin(); member != members.rend(); ++member)
    if (seen.insert(member->first).second) kept.push_back(&*member);
  Json::object_t result;
  result.reserve(kept.size());
  for (auto member = kept.rbegin(); member != kept.rend(); ++member)
    result.emplace_back((*member)->first, std::move((*member)->second));
  members = std::move(result);
}

// plainLength() is how many of the first characters mean themselves in every JSON string: most texts, at
// once.
size_t plainLength(std::string_view text) {
  const auto plain = [](char c) {
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
  };
  return static_cast<size_t>(std::ranges::find_if_not(text, plain) - text.begin());
}

// Parser reads one document by recursive descent; kMaxDepth bounds its stack. Where Go's scanner meets the
// end of the input it steps once more with a blank, and says so when a blank does not belong there; fail()
// does the same.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json result = value(0);
    skipSpace();
    if (position_ < text_.size()) fail("after top-level value");
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& context) const {
    std::string character;
    appendRune(character, static_cast<unsigned char>(current()));  // a byte, read as Latin-1: so does Go
    std::string shown = quoted(character);
    shown = character == "'" ? "\\'" : character == "\"" ? "\"" : shown.substr(1, shown.size() - 2);
    throw JsonError("invalid character '" + shown + "' " + context);
  }
  [[noreturn]] static void failAtEnd() { throw JsonError("unexpected end of JSON input"); }

  char current() const { return position_ < text_.size() ? text_[position_] : ' '; }

  void skipSpace() { position_ = std::min(text_.find_first_not_of(" \t\r\n", position_), text_.size()); }

  // token() is the first character of the next token.
  char token() {
    skipSpace();
    if (position_ == text_.size()) failAtEnd();
    return text_[position_];
  }

  Json value(int depth) {
    switch (const char c = token()) {
      case '{':
        return object(depth + 1);
      case '[':
        return array(depth + 1);
      case '"':
        return string();
      case 't':
        literal("true");
        return true;
      case 'f':
        literal("false");
        return false;
      case 'n':
        literal("null");
        return nullptr;
      default:
        if (c != '-' && !isDigit(c)) fail("looking for beginning of value");
        return number();
    }
  }

  Json object(int depth) {
    if (depth > kMaxDepth) fail("exceeded max depth");
    Json result = Json::object();
    auto& members = result.get_ref<Json::object_t&>();
    ++position_;
    for (bool first = true;; first = false) {
      if (token() == '}' && first) break;
      if (token() != '"') fail("looking for beginning of object key string");
      std::string key = string();
      if (token() != ':') fail("after object key");
      ++position_;
      members.emplace_back(std::move(key), value(depth));
      if (token() == '}') break;
      if (token() != ',') fail("after object key:value pair");
      ++position_;
    }
    ++position_;
    dropRepeated(members);
    return result;
  }

  Json array(int depth) {
    if (depth > kMaxDepth) fail("exceeded max depth");
    Json result = Json::array();
    auto& elements = result.get_ref<Json::array_t&>();
    ++position_;
    for (bool first = true;; first = false) {
      if (token() == ']' && first) break;
      elements.push_back(value(depth));
      if (token() == ']') break;
      if (token() != ',') fail("after array element");
      ++position_;
    }
    ++position_;
    return result;
  }

  std::string string() {
    std::string out;
    for (++position_; position_ < text_.size();) {
      const char c = text_[position_];
      if (c == '"') {
        ++position_;
        return out;
      }
      if (c == '\\') {
        escape(out);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        fail("in string literal");
      } else if (const size_t size = plainLength(text_.substr(position_)); size > 0) {
        out += text_.substr(position_, size);
        position_ += size;
      } else {
        const Rune rune = decodeRune(text_.substr(position_));
        appendRune(out, rune.value);
        position_ += rune.size;
      }
    }
    failAtEnd();
  }

  void escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    ++position_;
    const char c = current();
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      out += kMeanings[i];
      ++position_;
    } else if (c == 'u') {
      ++position_;
      appendRune(out, unicodeEscape());
    } else {
      fail("in string escape code");
    }
  }

  // unicodeEscape() reads the digits of a \u escape, and a second escape if the two are a surrogate pair. A
  // lone surrogate is returned as it is: appendRune() replaces it.
  char32_t unicodeEscape() {
    const char32_t high = fourHex();
    if (high < 0xD800 || high > 0xDBFF || text_.substr(position_, 2) != "\\u") return high;
    const size_t before = position_;
    position_ += 2;
    const char32_t low = fourHex();
    if (low >= 0xDC00 && low <= 0xDFFF) return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    position_ = before;
    return high;
  }

  char32_t fourHex() {
    char32_t value = 0;
    for (int i = 0; i < 4; ++i, ++position_) {
      const char c = current();
      const auto lower = static_cast<char>(c | 0x20);
      if (!isDigit(c) && (lower < 'a' || lower > 'f')) fail("in \\u hexadecimal character escape");
      value = value << 4 | static_cast<char32_t>(isDigit(c) ? c - '0' : lower - 'a' + 10);
    }
    return value;
  }

  void digits(const char* context) {
    if (!isDigit(current())) fail(context);
    while (isDigit(current())) ++position_;
  }

  // number() keeps integers exact (int64, else uint64); everything else is a double, as in Go.
  Json number() {
    const size_t start = position_;
    bool integral = true;
    if (current() == '-') ++position_;
    if (current() == '0')
      ++position_;
    else
      digits("in numeric literal");
    if (current() == '.') {
      integral = false;
      ++position_;
      digits("after decimal point in numeric literal");
    }
    if (current() == 'e' || current() == 'E') {
      integral = false;
      ++position_;
      if (current() == '+' || current() == '-') ++position_;
      digits("in exponent of numeric literal");
    }
    const std::string literal(text_.substr(start, position_ - start));
    const char* end = literal.data() + literal.size();
    if (int64_t n = 0; integral && std::from_chars(literal.data(), end, n).ec == std::errc{}) return n;
    if (uint64_t n = 0; integral && std::from_chars(literal.data(), end, n).ec == std::errc{}) return n;
    const double real = std::strtod(literal.c_str(), nullptr);  // the locale is always "C"
    if (!std::isfinite(real))
      throw JsonError("json: cannot unmarshal number " + literal + " into Go value of type float64");
    return real;
  }

  void literal(std::string_view word) {
    for (++position_; const char expected : word.substr(1)) {
      if (current() != expected) fail("in literal " + std::string(word) + " (expecting '" + expected + "')");
      ++position_;
    }
  }

  std::string_view text_;
  size_t position_ = 0;
};

// Printer writes a value; indent 0 is the compact form.
class Printer {
 public:
  explicit Printer(size_t indent) : indent_(indent) {}

  void value(const Json& value, size_t depth) {
    if (value.is_object() && !value.empty()) {
      list('{', '}', value.get_ref<const Json::object_t&>(), depth, [&](const auto& member) {
        string(member.first);
        out_ += indent_ > 0 ? ": " : ":";
        this->value(member.second, depth + 1);
      });
    } else if (value.is_array() && !value.empty()) {
      list('[', ']', value.get_ref<const Json::array_t&>(), depth,
           [&](const Json& element) { this->value(element, depth + 1); });
    } else if (value.is_string()) {
      string(value.get_ref<const std::string&>());
    } else if (value.is_number_float()) {
      real(value);
    } else if (value.is_number_unsigned()) {
      out_ += std::to_string(value.get<uint64_t>());
    } else if (value.is_number_integer()) {
      out_ += std::to_string(value.get<int64_t>());
    } else {
      out_ += value.dump();
    }
  }
  std::string take() { return std::move(out_); }

 private:
  template <class Items, class Print>
  void list(char open, char close, const Items& items, size_t depth, Print print) {
    char separator = open;
    for (const auto& item : items) {
      out_ += std::exchange(separator, ',');
      newLine(depth + 1);
      print(item);
    }
    newLine(depth);
    out_ += close;
  }

  void newLine(size_t depth) {
    if (indent_ > 0) out_.append(1, '\n').append(depth * indent_, ' ');
  }

  // A whole number has no ".0" in Go: 1e3 prints as 1000, which an integer field then reads.
  void real(const Json& value) {
    const auto number = value.get<double>();
    if (std::trunc(number) != number || std::abs(number) >= 1e21) {
      out_ += value.dump();
      return;
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", number);
    out_ += text;
  }

  // Go escapes what could end a <script> element or a line of JavaScript, too.
  void string(std::string_view text) {
    out_ += '"';
    while (!text.empty()) {
      const size_t plain = plainLength(text);
      out_ += text.substr(0, plain);
      text.remove_prefix(plain);
      if (text.empty()) break;
      const Rune rune = decodeRune(text);
      if (rune.value == '"' || rune.value == '\\')
        out_ += {'\\', text[0]};
      else if (rune.value < 0x20 || rune.value == '<' || rune.value == '>' || rune.value == '&' ||
               rune.value == 0x2028 || rune.value == 0x2029)
        escape(rune.value);
      else
        appendRune(out_, rune.value);
      text.remove_prefix(rune.size);
    }
    out_ += '"';
  }

  void escape(char32_t rune) {
    constexpr std::string_view kControls = "\b\f\n\r\t";
    constexpr std::string_view kLetters = "bfnrt";
    if (const size_t i = kControls.find(static_cast<char>(rune));
        rune < 0x20 && i != std::string_view::npos) {
      out_ += {'\\', kLetters[i]};
      return;
    }
    char text[8];
    std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(rune));
    out_ += text;
  }

  size_t indent_;
  std::string out_;
};

std::string print(const Json& value, size_t indent) {
  Printer printer(indent);
  printer.value(value, 0);
  return printer.take();
}

}  // namespace

Json parseJson(std::string_view text) {
  if (text.size() > kMaxDocument) throw JsonError("JSON document of more than 4 MiB");
  return Parser(text).document();
}

std::string dumpCompact(const Json& value) { return print(value, 0); }
std::string dumpIndented(const Json& value) { return print(value, 4); }

}  // namespace fairlead::plugin
