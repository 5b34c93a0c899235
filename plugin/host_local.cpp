// host-local: addresses out of configured ranges, remembered in files on this host.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/host_local_conf.h"
#include "plugin/ip_store.h"
#include "plugin/plugin.h"
#include "plugin/registry.h"
#include "plugin/resolv_conf.h"

namespace fairlead::plugin {
namespace {

using netns::IP;

IPOwner ownerOf(const Call& call) { return {call.env.containerId, call.env.ifname}; }

// Allocator finds an address in each set of a configuration, and takes it unless it is to `Look` only.
class Allocator {
 public:
  enum class Mode { Take, Look };

  // `store` may be null (Mode::Look): then every address is free.
  Allocator(const HostLocalConf& conf, IPOwner owner, IPStore* store, Mode mode)
      : conf_(conf), owner_(std::move(owner)), store_(store), mode_(mode), pending_(conf.requested) {}

  // run() returns one address per set. Throws CniError with the reference's texts.
  std::vector<IPConfig> run();
  // hasFree() tells whether a set can still serve.
  bool hasFree(size_t set) { return findFree(set).has_value(); }

 private:
  IPConfig allocate(size_t set);
  std::optional<IP> takeRequest(const RangeSet& set);
  RangeWalk::Candidate reserveRequest(const IP& ip, size_t set);
  void refuseDuplicate(const RangeSet& set) const;
  std::optional<RangeWalk::Candidate> findFree(size_t set);
  std::optional<RangeWalk::Candidate> walk(size_t set);
  bool take(const IP& ip, size_t set);
  bool takeOver(const IP& ip, size_t set);

  const HostLocalConf& conf_;
  IPOwner owner_;
  IPStore* store_;
  Mode mode_;
  std::vector<IP> pending_;  // requested and not yet given out
};

std::vector<IPConfig> Allocator::run() {
  std::vector<IPConfig> ips;
  for (size_t set = 0; set < conf_.sets.size(); ++set) try {
      ips.push_back(allocate(set));
    } catch (const CniError& error) {
      throw CniError::internal("failed to allocate for range " + std::to_string(set) + ": " + error.msg(),
                               error.details());
    } catch (const netns::Error& error) {
      throw CniError::internal("failed to allocate for range " + std::to_string(set) + ": " + error.what());
    }
  if (pending_.empty()) return ips;
  std::string left;
  for (const IP& ip : pending_) left += " " + ip.str();
  throw CniError::internal("failed to allocate all requested IPs:" + left);
}

IPConfig Allocator::allocate(size_t set) {
  const RangeSet& ranges = conf_.sets[set];
  std::optional<RangeWalk::Candidate> found;
  if (const auto ip = takeRequest(ranges)) {
    found = reserveRequest(*ip, set);
  } else {
    refuseDuplicate(ranges);
    found = findFree(set);
  }
  if (!found) {
    throw CniError::internal("no IP addresses available in range set: " + ranges.str(),
                             "all are reserved in " + conf_.directory);
  }
  return {.interface = std::nullopt,
          .address = {.ip = found->ip, .length = found->range->subnet.length},
          .gateway = found->range->gateway};
}

// takeRequest() picks the first pending request that the set can serve; a set serves one.
std::optional<IP> Allocator::takeRequest(const RangeSet& set) {
  const auto request = std::ranges::find_if(pending_, [&](const IP& ip) { return set.find(ip) != nullptr; });
  if (request == pending_.end()) return std::nullopt;
  const IP ip = *request;
  pending_.erase(request);
  return ip;
}

RangeWalk::Candidate Allocator::reserveRequest(const IP& ip, size_t set) {
  const IPRange* range = conf_.sets[set].find(ip);
  if (ip == range->gateway) throw CniError::internal("requested ip " + ip.str() + " is subnet's gateway");
  if (!take(ip, set) && !takeOver(ip, set)) {
    throw CniError::internal("requested IP address " + ip.str() + " is not available in range set " +
                             conf_.sets[set].str());
  }
  return {ip, range};
}

void Allocator::refuseDuplicate(const RangeSet& set) const {
  if (store_ == nullptr) return;
  const IPStore::Owned owned = store_->find(owner_);
  for (const auto* list : {&owned.exact, &owned.legacy}) {
    const auto ip =
        std::ranges::find_if(*list, [&](const IP& candidate) { return set.find(candidate) != nullptr; });
    if (ip == list->end()) continue;
    throw CniError::internal(
        ip->str() + " has been allocated to " + owner_.containerId + ", duplicate allocation is not allowed",
        "by the file " + conf_.directory + "/" + ip->str());
  }
}

std::optional<RangeWalk::Candidate> Allocator::findFree(size_t set) {
  auto found = walk(set);
  if (found || store_ == nullptr) return found;
  // Nothing left? Then somebody may have removed files in the very moment in which the index was last saved.
  if (store_->refresh()) found = walk(set);
  if (found) return found;
  for (const IP& ip : store_->abandoned()) {
    const IPRange* range = conf_.sets[set].find(ip);
    if (range != nullptr && ip != range->gateway && takeOver(ip, set)) return RangeWalk::Candidate{ip, range};
  }
  return std::nullopt;
}

std::optional<RangeWalk::Candidate> Allocator::walk(size_t set) {
  // In a ring the next address is mostly free, so ask the file system. Who gets stuck looks at the list.
  constexpr int kTries = 8;
  RangeWalk walk(conf_.sets[set], store_ == nullptr ? std::nullopt : store_->lastReserved(set));
  for (int tries = 0; const auto candidate = walk.next(); ++tries) {
    if (tries >= kTries && store_ != nullptr && store_->holds(candidate->ip)) continue;
    if (take(candidate->ip, set)) return candidate;
  }
  return std::nullopt;
}

bool Allocator::take(const IP& ip, size_t set) {
  if (store_ == nullptr) return true;
  return mode_ == Mode::Take ? store_->reserve(ip, owner_, set) : !store_->holds(ip);
}

// takeOver() takes an address that nobody's DEL will ever free.
bool Allocator::takeOver(const IP& ip, size_t set) {
  if (store_ == nullptr || !store_->isAbandoned(ip)) return false;
  if (mode_ == Mode::Look) return true;
  store_->release(ip);
  return store_->reserve(ip, owner_, set);
}

// requireUsable() fails unless the data directory, or where there is none yet the place to make it, can be
// written to.
void requireUsable(const std::string& directory) {
  std::string path = directory;
  while (::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    const size_t slash = path.find_last_of('/');
    if (errno != ENOENT || path == "/" || path == ".") {
      throw CniError(Code::NotAvailable,
                     "data directory " + directory + " cannot be used: " + netns::errnoText(errno));
    }
    path = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  }
}

std::optional<IPStore> glance(const std::string& directory) {
  try {
    return IPStore::glance(directory);
  } catch (const netns::Error& error) {
    throw CniError(Code::NotAvailable, error.what());
  }
}

class HostLocal final : public Plugin {
 public:
  std::string_view type() const override { return "host-local"; }

  Result add(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    Result result;
    if (!conf.resolvConf.empty()) result.dns = readResolvConf(conf.resolvConf);
    IPStore store = IPStore::open(conf.directory);
    result.ips = Allocator(conf, ownerOf(call), &store, Allocator::Mode::Take).run();
    store.commit();
    result.routes = conf.routes;
    return result;
  }

  // What the container has is told by the files, not by the configuration: its ranges may have changed since.
  void del(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    auto store = IPStore::openExisting(conf.directory);
    if (!store) return;
    const IPStore::Owned owned = store->find(ownerOf(call));
    for (const IP& ip : owned.exact.empty() ? owned.legacy : owned.exact) store->release(ip);
    store->commit();
  }

  void check(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    const auto store = IPStore::openExisting(conf.directory);
    const IPStore::Owned owned = store ? store->find(ownerOf(call)) : IPStore::Owned{};
    if (!owned.exact.empty() || !owned.legacy.empty()) return;
    throw CniError::internal("host-local: Failed to find address added by container " + call.env.containerId);
  }

  void gc(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    const std::vector<Attachment> valid = call.validAttachments();
    auto store = IPStore::openExisting(conf.directory);
    if (!store) return;
    store->releaseUnless([&](const IPOwner& owner) {
      return std::ranges::any_of(valid, [&](const Attachment& attachment) {
        return attachment.containerId == owner.containerId &&
               (owner.ifname.empty() || attachment.ifname == owner.ifname);
      });
    });
    store->commit();
  }

  void status(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    requireUsable(conf.directory);
    auto store = glance(conf.directory);
    Allocator allocator(conf, ownerOf(call), store ? &*store : nullptr, Allocator::Mode::Look);
    for (size_t set = 0; set < conf.sets.size(); ++set) {
      if (allocator.hasFree(set)) continue;
      throw CniError(Code::NotAvailable, "no IP addresses available in range set: " + conf.sets[set].str(),
                     "all are reserved in " + conf.directory);
    }
  }

  Explanation explain(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    Explanation explanation;
    if (!conf.resolvConf.empty()) explanation.result.dns = readResolvConf(conf.resolvConf);
    auto store = IPStore::glance(conf.directory);
    explanation.result.ips =
        Allocator(conf, ownerOf(call), store ? &*store : nullptr, Allocator::Mode::Look).run();
    explanation.result.routes = conf.routes;
    for (const IPConfig& ip : explanation.result.ips) {
      explanation.lines.push_back("# reserve " + ip.address.ip.str() + " for (" + call.env.containerId +
                                  ", " + call.env.ifname + ") in " + conf.directory + " (host-local)");
    }
    return explanation;
  }
};

}  // namespace

const Plugin& hostLocalPlugin() {
  static const HostLocal plugin;
  return plugin;
}

}  // namespace fairlead::plugin
