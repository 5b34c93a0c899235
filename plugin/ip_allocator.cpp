#include "plugin/ip_allocator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "netns/error.h"
#include "plugin/error.h"

namespace fairlead::plugin {

using netns::IP;

IPAllocator::IPAllocator(const HostLocalConf& conf, IPOwner owner, IPStore* store, Mode mode)
    : conf_(conf), owner_(std::move(owner)), store_(store), mode_(mode), pending_(conf.requested) {}

std::vector<IPConfig> IPAllocator::run() {
  std::vector<IPConfig> ips;
  for (size_t set = 0; set < conf_.sets.size(); ++set) ips.push_back(allocate(set));
  if (pending_.empty()) return ips;
  std::string left;
  for (const IP& ip : pending_) left += " " + ip.str();
  throw CniError::internal("failed to allocate all requested IPs:" + left);
}

bool IPAllocator::hasFree(size_t set) { return findFree(set).has_value(); }

IPConfig IPAllocator::allocate(size_t set) {
  const std::string attempted = "failed to allocate for range " + std::to_string(set) + ": ";
  try {
    const auto [ip, range] = choose(set);
    return {.interface = std::nullopt,
            .address = {.ip = ip, .length = range->subnet.length},
            .gateway = range->gateway};
  } catch (const CniError& error) {
    throw CniError::internal(attempted + error.msg(), error.details());
  } catch (const netns::Error& error) {
    throw CniError::internal(attempted + error.what());
  }
}

RangeWalk::Candidate IPAllocator::choose(size_t set) {
  const RangeSet& ranges = conf_.sets[set];
  if (const auto ip = takeRequest(ranges)) return reserveRequest(*ip, set);
  refuseDuplicate(ranges);
  if (const auto found = findFree(set)) return *found;
  throw CniError::internal("no IP addresses available in range set: " + ranges.str(),
                           "all are reserved in " + conf_.directory);
}

// takeRequest() picks the first pending request that the set can serve; a set serves one.
std::optional<IP> IPAllocator::takeRequest(const RangeSet& set) {
  const auto request = std::ranges::find_if(pending_, [&](const IP& ip) { return set.find(ip) != nullptr; });
  if (request == pending_.end()) return std::nullopt;
  const IP ip = *request;
  pending_.erase(request);
  return ip;
}

RangeWalk::Candidate IPAllocator::reserveRequest(const IP& ip, size_t set) {
  const IPRange* range = conf_.sets[set].find(ip);
  if (ip == range->gateway) throw CniError::internal("requested ip " + ip.str() + " is subnet's gateway");
  if (!take(ip, set) && !takeOver(ip, set)) {
    throw CniError::internal("requested IP address " + ip.str() + " is not available in range set " +
                             conf_.sets[set].str());
  }
  return {ip, range};
}

void IPAllocator::refuseDuplicate(const RangeSet& set) const {
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

std::optional<RangeWalk::Candidate> IPAllocator::findFree(size_t set) {
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

std::optional<RangeWalk::Candidate> IPAllocator::walk(size_t set) {
  // In a ring the next address is mostly free, so ask the file system. Who gets stuck looks at the list.
  constexpr int kTries = 8;
  RangeWalk walk(conf_.sets[set], store_ == nullptr ? std::nullopt : store_->lastReserved(set));
  for (int tries = 0; const auto candidate = walk.next(); ++tries) {
    if (tries >= kTries && store_ != nullptr && store_->holds(candidate->ip)) continue;
    if (take(candidate->ip, set)) return candidate;
  }
  return std::nullopt;
}

bool IPAllocator::take(const IP& ip, size_t set) {
  if (store_ == nullptr) return true;
  return mode_ == Mode::Take ? store_->reserve(ip, owner_, set) : !store_->holds(ip);
}

// takeOver() takes an address that nobody's DEL will ever free.
bool IPAllocator::takeOver(const IP& ip, size_t set) {
  if (store_ == nullptr || !store_->isAbandoned(ip)) return false;
  if (mode_ == Mode::Look) return true;
  store_->release(ip);
  return store_->reserve(ip, owner_, set);
}

}  // namespace fairlead::plugin
