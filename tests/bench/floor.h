// The kernel's own share: the least that a bridge and veth attachment costs, with raw netlink from one
// process, without processes, JSON and address management.
#pragma once

#include "tests/bench/samples.h"

namespace fairlead::bench {

struct Floor {
  Samples pair;    // the veth pair: host end in the bridge and UP, peer in the container under its final name
  Samples inside;  // in the container's namespace: UP, address and default route, one sendmsg
  Samples add;     // both
  Samples unlisted;  // deleting the pair by a child process, until the kernel announces that it is gone
  Samples del;       // deleting the pair, until RTM_DELLINK returns (it waits for an RCU barrier)
};

// measureFloor() attaches and detaches `count` containers in a host of its own. Throws std::system_error.
Floor measureFloor(int count);

}  // namespace fairlead::bench
