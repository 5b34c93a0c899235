// The attachments that this machine remembers: those that the built-in plugins recorded, and those that
// runtimes cached. `ls` shows them, GC goes by them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/netns.h"
#include "plugin/call.h"
#include "plugin/network_list.h"
#include "plugin/record.h"
#include "plugin/result_cache.h"

namespace fairlead::plugin {

// KnownAttachment is what records and cache together tell of an attachment.
struct KnownAttachment {
  enum class State {
    Live,         // its namespace is there, and the same as ever
    Adding,       // an ADD is at work
    Interrupted,  // an ADD was killed half-way
    Gone,         // its namespace is gone, or another has taken its path
    OtherBoot,    // from before the machine was last started: nothing but its files can be left
  };

  Attachment attachment;
  State state = State::Gone;
  std::string netns;      // the path; empty when what is there now is not the attachment's namespace any more
  std::string lastNetns;  // the path that it had
  std::string type;       // of the plugin that recorded it; empty when only a runtime remembers it
  std::string hostInterface;           // empty when not known
  std::vector<std::string> addresses;  // from the cached result, or those that host-local holds
  int64_t createdAt = 0;               // seconds since the epoch
  std::optional<CachedAttachment> cached;

  // valid() tells whether GC has to leave it alone.
  bool valid() const { return state == State::Live || state == State::Adding; }
};

// stateWord() is "live", "adding", "interrupted", "namespace gone" or "other boot".
std::string_view stateWord(KnownAttachment::State state);

// knownAttachments() are those of a network, or of all networks when it is empty, in the order of their
// names.
std::vector<KnownAttachment> knownAttachments(const RecordStore& records, const ResultCache& cache,
                                              std::string_view network = {});

// knownAttachment() is what is known of one, but for addresses that only host-local knows; nullopt when that
// is nothing. It takes no longer when there are many others.
std::optional<KnownAttachment> knownAttachment(const RecordStore& records, const ResultCache& cache,
                                               const Attachment& attachment);

// HeldAddress is a reservation of host-local's. The ifname of one of the old kind is empty.
struct HeldAddress {
  Attachment holder;
  std::string address;
};

// heldAddresses() are all of a network. The paths of what hinders host-local go to `strange`, if given: a
// file that keeps its address from everybody, because nobody can tell for whom, or that stands where another
// has to be. Throws netns::Error when the directory cannot be read.
std::vector<HeldAddress> heldAddresses(const NetworkList& list, std::vector<std::string>* strange = nullptr);

// holds() tells whether an address is held for an attachment.
bool holds(const HeldAddress& held, const Attachment& attachment);

// strangers() are those for whom host-local holds addresses in a network, and that are none of `known`:
// another runtime's with a cache of its own, or what is left of one whose cache is lost. They may be running.
std::vector<Attachment> strangers(const NetworkList& list, const std::vector<KnownAttachment>& known);

// recalledNetwork() is a network as it was when a container was connected to it: from the cache, or, with
// that plugin alone, from the record of an attachment; from the first that can be read. nullopt when there is
// none.
std::optional<NetworkList> recalledNetwork(const std::string& network, const std::string& netDir,
                                           const RecordStore& records, const ResultCache& cache);

// rememberedNetwork() loads a network as NetworkList::load() does. One that is configured no more is
// recalled, so that the container can be disconnected: said on standard error.
NetworkList rememberedNetwork(const std::string& network, const std::string& netDir,
                              const RecordStore& records, const ResultCache& cache);

// allNetworks() are the configured ones, the first of each name, and after them those that are configured no
// more and that some of `known` are on. `fault` is told of files that are no configuration.
std::vector<NetworkList> allNetworks(
    const std::string& netDir, const RecordStore& records, const ResultCache& cache,
    const std::vector<KnownAttachment>& known,
    const std::function<void(const std::string& file, const ConfigError&)>& fault);

// containerIdOf() is what a container is called when nobody says: "netns-" and the inode number of its
// namespace.
std::string containerIdOf(const netns::NetNS& ns);

}  // namespace fairlead::plugin
