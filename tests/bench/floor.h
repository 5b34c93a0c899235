// The kernel's own share: the least that a bridge and veth attachment costs, with raw netlink from one
// process, without processes, JSON and address management.
#pragma once

#include <string>

#include "tests/bench/host.h"
#include "tests/bench/samples.h"

namespace fairlead::bench {

struct Floor {
  Samples pair;    // the veth pair: host end in the bridge and UP, peer in the container under its final name
  Samples inside;  // in the container's namespace: UP, address and default route, one sendmsg
  Samples add;     // both
  Samples reach;   // then, until the container can be reached: carrier seen at both ends, address announced
  Samples unlisted;  // deleting the pair by a child process, until the kernel announces that it is gone
  Samples del;       // deleting the pair, until RTM_DELLINK returns (it waits for an RCU barrier)
};

// FloorProbe measures in a host that it shares with others, so that a figure of theirs has the floor of the
// same moment beside it. Its functions throw std::system_error.
class FloorProbe {
 public:
  // The host must outlive the probe. `bridge` is made unless the host has it.
  FloorProbe(const NetworkNamespace& host, std::string bridge);

  // measure() attaches a container that has no eth0, detaches it in each of the two ways, and leaves nothing.
  void measure(const NetworkNamespace& container, Floor& floor) const;

 private:
  const NetworkNamespace& host_;
  std::string bridge_;
};

}  // namespace fairlead::bench
