#include "tests/bench/suite.h"

#include <memory>
#include <stdexcept>

#include "tests/bench/bed.h"
#include "tests/bench/process.h"

namespace fairlead::bench {
namespace {

constexpr int kContainers = 8;

using Beds = std::vector<std::unique_ptr<Bed>>;

// measureCalls() makes one batch of calls and adds it to the cell.
void measureCalls(Bed& bed, const Row& row, int first, Cell& cell) {
  const Batch batch = bed.call(row.verb, {.masquerade = row.masquerade}, first, row.parallel);
  for (const Finished& finished : batch.calls) cell.wall.add(finished.wall);
  cell.batch.add(batch.wall);
  cell.settled.add(batch.settled);
  cell.cpu.add(batch.cpu / row.parallel);
}

// measureRound() does one verb for every container of every bed: container by container when alone, so that
// whatever else the machine does meets all of them alike; and every round begins with another bed.
void measureRound(const Beds& beds, Row& row, size_t round) {
  for (int first = 0; first < kContainers; first += row.parallel) {
    for (size_t i = 0; i < beds.size(); ++i) {
      const size_t turn = (i + round) % beds.size();
      measureCalls(*beds[turn], row, first, row.cells[turn]);
    }
  }
}

void measureSituation(const Beds& beds, const Options& options, bool masquerade, int parallel,
                      Report& report) {
  std::vector<Row> rows;
  for (const char* verb : {"ADD", "CHECK", "DEL"}) {
    rows.push_back({verb, masquerade, parallel, std::vector<Cell>(beds.size())});
  }
  for (int round = 0; round < options.rounds; ++round) {
    options.progress("bridge + host-local" + std::string(masquerade ? " + ipMasq" : "") +
                     (parallel == 1 ? ", alone" : ", " + std::to_string(parallel) + " at a time") +
                     ": round " + std::to_string(round + 1) + " of " + std::to_string(options.rounds));
    for (Row& row : rows) measureRound(beds, row, static_cast<size_t>(round));
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
    }
  }
}

}  // namespace

Report measure(const Options& options) {
  adoptOrphans();
  Beds beds;
  Report report;
  for (const std::string& directory : options.directories) {
    beds.push_back(std::make_unique<Bed>(directory, static_cast<int>(beds.size()), kContainers));
    report.subjects.push_back({.directory = beds.back()->directory(), .build = beds.back()->build()});
  }
  for (const bool masquerade : {false, true}) {
    for (const int parallel : {1, kContainers}) measureSituation(beds, options, masquerade, parallel, report);
  }
  measureStarts(beds, options, report);
  for (size_t i = 0; i < beds.size(); ++i) {
    report.subjects[i].memory = beds[i]->memoryOfAdd({.masquerade = true});
    reapOrphans();
  }
  return report;
}

}  // namespace fairlead::bench
