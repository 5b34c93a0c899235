// Addresses as values: IP, Prefix and Mac. No sockets, no allocation.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace fairlead::netns {

// IP is an IPv4 or IPv6 address. An IPv4-mapped IPv6 address is an IPv4 address, as in Go's net.IP.
class IP {
 public:
  // IP() is the unspecified IPv4 address.
  constexpr IP() = default;
  static IP v4(std::array<uint8_t, 4> bytes);
  static IP v6(std::array<uint8_t, 16> bytes);
  // parse() accepts what Go's net.ParseIP accepts: dotted decimal without leading zeros, or RFC 4291 text
  // without zone.
  static std::optional<IP> parse(std::string_view text);

  bool isV4() const { return !v6_; }
  int bits() const { return v6_ ? 128 : 32; }
  // bytes() is in network order: 4 or 16 of them.
  std::span<const uint8_t> bytes() const { return {bytes_.data(), v6_ ? size_t{16} : size_t{4}}; }
  // str() is dotted decimal or RFC 5952.
  std::string str() const;
  bool isUnspecified() const;
  bool isMulticast() const;
  bool isLoopback() const;
  bool isLinkLocal() const;
  // next() and prev() step by one; they wrap at the end of the family.
  IP next() const;
  IP prev() const;
  // masked() clears all but the first `length` bits, last() sets them; a length beyond the family's bits
  // means all.
  IP masked(int length) const;
  IP last(int length) const;

  // IPv4 sorts before IPv6.
  friend auto operator<=>(const IP&, const IP&) = default;

 private:
  explicit IP(bool v6) : v6_(v6) {}

  bool v6_ = false;
  std::array<uint8_t, 16> bytes_{};
};

// Prefix is an address with a prefix length. The host bits of `ip` are kept (10.1.2.3/24).
struct Prefix {
  IP ip;
  int length = 0;

  // parse() accepts CIDR text, as Go's net.ParseCIDR. An IPv4-mapped prefix of 96 bits or more is an IPv4
  // prefix.
  static std::optional<Prefix> parse(std::string_view text);
  std::string str() const;
  Prefix masked() const { return {ip.masked(length), length}; }
  bool contains(const IP& other) const;
  bool overlaps(const Prefix& other) const;
  bool isDefault() const { return length == 0 && ip.isUnspecified(); }

  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

// Mac is an Ethernet address.
struct Mac {
  std::array<uint8_t, 6> bytes{};

  // parse() accepts six hexadecimal pairs separated by ':' or '-', or three groups of four separated by '.'.
  static std::optional<Mac> parse(std::string_view text);
  // str() is lower-case colon form.
  std::string str() const;
  bool isZero() const;

  friend auto operator<=>(const Mac&, const Mac&) = default;
};

}  // namespace fairlead::netns
