#include "netns/nft_message.h"

namespace fairlead::netns::nft {

namespace {

// ask() sends a request for one object; false when it, or what it is in, does not exist.
bool ask(Socket& socket, Message& message, std::string text, Reply& reply) {
  reply = socket.send(message.finish(std::move(text)).tolerate(ENOENT));
  if (reply.code == 0 && reply.object.size() < NLMSG_LENGTH(sizeof(nfgenmsg)))
    throw Error(EBADMSG, "nft list");
  return reply.code == 0;
}

bool exists(Socket& socket, Message& message, std::string text) {
  Reply reply;
  return ask(socket, message, std::move(text), reply);
}

// dumpAll() collects what `parse` makes of the attributes of each object; none when what they are in does not
// exist.
template <class T, int Max, class Parse>
std::vector<T> dumpAll(Socket& socket, Message& message, std::string text, const Parse& parse) {
  std::vector<T> found;
  const Request request = message.finish(std::move(text)).tolerate(ENOENT);
  socket.dump(
      request, [&](const nlmsghdr& each) { parse(Attributes<Max>(&each, sizeof(nfgenmsg)), found); },
      [&] { found.clear(); });
  return found;
}

// parseElements() reads the elements of one message: an address each, and the chain that its verdict goes to.
void parseElements(const Attributes<NFTA_SET_ELEM_LIST_MAX>& list, std::vector<ElementInfo>& found) {
  eachNested(list[NFTA_SET_ELEM_LIST_ELEMENTS], [&](const nlattr* nest) {
    const Attributes<NFTA_SET_ELEM_MAX> element(nest);
    const Attributes<NFTA_DATA_MAX> key(element[NFTA_SET_ELEM_KEY]);
    const Attributes<NFTA_DATA_MAX> data(element[NFTA_SET_ELEM_DATA]);
    const Attributes<NFTA_VERDICT_MAX> verdict(data[NFTA_DATA_VERDICT]);
    if (const auto ip = toIP(key.bytes(NFTA_DATA_VALUE)))
      found.push_back({*ip, verdict.str(NFTA_VERDICT_CHAIN)});
  });
}

// parseExpressions() reads what RuleInfo tells of a rule's expressions.
void parseExpressions(const nlattr* expressions, RuleInfo& rule) {
  eachNested(expressions, [&](const nlattr* nest) {
    const Attributes<NFTA_EXPR_MAX> expression(nest);
    const std::string name = expression.str(NFTA_EXPR_NAME);
    if (name == "immediate") {
      const Attributes<NFTA_IMMEDIATE_MAX> immediate(expression[NFTA_EXPR_DATA]);
      const Attributes<NFTA_DATA_MAX> data(immediate[NFTA_IMMEDIATE_DATA]);
      const Attributes<NFTA_VERDICT_MAX> verdict(data[NFTA_DATA_VERDICT]);
      if (verdict[NFTA_VERDICT_CHAIN] != nullptr) rule.target = verdict.str(NFTA_VERDICT_CHAIN);
    } else if (name == "lookup") {
      rule.map = Attributes<NFTA_LOOKUP_MAX>(expression[NFTA_EXPR_DATA]).str(NFTA_LOOKUP_SET);
    } else if (name == "masq") {
      rule.masquerades = true;
    }
  });
}

}  // namespace

bool hasTable(Socket& socket, const Table& table) {
  Message message = nftMessage(NFT_MSG_GETTABLE, 0, table);
  message.str(NFTA_TABLE_NAME, table.name);
  return exists(socket, message, "nft list table " + tableText(table));
}

bool hasChain(Socket& socket, const Table& table, const std::string& chain) {
  Message message = nftMessage(NFT_MSG_GETCHAIN, 0, table);
  message.str(NFTA_CHAIN_TABLE, table.name);
  message.str(NFTA_CHAIN_NAME, chain);
  return exists(socket, message, "nft list chain " + tableText(table) + ' ' + chain);
}

std::optional<std::string> findElement(Socket& socket, const Table& table, const std::string& map,
                                       const IP& key) {
  Message message = elementMessage(NFT_MSG_GETSETELEM, 0, table, map);
  {
    const auto list = message.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    const auto element = message.nest(NFTA_LIST_ELEM);
    putKey(message, key);
  }
  Reply reply;
  if (!ask(socket, message, "nft get element " + tableText(table) + ' ' + map + " { " + key.str() + " }",
           reply))
    return std::nullopt;
  std::vector<ElementInfo> found;
  const auto* answer = reinterpret_cast<const nlmsghdr*>(reply.object.data());
  parseElements(Attributes<NFTA_SET_ELEM_LIST_MAX>(answer, sizeof(nfgenmsg)), found);
  if (found.empty()) throw Error(EBADMSG, "nft get element");
  return std::move(found.front().target);
}

std::vector<std::string> listChains(Socket& socket, const Table& table) {
  Message message = nftMessage(NFT_MSG_GETCHAIN, NLM_F_DUMP, table);
  message.str(NFTA_CHAIN_TABLE, table.name);
  return dumpAll<std::string, NFTA_CHAIN_MAX>(socket, message, "nft list table " + tableText(table),
                                              [&](const auto& chain, auto& found) {
                                                // Many kernels list the chains of all tables.
                                                if (chain.str(NFTA_CHAIN_TABLE) == table.name)
                                                  found.push_back(chain.str(NFTA_CHAIN_NAME));
                                              });
}

std::vector<RuleInfo> listRules(Socket& socket, const Table& table, const std::string& chain) {
  Message message = nftMessage(NFT_MSG_GETRULE, NLM_F_DUMP, table);
  message.str(NFTA_RULE_TABLE, table.name);
  message.str(NFTA_RULE_CHAIN, chain);
  return dumpAll<RuleInfo, NFTA_RULE_MAX>(
      socket, message, "nft -a list chain " + tableText(table) + ' ' + chain,
      [&](const auto& rule, auto& found) {
        if (rule.str(NFTA_RULE_TABLE) != table.name || rule.str(NFTA_RULE_CHAIN) != chain) return;
        const auto handle = rule.template get<uint64_t>(NFTA_RULE_HANDLE);
        if (!handle) return;
        RuleInfo& info = found.emplace_back();
        info.handle = be64toh(*handle);
        info.comment = commentOf(rule.bytes(NFTA_RULE_USERDATA));
        parseExpressions(rule[NFTA_RULE_EXPRESSIONS], info);
      });
}

std::vector<ElementInfo> listElements(Socket& socket, const Table& table, const std::string& map) {
  Message message = elementMessage(NFT_MSG_GETSETELEM, NLM_F_DUMP, table, map);
  return dumpAll<ElementInfo, NFTA_SET_ELEM_LIST_MAX>(
      socket, message, "nft list map " + tableText(table) + ' ' + map, parseElements);
}

}  // namespace fairlead::netns::nft
