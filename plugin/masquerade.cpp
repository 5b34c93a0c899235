#include "plugin/masquerade.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "netns/nft.h"
#include "plugin/error.h"
#include "plugin/names.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

namespace nft = netns::nft;
using netns::Error;
using netns::IP;
using netns::Prefix;
using netns::Socket;

const nft::Table kTable{.family = nft::Family::Inet, .name = "fairlead"};
constexpr std::string_view kBaseChain = "postrouting";
constexpr int kSourceNat = 100;  // NF_IP_PRI_NAT_SRC

std::string mapOf(const IP& address) { return address.isV4() ? "sources4" : "sources6"; }

Socket openNft() { return Socket::open(Socket::Family::Netfilter); }

// openIf() opens a socket if `present` finds there what is to be undone. Nothing is where the kernel has no
// nftables.
template <class F>
std::optional<Socket> openIf(const F& present) {
  try {
    Socket socket = openNft();
    if (present(socket)) return socket;
  } catch (const Error& error) {
    if (error.code() != EPROTONOSUPPORT && error.code() != EOPNOTSUPP && error.code() != EINVAL) throw;
  }
  return std::nullopt;
}

bool hasChain(Socket& socket, const std::string& chain) { return nft::hasChain(socket, kTable, chain); }

// addBaseChain() adds the chain that all traffic passes, with its rules in place of any other.
void addBaseChain(nft::Transaction& transaction) {
  const auto multicast = [](const char* group) {
    return nft::Match{.field = nft::Match::Field::Destination, .prefix = *Prefix::parse(group)};
  };
  const std::string base(kBaseChain);
  const auto lookup = [](bool v4) {
    return nft::Vmap{.field = nft::Match::Field::Source, .v4 = v4, .map = v4 ? "sources4" : "sources6"};
  };
  transaction.addChain(base, nft::Hook{.type = "nat", .hook = "postrouting", .priority = kSourceNat})
      .flushChain(base)
      .addRule({.chain = base, .expressions = {multicast("224.0.0.0/4"), nft::Return{}}, .comment = {}})
      .addRule({.chain = base, .expressions = {multicast("ff00::/8"), nft::Return{}}, .comment = {}})
      .addRule({.chain = base, .expressions = {lookup(true)}, .comment = {}})
      .addRule({.chain = base, .expressions = {lookup(false)}, .comment = {}});
}

// addSkeleton() adds what all attachments share. Exclusive: of two ADDs that both find the table missing, one
// fills it.
void addSkeleton(nft::Transaction& transaction) {
  transaction.addTable(true, "masquerading of containers")
      .addVerdictMap("sources4", true)
      .addVerdictMap("sources6", false);
  addBaseChain(transaction);
}

std::string command(const nft::Transaction& transaction) {
  return "nft '" + join(transaction.text(), "; ") + "'";
}

// Sources are the map elements that lead to each chain.
using Sources = std::map<std::string, std::vector<IP>>;

// dumpSources() is for when the addresses are not known.
Sources dumpSources(Socket& socket) {
  Sources sources;
  for (const char* map : {"sources4", "sources6"}) {
    for (const nft::ElementInfo& element : nft::listElements(socket, kTable, map))
      sources[element.target].push_back(element.key);
  }
  return sources;
}

// removal() takes an attachment's chain and the elements that lead to it away, in one transaction.
nft::Transaction removal(const std::string& chain, const std::vector<IP>& keys) {
  nft::Transaction transaction(kTable);
  for (const IP& key : keys) transaction.deleteElement(mapOf(key), key);
  transaction.flushChain(chain).deleteChain(chain);
  return transaction;
}

void removeChain(Socket& socket, const std::string& chain, const std::vector<IP>& keys) {
  try {
    removal(chain, keys).commit(socket);
  } catch (const Error& error) {
    // EBUSY: an element that we did not know of still leads there. ENOENT: another DEL or GC is at it.
    if (error.code() != EBUSY && error.code() != ENOENT) throw;
    if (hasChain(socket, chain)) removal(chain, dumpSources(socket)[chain]).commit(socket);
  }
}

class Masquerade : public Step {
 public:
  Masquerade(const Attachment& attachment, std::vector<Prefix> addresses)
      : chain_(names::chain(attachment)),
        comment_(names::comment(attachment)),
        addresses_(std::move(addresses)) {}

  std::string_view what() const override { return "masquerade"; }

  void apply(World& world) override {
    try {
      set(world.straggler());
    } catch (const netns::NoAnswer& error) {
      throw takenBack(error, world.straggler());
    } catch (const Error& error) {
      throw failed(error);
    }
  }

  void undo(World& world) override { remove(world.straggler()); }

  void verify(World& world, std::vector<Drift>& drift) const override {
    Socket socket = openNft();
    const bool skeleton = !nft::hasTable(socket, kTable);
    const std::string again = command(build(skeleton));
    for (const Prefix& address : addresses_) {
      const std::string map = mapOf(address.ip);
      if (nft::findElement(socket, kTable, map, address.ip) == chain_) continue;
      drift.push_back(
          {"Failed to find masquerading for " + address.ip.str(), address.ip.str() + " : goto " + chain_,
           skeleton ? "no table inet fairlead" : "no such element of map inet fairlead " + map, again});
    }
    if (skeleton) return;
    const auto masquerades = [](const nft::RuleInfo& rule) { return rule.masquerades; };
    const auto rules = std::ranges::count_if(nft::listRules(socket, kTable, chain_), masquerades);
    if (std::cmp_less(rules, addresses_.size())) {
      drift.push_back({"Failed to find the masquerading rules of " + chain_,
                       std::to_string(addresses_.size()) + " in chain inet fairlead " + chain_,
                       std::to_string(rules), again});
    }
    verifyBaseChain(socket, drift);
    world.straggler().keepIfOthersDo(socket.fd());
  }

  void explain(std::vector<std::string>& lines) const override {
    for (const bool skeleton : {true, false}) {
      for (const std::string& line : build(skeleton, !skeleton).text()) {
        lines.push_back("nft " + line + (skeleton ? "  # unless the table exists" : ""));
      }
    }
  }

 private:
  void verifyBaseChain(Socket& socket, std::vector<Drift>& drift) const {
    const std::string base(kBaseChain);
    const std::vector<nft::RuleInfo> rules = nft::listRules(socket, kTable, base);
    for (const char* map : {"sources4", "sources6"}) {
      const auto in = [&](const nft::RuleInfo& rule) { return rule.map == map; };
      const auto of = [&](const Prefix& address) { return mapOf(address.ip) == map; };
      if (std::ranges::none_of(addresses_, of) || std::ranges::any_of(rules, in)) continue;
      nft::Transaction mend(kTable);
      addBaseChain(mend);
      drift.push_back({"Failed to find the rule that leads to " + std::string(map),
                       "vmap @" + std::string(map) + " in chain inet fairlead " + base, "no such rule",
                       command(mend)});
    }
  }

  static CniError failed(const Error& error) { return failure("failed to set up masquerading", error); }

  // takenBack() undoes what the kernel may have carried out although its answer was lost.
  CniError takenBack(const Error& error, netns::Straggler& straggler) const {
    CniError told = failed(error);
    try {
      remove(straggler);
      return told;
    } catch (const Error& remainder) {
      return {told.code(), told.msg(), told.details() + "; left behind: " + remainder.what()};
    }
  }

  void set(netns::Straggler& straggler) const {
    constexpr int kAttempts = 4;
    Socket socket = openNft();
    bool skeleton = false;
    for (int attempt = 1;; ++attempt) {
      try {
        build(skeleton).commit(socket);
        straggler.keepIfOthersDo(socket.fd());
        return;
      } catch (const Error& error) {
        if (attempt == kAttempts) throw;
        // ENOENT: the first attachment of this boot. EEXIST: somebody else was faster with the table, or a
        // chain or an element of an attachment that is gone has our name or address.
        if (error.code() == ENOENT) {
          skeleton = true;
        } else if (error.code() == EEXIST || error.code() == EBUSY) {
          if (!skeleton) evict(socket);
          skeleton = false;
        } else {
          throw;
        }
      }
    }
  }

  void remove(netns::Straggler& straggler) const {
    std::optional<Socket> found = openIf([&](Socket& socket) {
      const bool there = hasChain(socket, chain_);
      if (!there) straggler.keepIfOthersDo(socket.fd());
      return there;
    });
    if (!found) return;
    Socket& socket = *found;
    std::vector<IP> keys;
    for (const Prefix& address : addresses_) {
      if (nft::findElement(socket, kTable, mapOf(address.ip), address.ip) == chain_)
        keys.push_back(address.ip);
    }
    // Without the elements the transaction would fail, and a failed one waits for a grace period.
    if (addresses_.empty()) keys = dumpSources(socket)[chain_];
    removeChain(socket, chain_, keys);
    straggler.keep(socket.fd());
  }

  nft::Transaction build(bool skeleton, bool own = true) const {
    nft::Transaction transaction(kTable);
    if (skeleton) addSkeleton(transaction);
    if (!own) return transaction;
    transaction.addChain(chain_).flushChain(chain_);
    for (const Prefix& address : addresses_) {
      transaction.addRule({.chain = chain_,
                           .expressions = {nft::Match{.field = nft::Match::Field::Destination,
                                                      .negate = true,
                                                      .prefix = address.masked()},
                                           nft::Masquerade{}},
                           .comment = comment_});
      transaction.addElement(mapOf(address.ip), address.ip, nft::Goto{chain_});
    }
    return transaction;
  }

  // evict() removes elements that lead our addresses to other chains. The address is ours now: IPAM said so.
  void evict(Socket& socket) const {
    nft::Transaction transaction(kTable);
    for (const Prefix& address : addresses_) {
      const auto target = nft::findElement(socket, kTable, mapOf(address.ip), address.ip);
      if (target && *target != chain_) transaction.deleteElement(mapOf(address.ip), address.ip);
    }
    if (!transaction.empty()) transaction.commit(socket);
  }

  std::string chain_;
  std::string comment_;
  std::vector<Prefix> addresses_;
};

}  // namespace

std::unique_ptr<Step> masquerade(const Attachment& attachment, std::vector<Prefix> addresses) {
  return std::make_unique<Masquerade>(attachment, std::move(addresses));
}

void collectMasquerade(World& world, std::string_view network, const std::vector<Attachment>& valid) {
  std::optional<Socket> found = openIf([](Socket& socket) { return nft::hasTable(socket, kTable); });
  if (!found) return;
  Socket& socket = *found;
  std::vector<std::string> keep;
  keep.reserve(valid.size());
  for (const Attachment& attachment : valid) keep.push_back(names::chain(attachment));
  std::optional<Sources> sources;  // of the first that has to go, and of all
  bool used = false;
  for (const std::string& chain : nft::listChains(socket, kTable)) {
    if (chain == kBaseChain) continue;
    const bool stale =
        chain.starts_with(names::chainPrefix(network)) && std::ranges::find(keep, chain) == keep.end();
    if (stale) {
      if (!sources) sources = dumpSources(socket);
      removeChain(socket, chain, (*sources)[chain]);
    } else {
      used = true;
    }
  }
  const bool last = !used && world.alone();
  if (last) nft::Transaction(kTable).deleteTable().commit(socket);
  if (sources || last) {
    world.straggler().keep(socket.fd());
  } else {
    world.straggler().keepIfOthersDo(socket.fd());
  }
}

std::vector<MasqueradeChain> masqueradeChains() {
  std::optional<Socket> socket = openIf([](Socket& opened) { return nft::hasTable(opened, kTable); });
  std::vector<MasqueradeChain> chains;
  if (!socket) return chains;
  Sources sources = dumpSources(*socket);
  for (const std::string& name : nft::listChains(*socket, kTable)) {
    if (name == kBaseChain) continue;
    chains.push_back({name, command(removal(name, sources[name]))});
  }
  return chains;
}

}  // namespace fairlead::plugin
