// The cache of results that CNI runtimes keep, in libcni's format: CHECK and DEL get the result of the ADD
// from it, and GC the attachments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/call.h"
#include "plugin/json.h"

namespace fairlead::plugin {

// CachedAttachment is what a runtime remembers of an ADD.
struct CachedAttachment {
  Attachment attachment;
  std::string netns;
  std::string config;  // the network configuration list, as text
  std::string args;    // CNI_ARGS
  Json capabilityArgs = Json::object();
  Json result = Json::object();  // what the last plugin printed
  int64_t createdAt = 0;         // seconds since the epoch, told by the file
};

// ResultCache keeps DIR/results/NETWORK-CONTAINER-IFNAME. The directory survives reboots, and other runtimes
// write there too: nothing in it is to be trusted.
class ResultCache {
 public:
  // `directory` is /var/lib/cni on most machines.
  explicit ResultCache(std::string directory);

  // write() makes the directories (mode 0700) as needed. Throws netns::Error.
  void write(const CachedAttachment& cached) const;
  // find() also takes a file of the old kind, which is nothing but the result. A file that cannot be
  // understood counts as none. Throws netns::Error.
  std::optional<CachedAttachment> find(const Attachment& attachment) const;
  // remove() returns false when there was none; a directory in its place is none.
  bool remove(const Attachment& attachment) const;
  // list() reads all attachments of a network, or of all networks when it is empty; files that it cannot
  // understand are passed over.
  std::vector<CachedAttachment> list(std::string_view network = {}) const;

 private:
  std::string file(const Attachment& attachment) const;
  std::string directory_;  // DIR/results
};

}  // namespace fairlead::plugin
