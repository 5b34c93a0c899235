#include "plugin/known.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <set>
#include <utility>

#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/file.h"
#include "plugin/host_local_conf.h"
#include "plugin/ip_store.h"
#include "plugin/names.h"
#include "plugin/skel.h"
#include "plugin/table.h"

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

// storeOf() is the directory in which a plugin's host-local keeps the network's reservations; nullopt when
// its IPAM is another, or its configuration cannot be read.
std::optional<std::string> storeOf(const Call& call) {
  try {
    if (Fields(call.conf, "NetConf").object("ipam").string("type") != "host-local") return std::nullopt;
    return HostLocalConf::read(call).directory;
  } catch (const CniError&) {
    return std::nullopt;
  } catch (const JsonError&) {
    return std::nullopt;
  }
}

// Leases are the addresses that host-local holds, by whom for. Each directory is read once.
class Leases {
 public:
  // of() are an attachment's.
  std::vector<std::string> of(const Record& record) {
    const auto directory = storeOf(record.call());
    if (!directory) return {};
    const auto [held, unknown] = directories_.try_emplace(*directory);
    if (unknown) held->second = read(*directory);
    const auto own = held->second.find({record.attachment.containerId, record.attachment.ifname});
    return own == held->second.end() ? std::vector<std::string>() : own->second;
  }

 private:
  using Holder = std::pair<std::string, std::string>;  // container id and ifname
  using ByHolder = std::map<Holder, std::vector<std::string>>;

  static ByHolder read(const std::string& directory) {
    ByHolder held;
    try {
      const auto store = IPStore::glance(directory);
      if (!store) return held;
      for (const auto& [ip, owner] : store->reservations())
        if (owner) held[{owner->containerId, owner->ifname}].push_back(ip.str());
    } catch (const netns::Error&) {  // unreadable: not known
    }
    return held;
  }

  std::map<std::string, ByHolder> directories_;
};

void learn(KnownAttachment& entry, CachedAttachment cached) {
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

// A record knows better than a cache: it has the namespace's identity.
void learn(KnownAttachment& entry, const Record& record) {
  entry.attachment = record.attachment;
  const bool alive = record.alive();
  entry.state = stateOf(record, alive);
  entry.netns = alive ? record.netns : "";
  entry.lastNetns = record.netns;
  entry.type = record.type;
  entry.hostInterface = record.hostInterface;
  entry.createdAt = record.createdAt;
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
    learn(entry, std::move(cached));
  }
  Leases leases;
  for (const Record& record : records.list(network)) {
    KnownAttachment& entry = known[record.attachment];
    learn(entry, record);
    if (entry.addresses.empty()) entry.addresses = leases.of(record);
  }
  std::vector<KnownAttachment> list;
  list.reserve(known.size());
  for (auto& [attachment, entry] : known) list.push_back(std::move(entry));
  return list;
}

std::optional<KnownAttachment> knownAttachment(const RecordStore& records, const ResultCache& cache,
                                               const Attachment& attachment) {
  std::optional<KnownAttachment> known;
  try {
    if (auto cached = cache.find(attachment)) learn(known.emplace(), *std::move(cached));
  } catch (const netns::Error&) {  // unreadable: nobody can tell what it was
  }
  if (const auto record = records.find(attachment)) learn(known ? *known : known.emplace(), *record);
  return known;
}

std::vector<HeldAddress> heldAddresses(const NetworkList& list, std::vector<std::string>* strange) {
  std::vector<HeldAddress> held;
  std::set<std::string> directories;  // plugins of a list share one
  NetworkList flat = list;
  flat.plugins = list.members();
  for (size_t i = 0; i < flat.plugins.size(); ++i) {
    Environment env;
    env.command = "STATUS";
    env.path = "-";  // it has to be something; nobody looks along it
    const auto directory = storeOf(makeCall(env, flat.statusInput(i)));
    if (!directory || !directories.insert(*directory).second) continue;
    const auto store = IPStore::glance(*directory);
    if (!store) continue;
    const auto note = [&](const std::string& name) {
      if (strange != nullptr) strange->push_back(*directory + "/" + name);
    };
    for (const std::string& name : store->obstacles()) note(name);
    for (const auto& [ip, owner] : store->reservations()) {
      if (owner)
        held.push_back({{list.name, owner->containerId, owner->ifname}, ip.str()});
      else if (!store->isAbandoned(ip))  // that one is given out again
        note(ip.str());
    }
  }
  return held;
}

bool holds(const HeldAddress& held, const Attachment& attachment) {
  return held.holder.network == attachment.network && held.holder.containerId == attachment.containerId &&
         (held.holder.ifname.empty() || held.holder.ifname == attachment.ifname);
}

std::vector<Attachment> strangers(const NetworkList& list, const std::vector<KnownAttachment>& known) {
  std::vector<Attachment> result;
  for (const HeldAddress& held : heldAddresses(list)) {
    const auto owns = [&](const KnownAttachment& one) { return holds(held, one.attachment); };
    if (std::ranges::none_of(known, owns) && std::ranges::find(result, held.holder) == result.end())
      result.push_back(held.holder);
  }
  return result;
}

std::optional<NetworkList> recalledNetwork(const std::string& network, const std::string& netDir,
                                           const RecordStore& records, const ResultCache& cache) {
  std::vector<std::string> texts;
  for (CachedAttachment& cached : cache.list(network)) texts.push_back(std::move(cached.config));
  for (const Record& record : records.list(network)) texts.push_back(dumpCompact(record.conf));
  // Below netDir, where a network's drop-ins would be looked for.
  const std::string file = netDir + "/" + network + " (as it was)";
  for (std::string& text : texts) {
    try {
      NetworkList list = NetworkList::parse(std::move(text), file);
      if (list.name == network) return list;
    } catch (const ConfigError&) {  // what is remembered is not to be relied on
    }
  }
  return std::nullopt;
}

NetworkList rememberedNetwork(const std::string& network, const std::string& netDir,
                              const RecordStore& records, const ResultCache& cache) {
  try {
    return NetworkList::load(network, netDir);
  } catch (const ConfigError& error) {
    if (asFile(network)) throw;
    auto list = recalledNetwork(network, netDir, records, cache);
    if (!list) throw;
    std::fprintf(stderr, "%s\ntaken from memory: %s as it was when a container was connected\n",
                 printable(error.what()).c_str(), network.c_str());
    return *std::move(list);
  }
}

std::vector<NetworkList> allNetworks(
    const std::string& netDir, const RecordStore& records, const ResultCache& cache,
    const std::vector<KnownAttachment>& known,
    const std::function<void(const std::string& file, const ConfigError&)>& fault) {
  std::vector<NetworkList> networks;
  const auto has = [&](const std::string& name) {
    return std::ranges::find(networks, name, &NetworkList::name) != networks.end();
  };
  for (const std::string& file : filesIn(netDir, {".conflist", ".conf", ".json"})) {
    try {
      NetworkList list = NetworkList::load(file, netDir);
      if (!has(list.name)) networks.push_back(std::move(list));
    } catch (const ConfigError& error) {
      fault(file, error);
    }
  }
  for (const KnownAttachment& one : known) {
    if (has(one.attachment.network)) continue;
    auto list = recalledNetwork(one.attachment.network, netDir, records, cache);
    if (list) networks.push_back(*std::move(list));
  }
  return networks;
}

std::string containerIdOf(const netns::NetNS& ns) {
  return std::string(kDerivedId) + std::to_string(ns.identity().ino);
}

}  // namespace fairlead::plugin
