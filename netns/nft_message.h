// Internal: what the writers and the readers of nftables messages share.
#pragma once

#include <linux/netfilter/nf_tables.h>

#include <string>
#include <string_view>

#include "netns/libnl.h"
#include "netns/nft.h"

namespace fairlead::netns::nft {

// nftMessage() begins a message about something in `table`. The family is the protocol's, nfgenmsg's first
// byte.
Message nftMessage(int type, int flags, const Table& table, size_t capacity = 1024);
// elementMessage() begins one about elements of a map.
Message elementMessage(int type, int flags, const Table& table, const std::string& map);

// tableText() is how nft names a table: "inet fairlead".
std::string tableText(const Table& table);

// checkName() throws for what nft could not read back: names of tables, chains and maps are words.
void checkName(const std::string& name);

// putComment() writes the comment in the form in which nft keeps it, a sequence of (type, length, bytes);
// none when empty. commentOf() reads it. Comments of at most 128 bytes, without quotes and control
// characters.
void putComment(Message& message, int attribute, const std::string& comment);
std::string commentOf(std::span<const uint8_t> userdata);
// commentText() is ` comment "..."`, or nothing.
std::string commentText(const std::string& comment);

// putVerdict() writes NFT_GOTO, NFT_JUMP, NFT_RETURN, ...; `chain` is for the two that name one.
void putVerdict(Message& message, int attribute, int verdict, const std::string& chain);
// putKey() writes an address as an element's key.
void putKey(Message& message, const IP& key);

// putExpressions() writes the expressions of a rule, ruleText() says the same in nft's words.
void putExpressions(Message& message, const Table& table, const Rule& rule);
std::string ruleText(const Rule& rule);

}  // namespace fairlead::netns::nft
