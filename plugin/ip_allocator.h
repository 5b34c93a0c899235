// Which addresses an ADD gets: those that were asked for, else the next free ones of the ring.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "netns/ip.h"
#include "plugin/host_local_conf.h"
#include "plugin/ip_range.h"
#include "plugin/ip_store.h"
#include "plugin/result.h"

namespace fairlead::plugin {

// IPAllocator finds an address in each set of a configuration, and takes it unless it is to look only. It
// serves one ADD. What it took is not committed; when it throws, the store's destructor gives it back.
class IPAllocator {
 public:
  enum class Mode { Take, Look };

  // `store` may be null with Mode::Look: then every address is free. It and `conf` must outlive this.
  IPAllocator(const HostLocalConf& conf, IPOwner owner, IPStore* store, Mode mode);

  // run() returns one address per set. Throws CniError 999 with the reference's texts.
  std::vector<IPConfig> run();
  // hasFree() tells whether a set can still serve.
  bool hasFree(size_t set);

 private:
  IPConfig allocate(size_t set);
  RangeWalk::Candidate choose(size_t set);
  std::optional<netns::IP> takeRequest(const RangeSet& set);
  RangeWalk::Candidate reserveRequest(const netns::IP& ip, size_t set);
  void refuseDuplicate(const RangeSet& set) const;
  std::optional<RangeWalk::Candidate> findFree(size_t set);
  std::optional<RangeWalk::Candidate> walk(size_t set);
  bool take(const netns::IP& ip, size_t set);
  bool takeOver(const netns::IP& ip, size_t set);

  const HostLocalConf& conf_;
  IPOwner owner_;
  IPStore* store_;
  Mode mode_;
  std::vector<netns::IP> pending_;  // requested and not yet given out
};

}  // namespace fairlead::plugin
