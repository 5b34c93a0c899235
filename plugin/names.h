// Names that are derived from an attachment and not drawn at random, so that DEL, GC and a retried ADD find
// what an interrupted ADD made, even with no record of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "netns/ip.h"
#include "plugin/call.h"

namespace fairlead::plugin::names {

// sha512Hex() is the lower-case SHA-512 of text, cut to `digits` hexadecimal digits (at most 128).
std::string sha512Hex(std::string_view text, size_t digits);

// hostVeth() is "veth", 3 characters of the network's hash and 8 of the attachment's, in base 32: 15 in all,
// the most a link's name can have. hostVethPrefix() is the part that all of a network's have in common.
std::string hostVeth(const Attachment& attachment);
std::string hostVethPrefix(std::string_view network);

// chain() is the nft chain of an attachment: "masq-NETWORKHASH-ATTACHMENTHASH", 16 hexadecimal digits each
// (nft wants a letter first). chainPrefix() is the network's part with its dash.
std::string chain(const Attachment& attachment);
std::string chainPrefix(std::string_view network);

// comment() is the reference's nft comment: the two hashes, then network, interface and container in words,
// at most 128 bytes.
std::string comment(const Attachment& attachment);
// The length of the two hashes and the dash between them.
inline constexpr size_t kCommentHashes = 33;

// mac() is a locally administered unicast address for one end of an attachment. `salt` tells the ends apart;
// `bootId` tells nodes apart.
netns::Mac mac(const Attachment& attachment, std::string_view salt, std::string_view bootId);

// bootId() is /proc/sys/kernel/random/boot_id: it changes with every boot and differs between nodes.
const std::string& bootId();

}  // namespace fairlead::plugin::names
