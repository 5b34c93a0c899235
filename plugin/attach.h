// What every plugin that attaches a container does around its plan: open the namespace, claim the attachment,
// lease addresses.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "netns/netns.h"
#include "plugin/call.h"
#include "plugin/delegate.h"
#include "plugin/plan.h"
#include "plugin/record.h"
#include "plugin/result.h"

namespace fairlead::plugin {

// openContainer() opens CNI_NETNS. Throws CniError 999 "failed to open netns ...",
// and 8 when it is the host's own and the verb is not CHECK.
netns::NetNS openContainer(const Call& call);
// openContainerIfAny() is for DEL: an empty or missing path, or one that is no namespace any more, is
// nullopt. Throws netns::Error when the system refuses, CniError 8 when it is the
// host's own.
std::optional<netns::NetNS> openContainerIfAny(const Call& call);

// claim() makes the record of an ADD that starts. What an interrupted ADD of the same attachment left, or one
// whose namespace is gone, is undone first by `undo`. Throws CniError when the attachment exists, or when
// another ADD of it is at work. nullopt (and a line on standard error) when no record can be kept: that costs
// comfort, not correctness.
std::optional<RecordStore::Pending> claim(const RecordStore& store, const Record& record,
                                          const netns::NetNS& ns,
                                          const std::function<void(const Call&)>& undo);

// Lease is the addresses of an attachment. Destroyed without keep(), it gives them back: the ADD failed.
class Lease {
 public:
  // An empty type means no IPAM.
  Lease(const Call& call, const std::string& ipamType);
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease();

  // take() asks the IPAM plugin. Throws its CniError, or "IPAM plugin returned missing IP config".
  Result take();
  void keep() { taken_ = false; }

 private:
  const Call& call_;
  std::optional<Delegate> ipam_;
  bool taken_ = false;
};

// throwIfAny() throws what a teardown that did not stop at the first error collected.
void throwIfAny(const std::vector<std::string>& errors);
// throwIfDrifted() throws the first drift in the reference's words, with all of them in the details.
void throwIfDrifted(const std::vector<Drift>& drift);

}  // namespace fairlead::plugin
