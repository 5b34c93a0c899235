#include "tests/bench/suite.h"

#include <memory>
#include <stdexcept>
#include <string_view>

#include "tests/bench/bed.h"
#include "tests/bench/host.h"
#include "tests/bench/process.h"

namespace fairlead::bench {
namespace {

constexpr int kContainers = 8;
constexpr int kStorm = 100;

using Beds = std::vector<std::unique_ptr<Bed>>;

// Situation is how the calls of a round are made.
struct Situation {
  int containers = kContainers;  // of which each gets every verb once in a round
  int calls = 1;
  int parallel = 1;
};

// Least is what any ADD costs at least, measured in the ADDs' turns: the kernel's share, in a host of its
// own, and a program that does nothing.
class Least {
 public:
  Least(const Options& options, Report& report)
      : empty_{.path = options.emptyProgram, .env = {}}, report_(report) {}

  void measure() {
    probe_.measure(container_, report_.floor);
    report_.emptyBeside.add(run(empty_).wall);
  }

 private:
  Command empty_;
  Report& report_;
  NetworkNamespace host_{"floor"};
  NetworkNamespace container_{"floor-0"};
  FloorProbe probe_{host_, "floor0"};
};

// measureCalls() makes one batch of calls and adds it to the cell.
void measureCalls(Bed& bed, const Row& row, int first, Cell& cell) {
  const Batch batch = bed.call(row.verb, {.masquerade = row.masquerade}, first, row.calls, row.parallel);
  for (const Finished& finished : batch.calls) cell.wall.add(finished.wall);
  cell.batch.add(batch.wall);
  cell.settled.add(batch.settled);
  cell.cpu.add(batch.cpu / row.calls);
}

// measureRound() does one verb for every container of every bed: container by container when alone, so that
// whatever else the machine does meets all of them alike; and every round begins with another bed. The least
// is measured after each ADD: none follows another at once, in what that has left to the kernel (nftables of
// the reference's ADD are destroyed for 20 ms, for which every transaction and every closing waits).
void measureRound(const Beds& beds, Least& least, Row& row, int containers, size_t round) {
  for (int first = 0; first < containers; first += row.calls) {
    for (size_t i = 0; i < beds.size(); ++i) {
      const size_t turn = (i + round) % beds.size();
      measureCalls(*beds[turn], row, first, row.cells[turn]);
      if (row.verb == "ADD" && row.calls == 1) least.measure();
    }
  }
}

std::string nameOf(const Situation& situation) {
  std::string name = "bridge + host-local";
  if (situation.parallel == 1) return name + ", alone";
  if (situation.calls > situation.parallel) name += ", " + std::to_string(situation.calls) + " containers";
  return name + ", " + std::to_string(situation.parallel) + " at a time";
}

// measureSituation() makes the rounds without and with masquerading alternately: what it costs is less than
// the machine's speed drifts from minute to minute.
void measureSituation(const Beds& beds, const Options& options, const Situation& situation, Least& least,
                      Report& report) {
  const bool storm = situation.calls > situation.parallel;
  std::vector<Row> rows;
  for (const bool masquerade : {false, true}) {
    for (const char* verb : {"ADD", "CHECK", "DEL"}) {
      if (storm && std::string_view(verb) == "CHECK") continue;  // they do not come in storms
      rows.push_back({verb, masquerade, situation.calls, situation.parallel, std::vector<Cell>(beds.size())});
    }
  }
  const int rounds = storm ? (options.rounds + 1) / 2 : options.rounds;
  for (int round = 0; round < rounds; ++round) {
    options.progress(nameOf(situation) + ": round " + std::to_string(round + 1) + " of " +
                     std::to_string(rounds));
    for (Row& row : rows) measureRound(beds, least, row, situation.containers, static_cast<size_t>(round));
  }
  for (Row& row : rows) report.rows.push_back(std::move(row));
}

void measureStarts(const Beds& beds, const Options& options, Report& report) {
  options.progress("start of the binary");
  const Command empty{.path = options.emptyProgram, .env = {}};
  for (int i = 0; i < options.starts; ++i) {
    report.emptyProgram.add(run(empty).wall);
    for (size_t k = 0; k < beds.size(); ++k) {
      const Finished finished = run(beds[k]->version());
      if (!finished.ok()) throw std::runtime_error(beds[k]->directory() + ": VERSION failed");
      report.subjects[k].start.add(finished.wall);
      const Finished refused = run(beds[k]->incomplete());
      if (refused.ok() || refused.out.find("CNI_NETNS") == std::string::npos)
        throw std::runtime_error(beds[k]->directory() + ": ADD without a namespace was not refused");
      report.subjects[k].refusal.add(refused.wall);
    }
  }
}

}  // namespace

Report measure(const Options& options) {
  adoptOrphans();
  Beds beds;
  Report report;
  for (const std::string& directory : options.directories) {
    beds.push_back(std::make_unique<Bed>(directory, static_cast<int>(beds.size()), kStorm));
    report.subjects.push_back({.directory = beds.back()->directory(), .build = beds.back()->build()});
  }
  Least least(options, report);
  for (const int parallel : {1, kContainers})
    measureSituation(beds, options, {.calls = parallel, .parallel = parallel}, least, report);
  measureSituation(beds, options, {.containers = kStorm, .calls = kStorm, .parallel = kContainers}, least,
                   report);
  measureStarts(beds, options, report);
  for (size_t i = 0; i < beds.size(); ++i) {
    report.subjects[i].memory = beds[i]->memoryOfAdd({.masquerade = true});
    reapOrphans();
  }
  return report;
}

}  // namespace fairlead::bench
