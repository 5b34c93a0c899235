// A full node: what an ADD costs beside many other containers, and what of that is the kernel's own growth.
#pragma once

#include <vector>

#include "tests/bench/floor.h"
#include "tests/bench/samples.h"
#include "tests/bench/suite.h"

namespace fairlead::bench {

// CrowdCell is what one directory of plugins took.
struct CrowdCell {
  Samples add;
  Samples cpu;  // of the ADD
  Samples del;
  Floor floor;  // on the same bridge, between the ADDs
};

// CrowdRow is the `ordinal`th ADD of a node, made and undone some tens of times; `cells` are in the order of
// the directories.
struct CrowdRow {
  int ordinal = 0;
  std::vector<CrowdCell> cells;
};

using Crowd = std::vector<CrowdRow>;

// measureCrowd() fills a host per directory with containers, each in a namespace of its own, kBridgePorts to
// a bridge (the kernel allows 1023), and measures the 1st, 200th and 2000th ADD. Takes a minute with the
// reference, some seconds without. Throws when a call fails or does not do what it should.
inline constexpr int kBridgePorts = 1000;
Crowd measureCrowd(const Options& options);

}  // namespace fairlead::bench
