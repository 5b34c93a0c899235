#include <linux/if_ether.h>

#include "netns/nft_message.h"

// A rule is a list of small programs ("expressions") that work on registers: load a field, mask it, compare
// it; the rule ends at the first comparison that fails. The sequences below are those that nft itself sends,
// so that it shows the rule in the words in which it would have been typed.

namespace fairlead::netns::nft {

namespace {

// Where the addresses are in a network header.
struct Field {
  uint32_t offset;
  uint32_t size;
};

Field fieldOf(Match::Field field, bool v4) {
  const bool source = field == Match::Field::Source;
  if (v4) return {source ? 12U : 16U, 4};
  return {source ? 8U : 24U, 16};
}

std::string fieldText(Match::Field field, bool v4) {
  return std::string(v4 ? "ip " : "ip6 ") + (field == Match::Field::Source ? "saddr" : "daddr");
}

// RuleWriter appends expressions to the list that is open in the message.
class RuleWriter {
 public:
  RuleWriter(Message& message, Family family) : message_(message), family_(family) {}

  void operator()(const Match& match) {
    const bool v4 = match.prefix.ip.isV4();
    checkProtocol(v4);
    Field field = fieldOf(match.field, v4);
    const int length = match.prefix.length;
    // A prefix of whole bytes is compared as that many bytes; any other is masked first.
    const bool whole = length > 0 && length % 8 == 0;
    if (whole) field.size = length / 8;
    load(field);
    if (!whole) mask(match.prefix.ip.last(0).masked(length));
    const IP wanted = match.prefix.ip.masked(length);
    compare(match.negate ? NFT_CMP_NEQ : NFT_CMP_EQ, wanted.bytes().first(field.size));
  }

  void operator()(const Vmap& vmap) {
    checkProtocol(vmap.v4);
    load(fieldOf(vmap.field, vmap.v4));
    checkName(vmap.map);
    const Expression expression(message_, "lookup");
    message_.str(NFTA_LOOKUP_SET, vmap.map);
    message_.be32(NFTA_LOOKUP_SREG, NFT_REG_1);
    message_.be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  }

  void operator()(const Masquerade&) { const Expression expression(message_, "masq"); }
  void operator()(const Return&) { verdict(NFT_RETURN, {}); }
  void operator()(const Jump& jump) { verdict(NFT_JUMP, jump.chain); }
  void operator()(const Goto& target) { verdict(NFT_GOTO, target.chain); }

 private:
  // Expression is one expression of the list; its attributes follow, until it goes out of scope.
  class Expression {
   public:
    Expression(Message& message, const std::string& name)
        : element_(message.nest(NFTA_LIST_ELEM)), data_(begin(message, name)) {}

   private:
    static Message::Nest begin(Message& message, const std::string& name) {
      message.str(NFTA_EXPR_NAME, name);
      return message.nest(NFTA_EXPR_DATA);
    }

    Message::Nest element_;
    Message::Nest data_;
  };

  // checkProtocol() makes the rule end for packets of the other protocol, in tables that see both. Once is
  // enough.
  void checkProtocol(bool v4) {
    if (family_ == Family::IPv4 || family_ == Family::IPv6) {
      if (v4 != (family_ == Family::IPv4)) throw Error(EINVAL, "nft rule of the other family than its table");
      return;
    }
    if (checked_ == v4) return;
    checked_ = v4;
    if (family_ == Family::Bridge) {
      loadMeta(NFT_META_PROTOCOL);
      const uint16_t type = htons(v4 ? ETH_P_IP : ETH_P_IPV6);
      compare(NFT_CMP_EQ, {reinterpret_cast<const uint8_t*>(&type), sizeof type});
    } else {
      loadMeta(NFT_META_NFPROTO);
      const auto protocol = static_cast<uint8_t>(v4 ? Family::IPv4 : Family::IPv6);
      compare(NFT_CMP_EQ, {&protocol, 1});
    }
  }

  void loadMeta(uint32_t key) {
    const Expression expression(message_, "meta");
    message_.be32(NFTA_META_KEY, key);
    message_.be32(NFTA_META_DREG, NFT_REG_1);
  }

  void load(const Field& field) {
    const Expression expression(message_, "payload");
    message_.be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
    message_.be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    message_.be32(NFTA_PAYLOAD_OFFSET, field.offset);
    message_.be32(NFTA_PAYLOAD_LEN, field.size);
  }

  void mask(const IP& bits) {
    const Expression expression(message_, "bitwise");
    message_.be32(NFTA_BITWISE_SREG, NFT_REG_1);
    message_.be32(NFTA_BITWISE_DREG, NFT_REG_1);
    message_.be32(NFTA_BITWISE_LEN, bits.bytes().size());
    value(NFTA_BITWISE_MASK, bits.bytes());
    value(NFTA_BITWISE_XOR, bits.masked(0).bytes());
  }

  void compare(uint32_t operation, std::span<const uint8_t> bytes) {
    const Expression expression(message_, "cmp");
    message_.be32(NFTA_CMP_SREG, NFT_REG_1);
    message_.be32(NFTA_CMP_OP, operation);
    value(NFTA_CMP_DATA, bytes);
  }

  void verdict(int code, const std::string& chain) {
    const Expression expression(message_, "immediate");
    message_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    putVerdict(message_, NFTA_IMMEDIATE_DATA, code, chain);
  }

  void value(int attribute, std::span<const uint8_t> bytes) {
    const auto data = message_.nest(attribute);
    message_.put(NFTA_DATA_VALUE, bytes);
  }

  Message& message_;
  Family family_;
  std::optional<bool> checked_;  // the protocol that the rule is known to be about
};

struct RuleText {
  std::string operator()(const Match& match) const {
    const bool single = match.prefix.length == match.prefix.ip.bits();
    return fieldText(match.field, match.prefix.ip.isV4()) + (match.negate ? " != " : " ") +
           (single ? match.prefix.ip.str() : match.prefix.masked().str());
  }
  std::string operator()(const Vmap& vmap) const {
    return fieldText(vmap.field, vmap.v4) + " vmap @" + vmap.map;
  }
  std::string operator()(const Masquerade&) const { return "masquerade"; }
  std::string operator()(const Return&) const { return "return"; }
  std::string operator()(const Jump& jump) const { return "jump " + jump.chain; }
  std::string operator()(const Goto& target) const { return "goto " + target.chain; }
};

}  // namespace

void putVerdict(Message& message, int attribute, int verdict, const std::string& chain) {
  const auto data = message.nest(attribute);
  const auto nest = message.nest(NFTA_DATA_VERDICT);
  message.be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(verdict));
  if (verdict != NFT_JUMP && verdict != NFT_GOTO) return;
  checkName(chain);
  message.str(NFTA_VERDICT_CHAIN, chain);
}

void putExpressions(Message& message, const Table& table, const Rule& rule) {
  const auto list = message.nest(NFTA_RULE_EXPRESSIONS);
  RuleWriter writer(message, table.family);
  for (const auto& expression : rule.expressions) std::visit(writer, expression);
}

std::string ruleText(const Rule& rule) {
  std::string text;
  for (const Expression& expression : rule.expressions) {
    if (!text.empty()) text += ' ';
    text += std::visit(RuleText(), expression);
  }
  return text + commentText(rule.comment);
}

}  // namespace fairlead::netns::nft
