// What is not as it should be on this host: what crashes and lost files have left, and addresses that two
// have. Looks, and changes nothing.
#pragma once

#include <string>
#include <vector>

#include "plugin/known.h"
#include "plugin/network_list.h"

namespace fairlead::plugin {

// Finding is one such thing, with the command that mends it.
struct Finding {
  std::string kind;  // "half-done", "orphan", "unknown holder", "duplicate address", "strange file",
                     // "configuration", "kernel"
  std::string what;
  std::string mend;
  friend bool operator==(const Finding&, const Finding&) = default;
};

// Doctor looks once through the attachments of one host. What an ADD or a DEL has under way meanwhile may
// look like something that is left: it does not a second time. Main goroutine, host's namespace, root.
class Doctor {
 public:
  // `options` are words for the commands that it prints, so that they look in the same places: " --net-dir
  // DIR", or empty.
  Doctor(RecordStore records, ResultCache cache, std::string netDir, std::string options);

  // examine() is all that it finds; once. Throws netns::Error when it could not look.
  const std::vector<Finding>& examine();
  size_t attachments() const { return known_.size(); }

 private:
  // What records, cache and host-local's files tell.
  void examineAttachments();
  void examineHolders();
  void examineAddresses();
  // What the kernel has that belongs to nobody.
  void examineLinks();
  void examineChains();

  void find(const char* kind, std::string what, std::string mend);
  std::string gc(const std::string& network) const;
  std::string del(const Attachment& attachment) const;
  // collectorOf() is the network that GC removes a link or chain with this name for; null when there is none.
  const NetworkList* collectorOf(const std::string& name, std::string (*prefix)(std::string_view)) const;

  RecordStore records_;
  ResultCache cache_;
  std::string netDir_;
  std::string options_;
  std::vector<KnownAttachment> known_;
  std::vector<NetworkList> networks_;
  std::vector<HeldAddress> unclaimed_;  // by nobody that is known
  std::vector<std::string> links_;      // of the host: what may be one of ours
  std::vector<Finding> findings_;
};

}  // namespace fairlead::plugin
