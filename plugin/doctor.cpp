#include "plugin/doctor.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "netns/link.h"
#include "plugin/masquerade.h"
#include "plugin/names.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

using State = KnownAttachment::State;

constexpr int64_t kUnknownTime = INT64_MAX;  // of two, who is known was first

std::string titled(const Attachment& attachment) {
  return attachment.containerId + " " + attachment.ifname + " on " + attachment.network;
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::ranges::find(list, text) != list.end();
}

// removalOf() is the command that takes away what has this path.
std::string removalOf(const std::string& path) {
  struct stat status {};
  const bool directory = ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  return (directory ? "rm -r " : "rm ") + shellWord(path);
}

// isOwn() tells the addresses of which every container has its own.
bool isOwn(const std::string& address) {
  const auto ip = netns::IP::parse(address);
  return ip && (ip->isLoopback() || ip->isLinkLocal());
}

// mayBeOurs() tells whether a link has the form of names::hostVeth(); so have a few that are not.
bool mayBeOurs(const netns::Link& link) {
  return link.kind == "veth" && link.name.size() == names::hostVeth({}).size();
}

}  // namespace

Doctor::Doctor(RecordStore records, ResultCache cache, std::string netDir, std::string options)
    : records_(std::move(records)),
      cache_(std::move(cache)),
      netDir_(std::move(netDir)),
      options_(std::move(options)) {}

const std::vector<Finding>& Doctor::examine() {
  known_ = knownAttachments(records_, cache_);
  netns::Socket host = netns::Socket::open();
  for (const netns::Link& link : netns::link::list(host))
    if (mayBeOurs(link)) links_.push_back(link.name);
  networks_ = allNetworks(netDir_, records_, cache_, known_, [this](const auto& file, const auto& error) {
    find("configuration", error.what(), "${EDITOR:-vi} " + shellWord(file));
  });
  examineAttachments();
  examineHolders();
  examineAddresses();
  examineLinks();
  examineChains();
  return findings_;
}

// ---- what is remembered ------------------------------------------------------------------------

void Doctor::examineAttachments() {
  for (const KnownAttachment& one : known_) {
    if (one.valid()) continue;
    const auto list = std::ranges::find(networks_, one.attachment.network, &NetworkList::name);
    const bool collects = list == networks_.end() || !list->disableGC;
    const std::string mend = collects ? gc(one.attachment.network) : del(one.attachment);
    if (one.state == State::Interrupted) {
      find("half-done", titled(one.attachment) + ": an ADD was killed", mend);
    } else {
      const bool boot = one.state == State::OtherBoot;
      find("orphan",
           titled(one.attachment) +
               (boot ? ": from before the machine was started" : ": its namespace is gone: " + one.lastNetns),
           mend);
    }
  }
  std::vector<std::string> strange;
  records_.list({}, &strange);
  for (const std::string& path : strange) find("strange file", path + " is no record", removalOf(path));
}

// examineHolders() passes over those whose host end is there: a veth pair dies with the namespace that has
// the other.
void Doctor::examineHolders() {
  std::vector<std::string> strange;
  for (const NetworkList& list : networks_) {
    for (HeldAddress& held : heldAddresses(list, &strange)) {
      const auto owns = [&](const KnownAttachment& one) { return holds(held, one.attachment); };
      if (std::ranges::none_of(known_, owns)) unclaimed_.push_back(std::move(held));
    }
  }
  for (const HeldAddress& held : unclaimed_) {
    if (contains(links_, names::hostVeth(held.holder))) continue;
    find("unknown holder",
         held.address + " is held for " + titled(held.holder) +
             ", of which nothing else is known; if that container is gone:",
         del(held.holder));
  }
  std::ranges::sort(strange);  // networks may share a directory
  strange.erase(std::unique(strange.begin(), strange.end()), strange.end());
  for (const std::string& path : strange)
    find("strange file", path + " is none of host-local's, and in its way", removalOf(path));
}

void Doctor::examineAddresses() {
  struct Claim {
    Attachment attachment;
    int64_t since;
  };
  std::map<std::string, std::vector<Claim>> claims;
  for (const KnownAttachment& one : known_) {
    if (!one.valid()) continue;
    for (const std::string& prefix : one.addresses) {
      const std::string address = prefix.substr(0, prefix.find('/'));
      if (!isOwn(address)) claims[address].push_back({one.attachment, one.createdAt});
    }
  }
  for (const HeldAddress& held : unclaimed_) claims[held.address].push_back({held.holder, kUnknownTime});
  for (auto& [address, those] : claims) {
    std::ranges::stable_sort(those, {}, &Claim::since);
    for (size_t i = 1; i < those.size(); ++i) {
      if (those[i].attachment == those[0].attachment) continue;
      find("duplicate address",
           address + " is that of " + titled(those[0].attachment) + " and of " + titled(those[i].attachment),
           del(those[i].attachment));
    }
  }
}

// ---- what is in the kernel -----------------------------------------------------------------------

void Doctor::examineLinks() {
  std::vector<std::string> owned;
  for (const KnownAttachment& one : known_) {
    owned.push_back(names::hostVeth(one.attachment));
    owned.push_back(one.hostInterface);
  }
  for (const HeldAddress& held : unclaimed_) owned.push_back(names::hostVeth(held.holder));
  for (const std::string& link : links_) {
    const NetworkList* list = collectorOf(link, names::hostVethPrefix);
    if (list == nullptr || contains(owned, link)) continue;
    find("orphan", "link " + link + " of " + list->name + " belongs to no attachment", gc(list->name));
  }
}

void Doctor::examineChains() {
  std::vector<std::string> owned;
  for (const KnownAttachment& one : known_) owned.push_back(names::chain(one.attachment));
  for (const HeldAddress& held : unclaimed_) owned.push_back(names::chain(held.holder));
  for (const MasqueradeChain& chain : masqueradeChains()) {
    if (contains(owned, chain.name)) continue;
    const NetworkList* list = collectorOf(chain.name, names::chainPrefix);
    find("orphan",
         "nftables chain " + chain.name + (list != nullptr ? " of " + list->name : "") +
             " belongs to no attachment",
         list != nullptr ? gc(list->name) : chain.removal);
  }
}

const NetworkList* Doctor::collectorOf(const std::string& name,
                                       std::string (*prefix)(std::string_view)) const {
  const auto found = std::ranges::find_if(networks_, [&](const NetworkList& list) {
    return !list.disableGC && name.starts_with(prefix(list.name));
  });
  return found == networks_.end() ? nullptr : &*found;
}

// ---- what is told --------------------------------------------------------------------------------

void Doctor::find(const char* kind, std::string what, std::string mend) {
  findings_.push_back({kind, std::move(what), std::move(mend)});
}

std::string Doctor::gc(const std::string& network) const {
  return "fairlead gc " + shellWord(network) + options_;
}

std::string Doctor::del(const Attachment& attachment) const {
  std::string command = "fairlead del " + shellWord(attachment.network) + " --container-id " +
                        shellWord(attachment.containerId);
  if (!attachment.ifname.empty()) command += " --ifname " + shellWord(attachment.ifname);
  return command + options_;
}

}  // namespace fairlead::plugin
