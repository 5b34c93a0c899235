#include "plugin/known.h"

#include <ctime>
#include <map>
#include <utility>

#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/names.h"

namespace fairlead::plugin {
namespace {

using State = KnownAttachment::State;

constexpr std::string_view kDerivedId = "netns-";

State stateOf(const Record& record, bool alive) {
  if (record.bootId != names::bootId()) return State::OtherBoot;
  if (record.state == Record::State::Adding) return State::Adding;
  if (record.state == Record::State::Interrupted) return State::Interrupted;
  return alive ? State::Live : State::Gone;
}

int64_t bootedAt() {
  timespec up{};
  clock_gettime(CLOCK_BOOTTIME, &up);
  return std::time(nullptr) - up.tv_sec;
}

// alive() can go by a cached path alone, which may have become another namespace's; unless the container's
// name is one of ours, which has the inode number in it. In doubt it is alive: GC must not take the address
// of a running container, and a clock that was set after the boot makes file times worth little.
bool alive(const CachedAttachment& cached) {
  try {
    const auto ns = netns::NetNS::open(cached.netns);
    const std::string& id = cached.attachment.containerId;
    return !id.starts_with(kDerivedId) || id == containerIdOf(ns);
  } catch (const netns::Error&) {  // not there, or no namespace
    return false;
  }
}

std::vector<std::string> addressesOf(const CachedAttachment& cached) {
  std::vector<std::string> addresses;
  try {
    for (const IPConfig& ip : Result::fromJson(cached.result, "").ips) addresses.push_back(ip.address.str());
  } catch (const CniError&) {  // no result that we can read: no addresses to show
  } catch (const JsonError&) {
  }
  return addresses;
}

}  // namespace

std::string_view stateWord(State state) {
  switch (state) {
    case State::Live:
      return "live";
    case State::Adding:
      return "adding";
    case State::Interrupted:
      return "interrupted";
    case State::Gone:
      return "namespace gone";
    case State::OtherBoot:
      return "other boot";
  }
  return "";
}

std::vector<KnownAttachment> knownAttachments(const RecordStore& records, const ResultCache& cache,
                                              std::string_view network) {
  std::map<Attachment, KnownAttachment> known;
  for (CachedAttachment& cached : cache.list(network)) {
    KnownAttachment& entry = known[cached.attachment];
    entry.attachment = cached.attachment;
    entry.lastNetns = cached.netns;
    if (alive(cached)) {
      entry.state = State::Live;
      entry.netns = cached.netns;
    } else {
      entry.state = cached.createdAt < bootedAt() ? State::OtherBoot : State::Gone;
    }
    entry.addresses = addressesOf(cached);
    entry.createdAt = cached.createdAt;
    entry.cached = std::move(cached);
  }
  for (const Record& record : records.list(network)) {  // knows better: it has the namespace's identity
    KnownAttachment& entry = known[record.attachment];
    entry.attachment = record.attachment;
    const bool alive = record.alive();
    entry.state = stateOf(record, alive);
    entry.netns = alive ? record.netns : "";
    entry.lastNetns = record.netns;
    entry.type = record.type;
    entry.hostInterface = record.hostInterface;
    entry.createdAt = record.createdAt;
  }
  std::vector<KnownAttachment> list;
  list.reserve(known.size());
  for (auto& [attachment, entry] : known) list.push_back(std::move(entry));
  return list;
}

std::string containerIdOf(const netns::NetNS& ns) {
  return std::string(kDerivedId) + std::to_string(ns.identity().ino);
}

}  // namespace fairlead::plugin
