#include "tests/bench/crowd.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "tests/bench/bed.h"
#include "tests/bench/process.h"

namespace fairlead::bench {
namespace {

constexpr std::array kOrdinals = {1, 200, 2000};
constexpr int kSamples = 31;
constexpr int kAtOnce = 8;
constexpr int kStep = 100;
constexpr int kFirstBed = 100;  // the suite's beds have the numbers before

using Beds = std::vector<std::unique_ptr<Bed>>;

Network networkOf(int container) { return {.masquerade = false, .number = container / kBridgePorts}; }

// fill() attaches the containers [from, to) of each bed.
void fill(const Beds& beds, int from, int to, const Options& options) {
  for (int first = from; first < to;) {
    // Up to a round number: no batch goes over from one bridge to the next.
    const int last = std::min(to, (first / kStep + 1) * kStep);
    options.progress("a full node: " + std::to_string(last) + " containers");
    for (const auto& bed : beds) bed->call("ADD", networkOf(first), first, last - first, kAtOnce);
    first = last;
  }
}

// measureOne() attaches a container and detaches it again, then does the same by raw netlink.
void measureOne(Bed& bed, int container, CrowdCell& cell) {
  const Network network = networkOf(container);
  const Batch added = bed.call("ADD", network, container, 1, 1);
  cell.add.add(added.calls.front().wall);
  cell.cpu.add(added.cpu);
  cell.del.add(bed.call("DEL", network, container, 1, 1).calls.front().wall);
  FloorProbe(bed.host(), Bed::bridgeOf(network)).measure(bed.container(container), cell.floor);
}

}  // namespace

Crowd measureCrowd(const Options& options) {
  adoptOrphans();
  Beds beds;
  for (const std::string& directory : options.directories) {
    options.progress("a full node: " + std::to_string(kOrdinals.back()) + " namespaces");
    beds.push_back(
        std::make_unique<Bed>(directory, kFirstBed + static_cast<int>(beds.size()), kOrdinals.back()));
  }
  Crowd crowd;
  int there = 0;
  for (const int ordinal : kOrdinals) {
    fill(beds, there, ordinal - 1, options);
    there = ordinal - 1;
    options.progress("a full node: ADD number " + std::to_string(ordinal));
    CrowdRow row{ordinal, std::vector<CrowdCell>(beds.size())};
    for (int i = 0; i < kSamples; ++i) {
      for (size_t bed = 0; bed < beds.size(); ++bed) measureOne(*beds[bed], there, row.cells[bed]);
    }
    crowd.push_back(std::move(row));
  }
  return crowd;
}

}  // namespace fairlead::bench
