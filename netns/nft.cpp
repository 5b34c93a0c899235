#include "netns/nft.h"

#include <algorithm>
#include <array>

#include "netns/nft_message.h"

namespace fairlead::netns::nft {

namespace {

constexpr size_t kMaxComment = 128;     // nft's own limit
constexpr uint8_t kCommentType = 0;     // in the user data of tables, chains and rules alike
constexpr size_t kRuleCapacity = 2048;  // for half a dozen expressions, with names of full length

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool isWordCharacter(char c) {
  return isLetter(c) || (c >= '0' && c <= '9') || c == '/' || c == '-' || c == '_' || c == '.';
}

const char* familyText(Family family) {
  switch (family) {
    case Family::Inet:
      return "inet";
    case Family::IPv4:
      return "ip";
    case Family::IPv6:
      return "ip6";
    case Family::Bridge:
      return "bridge";
  }
  return "";
}

uint32_t hookNumber(const std::string& hook) {
  constexpr std::array<std::string_view, 5> kHooks = {"prerouting", "input", "forward", "output",
                                                      "postrouting"};
  const auto found = std::ranges::find(kHooks, hook);
  if (found == kHooks.end()) throw Error(EINVAL, "nft chain with the hook " + hook);
  return found - kHooks.begin();
}

std::string hookText(const Hook& hook) {
  return "type " + hook.type + " hook " + hook.hook + " priority " + std::to_string(hook.priority) + ";";
}

// block() is the part of a command in braces, without which it need not be.
std::string block(const std::string& hook, const std::string& comment) {
  std::string inside = hook;
  if (!comment.empty()) inside += commentText(comment) + ';';
  if (inside.empty()) return {};
  return (inside.front() == ' ' ? " {" : " { ") + inside + " }";
}

constexpr std::string_view kTool = "nft ";

}  // namespace

// ---- parts of messages -------------------------------------------------------------------------

Message nftMessage(int type, int flags, const Table& table, size_t capacity) {
  Message message(NFNL_SUBSYS_NFTABLES << 8 | type, flags, capacity);
  message.append(
      nfgenmsg{.nfgen_family = static_cast<uint8_t>(table.family), .version = NFNETLINK_V0, .res_id = 0});
  return message;
}

std::string tableText(const Table& table) { return familyText(table.family) + (' ' + table.name); }

void checkName(const std::string& name) {
  const bool word = !name.empty() && name.size() < NFT_NAME_MAXLEN && isLetter(name.front()) &&
                    std::ranges::all_of(name, isWordCharacter);
  if (!word) throw Error(EINVAL, "nft name \"" + name + "\"");
}

void putComment(Message& message, int attribute, const std::string& comment) {
  if (comment.empty()) return;
  const auto bad = [](char c) { return c == '"' || static_cast<unsigned char>(c) < ' '; };
  if (comment.size() > kMaxComment || std::ranges::any_of(comment, bad))
    throw Error(EINVAL, "nft" + commentText(comment));
  std::string data{static_cast<char>(kCommentType), static_cast<char>(comment.size() + 1)};
  data += comment;
  message.put(attribute, data.c_str(), data.size() + 1);
}

std::string commentOf(std::span<const uint8_t> userdata) {
  while (userdata.size() >= 2) {
    const uint8_t type = userdata[0];
    const size_t size = userdata[1];
    userdata = userdata.subspan(2);
    if (size > userdata.size()) break;
    const auto* text = reinterpret_cast<const char*>(userdata.data());
    if (type == kCommentType) return {text, strnlen(text, size)};
    userdata = userdata.subspan(size);
  }
  return {};
}

std::string commentText(const std::string& comment) {
  return comment.empty() ? std::string() : " comment \"" + comment + '"';
}

void putKey(Message& message, const IP& key) {
  const auto nest = message.nest(NFTA_SET_ELEM_KEY);
  message.put(NFTA_DATA_VALUE, key.bytes());
}

Message elementMessage(int type, int flags, const Table& table, const std::string& map) {
  Message message = nftMessage(type, flags, table);
  message.str(NFTA_SET_ELEM_LIST_TABLE, table.name);
  message.str(NFTA_SET_ELEM_LIST_SET, map);
  return message;
}

// ---- Transaction -------------------------------------------------------------------------------

Transaction& Transaction::addTable(bool exclusive, const std::string& comment) {
  checkName(table_.name);
  Message message = nftMessage(NFT_MSG_NEWTABLE, NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0), table_);
  message.str(NFTA_TABLE_NAME, table_.name);
  putComment(message, NFTA_TABLE_USERDATA, comment);
  return add(message, (exclusive ? "create table " : "add table ") + tableText(table_) + block({}, comment));
}

Transaction& Transaction::deleteTable() {
  Message message = nftMessage(NFT_MSG_DELTABLE, 0, table_);
  message.str(NFTA_TABLE_NAME, table_.name);
  return add(message, "delete table " + tableText(table_));
}

Transaction& Transaction::addChain(const std::string& name, const std::optional<Hook>& hook,
                                   const std::string& comment) {
  checkName(name);
  Message message = nftMessage(NFT_MSG_NEWCHAIN, NLM_F_CREATE, table_);
  message.str(NFTA_CHAIN_TABLE, table_.name);
  message.str(NFTA_CHAIN_NAME, name);
  if (hook) {
    {
      const auto nest = message.nest(NFTA_CHAIN_HOOK);
      message.be32(NFTA_HOOK_HOOKNUM, hookNumber(hook->hook));
      message.be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook->priority));
    }
    message.str(NFTA_CHAIN_TYPE, hook->type);
  }
  putComment(message, NFTA_CHAIN_USERDATA, comment);
  const std::string inside = block(hook ? hookText(*hook) : std::string(), comment);
  return add(message, "add chain " + tableText(table_) + ' ' + name + inside);
}

Transaction& Transaction::flushChain(const std::string& name) {
  Message message = nftMessage(NFT_MSG_DELRULE, 0, table_);
  message.str(NFTA_RULE_TABLE, table_.name);
  message.str(NFTA_RULE_CHAIN, name);
  return add(message, "flush chain " + tableText(table_) + ' ' + name);
}

Transaction& Transaction::deleteChain(const std::string& name) {
  Message message = nftMessage(NFT_MSG_DELCHAIN, 0, table_);
  message.str(NFTA_CHAIN_TABLE, table_.name);
  message.str(NFTA_CHAIN_NAME, name);
  return add(message, "delete chain " + tableText(table_) + ' ' + name);
}

Transaction& Transaction::addRule(const Rule& rule) {
  Message message = nftMessage(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table_, kRuleCapacity);
  message.str(NFTA_RULE_TABLE, table_.name);
  message.str(NFTA_RULE_CHAIN, rule.chain);
  putExpressions(message, table_, rule);
  putComment(message, NFTA_RULE_USERDATA, rule.comment);
  return add(message, "add rule " + tableText(table_) + ' ' + rule.chain + ' ' + ruleText(rule));
}

Transaction& Transaction::deleteRule(const std::string& chain, uint64_t handle) {
  Message message = nftMessage(NFT_MSG_DELRULE, 0, table_);
  message.str(NFTA_RULE_TABLE, table_.name);
  message.str(NFTA_RULE_CHAIN, chain);
  message.be64(NFTA_RULE_HANDLE, handle);
  return add(message, "delete rule " + tableText(table_) + ' ' + chain + " handle " + std::to_string(handle));
}

Transaction& Transaction::addVerdictMap(const std::string& name, bool v4) {
  // Numbers that are nft's own (its data types and byte orders), kept by the kernel for those who list the
  // map.
  constexpr uint32_t kIPv4Address = 7;
  constexpr uint32_t kIPv6Address = 8;
  constexpr std::array<uint8_t, 12> kByteOrders = {0, 4, 2, 0, 0, 0,
                                                   1, 4, 0, 0, 0, 0};  // key: big endian; data: none
  checkName(name);
  Message message = nftMessage(NFT_MSG_NEWSET, NLM_F_CREATE, table_);
  message.str(NFTA_SET_TABLE, table_.name);
  message.str(NFTA_SET_NAME, name);
  message.be32(NFTA_SET_FLAGS, NFT_SET_MAP);
  message.be32(NFTA_SET_KEY_TYPE, v4 ? kIPv4Address : kIPv6Address);
  message.be32(NFTA_SET_KEY_LEN, v4 ? 4 : 16);
  message.be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
  message.be32(NFTA_SET_DATA_LEN, 0);
  message.be32(NFTA_SET_ID, requests_.size() + 1);  // unique in the transaction
  message.put(NFTA_SET_USERDATA, kByteOrders);
  return add(message, "add map " + tableText(table_) + ' ' + name + " { type " +
                          (v4 ? "ipv4_addr" : "ipv6_addr") + " : verdict; }");
}

Transaction& Transaction::addElement(const std::string& map, const IP& key, const Goto& verdict) {
  Message message = elementMessage(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table_, map);
  {
    const auto list = message.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    const auto element = message.nest(NFTA_LIST_ELEM);
    putKey(message, key);
    putVerdict(message, NFTA_SET_ELEM_DATA, NFT_GOTO, verdict.chain);
  }
  return add(message, "add element " + tableText(table_) + ' ' + map + " { " + key.str() + " : goto " +
                          verdict.chain + " }");
}

Transaction& Transaction::deleteElement(const std::string& map, const IP& key) {
  Message message = elementMessage(NFT_MSG_DELSETELEM, 0, table_, map);
  {
    const auto list = message.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    const auto element = message.nest(NFTA_LIST_ELEM);
    putKey(message, key);
  }
  return add(message, "delete element " + tableText(table_) + ' ' + map + " { " + key.str() + " }");
}

Transaction& Transaction::add(Message& message, const std::string& command) {
  requests_.push_back(message.finish(std::string(kTool) + command));
  return *this;
}

std::vector<std::string> Transaction::text() const {
  std::vector<std::string> lines;
  for (const Request& request : requests_) lines.push_back(request.text().substr(kTool.size()));
  return lines;
}

void Transaction::commit(Socket& socket) const { socket.sendAtomic(requests_); }

}  // namespace fairlead::netns::nft
