// nftables over netlink: a typed subset of expressions, sent as one transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "netns/ip.h"
#include "netns/netlink.h"

namespace fairlead::netns {
class Message;
}

namespace fairlead::netns::nft {

// The family of a table, numbered as the kernel does (NFPROTO_*).
enum class Family : uint8_t { Inet = 1, IPv4 = 2, Bridge = 7, IPv6 = 10 };

struct Table {
  Family family = Family::Inet;
  std::string name;
};

// Hook is where a chain hangs in the kernel.
struct Hook {
  std::string type;  // "nat", "filter"
  std::string hook;  // "prerouting", "input", "forward", "output", "postrouting"
  int priority = 0;
};

// ---- expressions of a rule, in the order in which nft prints them ------------------------------
struct Match {  // ip saddr|daddr [!]= prefix; the family is the prefix's, and is checked by the rule too
  enum class Field { Source, Destination } field;
  bool negate = false;
  Prefix prefix;
};
struct Vmap {  // ip saddr|daddr vmap @map
  Match::Field field;
  bool v4 = true;
  std::string map;
};
struct Masquerade {};
struct Return {};
struct Jump {
  std::string chain;
};
struct Goto {
  std::string chain;
};
using Expression = std::variant<Match, Vmap, Masquerade, Return, Jump, Goto>;

struct Rule {
  std::string chain;
  std::vector<Expression> expressions;
  std::string comment;  // at most 128 bytes
};

// ---- a transaction -----------------------------------------------------------------------------

// Transaction collects changes to one table and commits them as one: all or nothing.
class Transaction {
 public:
  explicit Transaction(Table table) : table_(std::move(table)) {}

  // exclusive: EEXIST when it is already there; otherwise an existing one is left as it is.
  Transaction& addTable(bool exclusive = false, const std::string& comment = {});
  Transaction& deleteTable();  // with all that is in it; ENOENT when absent
  Transaction& addChain(const std::string& name, const std::optional<Hook>& hook = {},
                        const std::string& comment = {});
  Transaction& flushChain(const std::string& name);
  Transaction& deleteChain(const std::string& name);  // ENOENT when absent
  Transaction& addRule(const Rule& rule);
  Transaction& deleteRule(const std::string& chain, uint64_t handle);
  // A map from an address to a verdict, O(1) for any number of elements.
  Transaction& addVerdictMap(const std::string& name, bool v4);
  // EEXIST when the map has the key with another verdict.
  Transaction& addElement(const std::string& map, const IP& key, const Goto& verdict);
  Transaction& deleteElement(const std::string& map, const IP& key);  // ENOENT when absent

  // commit() sends it. Error names the nft command that failed. Socket must be of Family::Netfilter. A
  // refused transaction waits for an RCU grace period, about 16 ms (__nf_tables_abort); so does closing the
  // socket while what anybody has deleted is being destroyed, which Straggler::keep() spares the caller.
  void commit(Socket& socket) const;
  // text() is the transaction as nft commands, one per line of `nft -f`.
  std::vector<std::string> text() const;
  bool empty() const { return requests_.empty(); }

 private:
  Transaction& add(Message& message, const std::string& command);

  Table table_;
  std::vector<Request> requests_;
};

// ---- looking -----------------------------------------------------------------------------------

// Each asks for one thing and costs the same with any number of others: no dump. findElement() is the chain
// that the element's verdict goes to; nullopt when there is no such element, map or table.
bool hasTable(Socket& socket, const Table& table);
bool hasChain(Socket& socket, const Table& table, const std::string& chain);
std::optional<std::string> findElement(Socket& socket, const Table& table, const std::string& map,
                                       const IP& key);

struct RuleInfo {
  uint64_t handle = 0;
  std::string comment;
  std::string target;  // the chain that it jumps or goes to; empty: none
  std::string map;     // that it looks something up in; empty: none
  bool masquerades = false;
};
// Dumps: for GC and for teardown of what others made. Empty when there is no such table or chain.
std::vector<std::string> listChains(Socket& socket, const Table& table);
std::vector<RuleInfo> listRules(Socket& socket, const Table& table, const std::string& chain);
struct ElementInfo {
  IP key;
  std::string target;  // the chain that the verdict goes to
};
std::vector<ElementInfo> listElements(Socket& socket, const Table& table, const std::string& map);

}  // namespace fairlead::netns::nft
