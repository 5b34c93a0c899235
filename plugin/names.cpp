#include "plugin/names.h"

#include <fcntl.h>
#include <sha512.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "netns/fd.h"

namespace fairlead::plugin::names {
namespace {

using Digest = std::array<uint8_t, SHA512_DIGEST_LENGTH>;

// The parts are separated by NUL, which none of them can contain: ("a", "bc") and ("ab", "c") differ.
Digest digest(std::initializer_list<std::string_view> parts) {
  SHA512_CTX context;
  SHA512Init(&context);
  for (bool first = true; std::string_view part : parts) {
    if (!first) SHA512Update(&context, reinterpret_cast<const uint8_t*>(""), 1);
    first = false;
    SHA512Update(&context, reinterpret_cast<const uint8_t*>(part.data()), part.size());
  }
  Digest result;
  SHA512Final(result.data(), &context);
  return result;
}

std::string base32(const Digest& bytes, size_t characters) {
  constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
  std::string text;
  for (size_t bit = 0; text.size() < characters; bit += 5) {
    const unsigned pair = bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
    text += kAlphabet[pair >> (11 - bit % 8) & 31];
  }
  return text;
}

std::string ownerHash(const Attachment& attachment) {
  return sha512Hex(attachment.ifname + ":" + attachment.containerId, 16);
}

}  // namespace

std::string sha512Hex(std::string_view text, size_t digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const Digest bytes = digest({text});
  std::string hex;
  for (size_t i = 0; i < digits && i < 2 * bytes.size(); ++i)
    hex += kHex[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
  return hex;
}

std::string hostVethPrefix(std::string_view network) { return "veth" + base32(digest({network}), 3); }

std::string hostVeth(const Attachment& attachment) {
  return hostVethPrefix(attachment.network) +
         base32(digest({attachment.network, attachment.containerId, attachment.ifname}), 8);
}

std::string chainPrefix(std::string_view network) { return "masq-" + sha512Hex(network, 16) + "-"; }

std::string chain(const Attachment& attachment) {
  return chainPrefix(attachment.network) + ownerHash(attachment);
}

std::string comment(const Attachment& attachment) {
  constexpr size_t kMaxComment = 128;  // nft refuses longer ones
  std::string words =
      ", net: " + attachment.network + ", if: " + attachment.ifname + ", id: " + attachment.containerId;
  std::erase(words, '"');
  return (sha512Hex(attachment.network, 16) + "-" + ownerHash(attachment) + words).substr(0, kMaxComment);
}

netns::Mac mac(const Attachment& attachment, std::string_view salt, std::string_view bootId) {
  const Digest bytes = digest({attachment.network, attachment.containerId, attachment.ifname, salt, bootId});
  netns::Mac result;
  std::memcpy(result.bytes.data(), bytes.data(), result.bytes.size());
  result.bytes[0] = (result.bytes[0] | 0x02) & 0xfe;  // locally administered, unicast
  return result;
}

const std::string& bootId() {
  static const std::string id = [] {
    constexpr size_t kUuidLength = 36;
    char text[kUuidLength];
    const netns::Fd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    const ssize_t got = file ? ::read(file.get(), text, sizeof text) : -1;
    return std::string(text, got > 0 ? static_cast<size_t>(got) : 0);
  }();
  return id;
}

}  // namespace fairlead::plugin::names
