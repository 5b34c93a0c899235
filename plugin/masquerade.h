// Masquerading by nftables: what a container sends beyond its own subnet leaves with the host's address.
//
// One table for all networks, `inet fairlead`. Its postrouting chain looks the source up in a map from
// address to chain, so that the number of containers costs nothing, neither per packet nor per ADD and DEL;
// each attachment has a chain of its own, named by hash, with a rule per address.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "netns/ip.h"
#include "plugin/call.h"
#include "plugin/plan.h"

namespace fairlead::plugin {

// masquerade() is the step for one attachment's addresses (with host bits). A DEL that knows none finds them
// by chain.
std::unique_ptr<Step> masquerade(const Attachment& attachment, std::vector<netns::Prefix> addresses);

// collectMasquerade() removes what attachments of `network` that are not among `valid` have left, and the
// table when nothing is in it and nobody is about to use it (World::alone()).
void collectMasquerade(World& world, std::string_view network, const std::vector<Attachment>& valid);

// MasqueradeChain is what an attachment has in the table. `removal` is the nft command that takes it away.
struct MasqueradeChain {
  std::string name;
  std::string removal;
};
// masqueradeChains() are those of all attachments of all networks; none where the kernel has no nftables.
std::vector<MasqueradeChain> masqueradeChains();

}  // namespace fairlead::plugin
