#include "plugin/foreign_masquerade.h"

#include <cerrno>
#include <string>

#include "netns/nft.h"
#include "plugin/names.h"

namespace fairlead::plugin {
namespace {

namespace nft = netns::nft;
using netns::Socket;

void commit(Socket& socket, const nft::Transaction& transaction) {
  try {
    if (!transaction.empty()) transaction.commit(socket);
  } catch (const netns::Error& error) {
    if (error.code() != ENOENT) throw;  // somebody else is at it
  }
}

void forgetIptables(Socket& socket, nft::Family family, const std::string& chain) {
  const nft::Table table{.family = family, .name = "nat"};
  if (!nft::hasChain(socket, table, chain)) return;
  nft::Transaction transaction(table);
  for (const nft::RuleInfo& rule : nft::listRules(socket, table, "POSTROUTING")) {
    if (rule.target == chain) transaction.deleteRule("POSTROUTING", rule.handle);
  }
  transaction.flushChain(chain).deleteChain(chain);
  commit(socket, transaction);
}

void forgetNftables(Socket& socket, const std::string& commentPrefix) {
  const nft::Table table{.family = nft::Family::Inet, .name = "cni_plugins_masquerade"};
  nft::Transaction transaction(table);
  for (const nft::RuleInfo& rule : nft::listRules(socket, table, "masq_checks")) {
    if (rule.comment.starts_with(commentPrefix)) transaction.deleteRule("masq_checks", rule.handle);
  }
  commit(socket, transaction);
}

}  // namespace

void forgetForeignMasquerade(const Attachment& attachment) {
  try {
    Socket socket = Socket::open(Socket::Family::Netfilter);
    // The hash is over the two names with nothing in between.
    const std::string chain = "CNI-" + names::sha512Hex(attachment.network + attachment.containerId, 24);
    forgetIptables(socket, nft::Family::IPv4, chain);
    forgetIptables(socket, nft::Family::IPv6, chain);
    forgetNftables(socket, names::comment(attachment).substr(0, names::kCommentHashes));
  } catch (const netns::Error& error) {
    // A kernel without nftables has no such rules.
    if (error.code() != EPROTONOSUPPORT && error.code() != EOPNOTSUPP && error.code() != EINVAL) throw;
  }
}

}  // namespace fairlead::plugin
