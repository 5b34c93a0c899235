// The record of an attachment: what was planned, for whom, when. Written before the first side effect, removed by DEL.
// It makes GC, `ls` and recovery after a kill comfortable; losing it loses no correctness, because names are derived.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/netns.h"
#include "plugin/call.h"
#include "plugin/json.h"

namespace fairlead::plugin {

struct Record {
  Attachment attachment;
  std::string type;             // the plugin that made it
  std::string netns;            // CNI_NETNS
  netns::NetNS::Identity netnsIdentity;
  std::string bootId;
  int64_t createdAt = 0;        // seconds since the epoch
  std::string caller;           // the calling process: "containerd (1234)"
  std::string args;             // CNI_ARGS
  std::string path;             // CNI_PATH
  std::string hostInterface;    // the host end, if there is one
  std::string bridge;
  Json conf;                    // the configuration, so that GC can undo without the runtime's help

  Json toJson() const;
  // fromJson() throws JsonError: a record is input like any other.
  static Record fromJson(const Json& value);
};

// RecordStore keeps records as files DIR/NETWORK/HASH.json in a tmpfs directory, mode 0700.
class RecordStore {
 public:
  // The directory is /run/fairlead, or FAIRLEAD_RUN_DIR.
  RecordStore();
  explicit RecordStore(std::string directory);

  // write() replaces atomically. Throws netns::Error.
  void write(const Record& record) const;
  // find() and remove() are O(1). remove() returns false when there was none.
  std::optional<Record> find(const Attachment& attachment) const;
  bool remove(const Attachment& attachment) const;
  // list() reads all records of a network, or of all networks when it is empty. Files that are no records are passed
  // over and named in `strange`, if given.
  std::vector<Record> list(std::string_view network = {}, std::vector<std::string>* strange = nullptr) const;

  const std::string& directory() const { return directory_; }

 private:
  std::string file(const Attachment& attachment) const;
  std::string directory_;
};

}  // namespace fairlead::plugin
