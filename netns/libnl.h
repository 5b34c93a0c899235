// Internal: the only include of libnl. It serves as builder and parser of messages alone; sending, receiving
// and errors are netlink.cpp's, because libnl folds errnos together and knows no extended acknowledgements.
#pragma once

#include <arpa/inet.h>
#include <endian.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <concepts>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "netns/error.h"
#include "netns/ip.h"
#include "netns/netlink.h"

namespace fairlead::netns {

// Message builds one request. What does not fit its capacity, or would be cut at a NUL by the kernel, is
// Error.
class Message {
 public:
  // libnl clears the whole capacity, so ask for little: names and addresses fit 512 bytes with room to spare.
  static constexpr size_t kCapacity = 512;

  Message(int type, int flags, size_t capacity = kCapacity) : message_(nlmsg_alloc_size(capacity)) {
    if (message_ == nullptr) throw std::bad_alloc();
    check(nlmsg_put(message_, NL_AUTO_PORT, 0, type, 0, NLM_F_REQUEST | flags) != nullptr);
  }
  Message(Message&& other) noexcept : message_(std::exchange(other.message_, nullptr)) {}
  Message& operator=(Message&&) = delete;
  ~Message() { nlmsg_free(message_); }

  // append() adds a fixed header (ifinfomsg, rtmsg, ...).
  template <class T>
  void append(const T& fixed) {
    check(nlmsg_append(message_, const_cast<T*>(&fixed), sizeof fixed, NLMSG_ALIGNTO) == 0);
  }

  void put(int attribute, const void* data, size_t size) {
    check(nla_put(message_, attribute, static_cast<int>(size), data) == 0);
  }
  template <class T>
  void put(int attribute, const T& value) requires(std::integral<T>) {
    put(attribute, &value, sizeof value);
  }
  void put(int attribute, std::span<const uint8_t> bytes) { put(attribute, bytes.data(), bytes.size()); }
  void u32(int attribute, uint32_t value) { put(attribute, value); }
  void be32(int attribute, uint32_t value) { put(attribute, htonl(value)); }
  void be64(int attribute, uint64_t value) { put(attribute, htobe64(value)); }
  void str(int attribute, const std::string& text) {
    if (text.find('\0') != std::string::npos) throw Error(EINVAL, "name with a NUL inside");
    put(attribute, text.c_str(), text.size() + 1);
  }

  // nest() opens a nested attribute, which ends with the returned object.
  class Nest {
   public:
    Nest(nl_msg* message, nlattr* start) : message_(message), start_(start) {}
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;
    // Not nla_nest_end(), which drops an empty nest; the length alone is what ends it.
    ~Nest() {
      start_->nla_len = static_cast<uint16_t>(static_cast<char*>(nlmsg_tail(nlmsg_hdr(message_))) - begin());
    }

   private:
    char* begin() const { return reinterpret_cast<char*>(start_); }

    nl_msg* message_;
    nlattr* start_;
  };
  [[nodiscard]] Nest nest(int attribute) {
    nlattr* start = nla_nest_start(message_, attribute);
    check(start != nullptr);
    return {message_, start};
  }

  Request finish(std::string text) { return {std::exchange(message_, nullptr), std::move(text)}; }

 private:
  static void check(bool fits) {
    if (!fits) throw Error(EMSGSIZE, "netlink request");
  }

  nl_msg* message_;
};

// Attributes are those of a received message or of a nested attribute, up to type `Max`. The lengths come
// from outside: an attribute too short for what it is read as counts as absent.
template <int Max>
class Attributes {
 public:
  // Of a message, behind its fixed header of `headerSize` bytes; none when it is too short for that.
  Attributes(const nlmsghdr* message, size_t headerSize) {
    if (nlmsg_parse(const_cast<nlmsghdr*>(message), static_cast<int>(headerSize), found_.data(), Max,
                    nullptr) < 0)
      found_ = {};
  }
  // Of a nested attribute; none when that is absent.
  explicit Attributes(const nlattr* nest) {
    if (nest != nullptr && nla_parse_nested(found_.data(), Max, const_cast<nlattr*>(nest), nullptr) < 0)
      found_ = {};
  }
  // Of a stretch of `size` bytes.
  Attributes(const void* start, size_t size) {
    auto* first = static_cast<nlattr*>(const_cast<void*>(start));
    if (nla_parse(found_.data(), Max, first, static_cast<int>(size), nullptr) < 0) found_ = {};
  }

  const nlattr* operator[](int type) const { return found_[type]; }

  template <class T>
  std::optional<T> get(int type) const {
    T value;
    if (found_[type] == nullptr || bytes(type).size() < sizeof value) return std::nullopt;
    std::memcpy(&value, bytes(type).data(), sizeof value);
    return value;
  }
  std::optional<uint32_t> u32(int type) const { return get<uint32_t>(type); }
  // bytes() and str() are empty when there is no such attribute.
  std::span<const uint8_t> bytes(int type) const {
    if (found_[type] == nullptr) return {};
    return {static_cast<const uint8_t*>(nla_data(found_[type])), static_cast<size_t>(nla_len(found_[type]))};
  }
  std::string str(int type) const {
    const auto raw = bytes(type);
    const auto* text = reinterpret_cast<const char*>(raw.data());
    return raw.empty() ? std::string() : std::string(text, strnlen(text, raw.size()));
  }

 private:
  std::array<nlattr*, Max + 1> found_{};
};

// toIP() reads an address of either family, in network order; nullopt when the size is neither's.
inline std::optional<IP> toIP(std::span<const uint8_t> bytes) {
  if (bytes.size() == 4) return IP::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
  if (bytes.size() != 16) return std::nullopt;
  std::array<uint8_t, 16> sixteen{};
  std::ranges::copy(bytes, sixteen.begin());
  return IP::v6(sixteen);
}

// eachNested() calls f with every attribute inside `nest`, in order.
template <class F>
void eachNested(const nlattr* nest, const F& f) {
  if (nest == nullptr) return;
  int left = nla_len(nest);
  for (auto* at = static_cast<nlattr*>(nla_data(nest)); nla_ok(at, left); at = nla_next(at, &left)) f(at);
}

// payload() is the fixed header of a message, or null when the message is too short for it.
template <class T>
const T* payload(const nlmsghdr& message) {
  return message.nlmsg_len >= NLMSG_LENGTH(sizeof(T)) ? reinterpret_cast<const T*>(&message + 1) : nullptr;
}

}  // namespace fairlead::netns
