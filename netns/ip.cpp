#include "netns/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace fairlead::netns {

namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kMappedBits = 96;

// setFrom() sets or clears every bit from number `length` on.
void setFrom(std::span<uint8_t> bytes, int length, bool ones) {
  for (int i = 0; i < static_cast<int>(bytes.size()); ++i) {
    const uint8_t hostBits = 0xff >> std::clamp(length - i * 8, 0, 8);
    bytes[i] = ones ? bytes[i] | hostBits : bytes[i] & ~hostBits;
  }
}

void appendHex(std::string& out, unsigned value) {
  std::array<char, 8> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  out.append(digits.data(), end);
}

// A run of zero groups in an IPv6 address.
struct Run {
  int start = 0;
  int length = 0;
};

// longestRun() finds what RFC 5952 section 4.2 shortens: the first of the longest runs of at least two
// groups.
Run longestRun(const std::array<unsigned, 8>& groups) {
  Run best{.start = -1, .length = 1};
  for (int i = 0; i < 8; ++i) {
    int end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > best.length) best = {.start = i, .length = end - i};
    i = std::max(i, end);
  }
  return best;
}

// hexPair() reads two hexadecimal digits.
std::optional<uint8_t> hexPair(std::string_view text) {
  uint8_t value = 0;
  const auto end = text.data() + 2;
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace

// ---- IP ----------------------------------------------------------------------------------------

IP IP::v4(std::array<uint8_t, 4> bytes) {
  IP ip;
  std::ranges::copy(bytes, ip.bytes_.begin());
  return ip;
}

IP IP::v6(std::array<uint8_t, 16> bytes) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin()))
    return v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  IP ip(true);
  ip.bytes_ = bytes;
  return ip;
}

std::optional<IP> IP::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::ranges::copy(text, buffer.begin());

  std::array<uint8_t, 4> four{};
  if (inet_pton(AF_INET, buffer.data(), four.data()) == 1) return v4(four);
  std::array<uint8_t, 16> sixteen{};
  if (inet_pton(AF_INET6, buffer.data(), sixteen.data()) == 1) return v6(sixteen);
  return std::nullopt;
}

std::string IP::str() const {
  std::string out;
  if (isV4()) {
    for (const uint8_t byte : bytes()) {
      if (!out.empty()) out += '.';
      out += std::to_string(byte);
    }
    return out;
  }
  // Not inet_ntop: it prints ::0102:0304 in mixed notation, which Go does not.
  std::array<unsigned, 8> groups;
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = bytes_[2 * i] << 8 | bytes_[2 * i + 1];
  const Run zeros = longestRun(groups);
  for (int i = 0; i < 8; ++i) {
    if (i == zeros.start) {
      out += "::";
      i += zeros.length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    appendHex(out, groups[i]);
  }
  return out;
}

bool IP::isUnspecified() const {
  return std::ranges::all_of(bytes(), [](uint8_t byte) { return byte == 0; });
}

bool IP::isMulticast() const { return v6_ ? bytes_[0] == 0xff : (bytes_[0] & 0xf0) == 0xe0; }

bool IP::isLoopback() const { return v6_ ? prev().isUnspecified() : bytes_[0] == 127; }

bool IP::isLinkLocal() const {
  return v6_ ? bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80 : bytes_[0] == 169 && bytes_[1] == 254;
}

IP IP::next() const {
  IP ip = *this;
  for (size_t i = bytes().size(); i-- > 0;)
    if (++ip.bytes_[i] != 0) break;
  return ip;
}

IP IP::prev() const {
  IP ip = *this;
  for (size_t i = bytes().size(); i-- > 0;)
    if (ip.bytes_[i]-- != 0) break;
  return ip;
}

IP IP::masked(int length) const {
  IP ip = *this;
  setFrom({ip.bytes_.data(), bytes().size()}, length, false);
  return ip;
}

IP IP::last(int length) const {
  IP ip = *this;
  setFrom({ip.bytes_.data(), bytes().size()}, length, true);
  return ip;
}

// ---- Prefix ------------------------------------------------------------------------------------

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto ip = IP::parse(text.substr(0, slash));
  if (!ip) return std::nullopt;

  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc{} || stop != digits.data() + digits.size() || length > 128) return std::nullopt;

  const bool mapped = ip->isV4() && text.substr(0, slash).find(':') != std::string_view::npos;
  const int bits = static_cast<int>(length) - (mapped ? kMappedBits : 0);
  if (bits < 0 || bits > ip->bits()) return std::nullopt;
  return Prefix{*ip, bits};
}

std::string Prefix::str() const { return ip.str() + '/' + std::to_string(length); }

bool Prefix::contains(const IP& other) const {
  return ip.isV4() == other.isV4() && ip.masked(length) == other.masked(length);
}

bool Prefix::overlaps(const Prefix& other) const {
  return length <= other.length ? contains(other.ip) : other.contains(ip);
}

// ---- Mac ---------------------------------------------------------------------------------------

std::optional<Mac> Mac::parse(std::string_view text) {
  const bool dotted = text.size() == 14;  // 0102.0304.0506
  if (!dotted && text.size() != 17) return std::nullopt;
  const char separator = dotted ? '.' : text[2];
  if (!dotted && separator != ':' && separator != '-') return std::nullopt;

  Mac mac;
  size_t at = 0;
  for (size_t i = 0; i < mac.bytes.size(); ++i) {
    if (i > 0 && (!dotted || i % 2 == 0) && text[at++] != separator) return std::nullopt;
    const auto byte = hexPair(text.substr(at));
    if (!byte) return std::nullopt;
    mac.bytes[i] = *byte;
    at += 2;
  }
  return mac;
}

std::string Mac::str() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : bytes) {
    if (!out.empty()) out += ':';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

bool Mac::isZero() const { return *this == Mac{}; }

}  // namespace fairlead::netns
