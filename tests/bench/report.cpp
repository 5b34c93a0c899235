#include "tests/bench/report.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

namespace fairlead::bench {
namespace {

using Line = std::vector<std::string>;
struct Table {
  std::string title;
  std::vector<Line> lines;  // the first is the head
};

std::string number(double value, int decimals) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}
std::string millis(double micros) { return number(micros / 1000, 2); }

std::string nameOf(const Report& report, size_t subject) {
  const Subject& named = report.subjects[subject];
  const std::string name = subject == 0 ? "Fairlead" : named.directory;
  return named.build.empty() || named.build == "unknown" ? name : name + " " + named.build;
}

std::string situation(const Row& row) {
  const std::string call = row.verb + (row.masquerade ? ", ipMasq" : "");
  const std::string width = std::to_string(row.parallel);
  if (row.calls > row.parallel)
    return call + ", " + std::to_string(row.calls) + " of them, " + width + " at a time";
  return row.parallel == 1 ? call : call + ", " + width + " at once";
}

std::string times(double theirs, double ours) { return number(theirs / std::max(ours, 1.0), 1); }

// addLine() appends a line about one kind of sample: ours, then for each reference its own and how many times
// ours it is.
template <class Pick>
void addLine(Table& table, const std::string& name, const Row& row, bool withSpread, const Pick& pick) {
  Line line = {name};
  for (size_t i = 0; i < row.cells.size(); ++i) {
    const auto figure = [&](double value, double ours, bool shown = true) {
      line.push_back(shown ? millis(value) : "");
      if (i > 0) line.push_back(shown ? times(value, ours) : "");
    };
    const Samples& samples = pick(row.cells[i]);
    const Samples& ours = pick(row.cells[0]);
    figure(samples.median(), ours.median());
    figure(samples.p99(), ours.p99(), withSpread);
    figure(row.cells[i].cpu.median(), row.cells[0].cpu.median(), withSpread);
  }
  table.lines.push_back(line);
}

Table callTable(const Report& report) {
  Table table{"bridge + host-local, milliseconds", {{"call"}}};
  for (size_t i = 0; i < report.subjects.size(); ++i) {
    Line& head = table.lines[0];
    const std::string first = nameOf(report, i) + ": median";
    if (i == 0) {
      head.insert(head.end(), {first, "p99", "CPU"});
    } else {
      head.insert(head.end(), {first, "times ours", "p99", "times ours", "CPU", "times ours"});
    }
  }
  for (const char* verb : {"ADD", "CHECK", "DEL"}) {
    for (const Row& row : report.rows) {
      if (row.verb != verb) continue;
      addLine(table, situation(row), row, true, [](const Cell& cell) -> const Samples& { return cell.wall; });
      if (row.parallel > 1) {
        addLine(table, situation(row) + ": all done", row, false,
                [](const Cell& cell) -> const Samples& { return cell.batch; });
      }
      if (row.verb == "DEL") {
        addLine(table, situation(row) + ": kernel done too", row, false,
                [](const Cell& cell) -> const Samples& { return cell.settled; });
      }
    }
  }
  return table;
}

// leastTable() sets the lone ADDs beside what no ADD can do without.
Table leastTable(const Report& report) {
  const double kernel = report.floor.add.median();
  const double empty = report.emptyBeside.median();
  Table table{"an ADD beside the least that it can take, in turns, milliseconds",
              {{"", "median", "times the least"}}};
  table.lines.push_back({"the kernel's share", millis(kernel), ""});
  table.lines.push_back({"an empty static program, spawned and reaped", millis(empty), ""});
  table.lines.push_back({"the least: both", millis(kernel + empty), "1"});
  for (const Row& row : report.rows) {
    if (row.verb != "ADD" || row.parallel > 1) continue;
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const double median = row.cells[i].wall.median();
      table.lines.push_back(
          {nameOf(report, i) + ": " + situation(row), millis(median), number(median / (kernel + empty), 2)});
    }
  }
  return table;
}

std::string ordinal(int number) { return std::to_string(number) + (number == 1 ? "st" : "th"); }

// crowdTable() gives the growth against the first ADD of the same column.
Table crowdTable(const Report& report, const Crowd& crowd) {
  Table table{"a full node, " + std::to_string(kBridgePorts) + " containers to a bridge, milliseconds",
              {{"ADD"}}};
  for (size_t i = 0; i < report.subjects.size(); ++i) {
    Line& head = table.lines[0];
    head.insert(head.end(),
                {nameOf(report, i) + ": ADD", "times the 1st", "CPU", "DEL", "the kernel's share there",
                 "and until it can be reached", "times the 1st", "ADD without both"});
  }
  for (const CrowdRow& row : crowd) {
    Line line = {"the " + ordinal(row.ordinal)};
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const CrowdCell& cell = row.cells[i];
      const CrowdCell& first = crowd.front().cells[i];
      const double add = cell.add.median();
      const auto kernel = [](const CrowdCell& of) { return of.floor.add.median() + of.floor.reach.median(); };
      line.insert(line.end(), {millis(add), number(add / first.add.median(), 2), millis(cell.cpu.median()),
                               millis(cell.del.median()), millis(cell.floor.add.median()),
                               millis(cell.floor.reach.median()), number(kernel(cell) / kernel(first), 2),
                               millis(add - kernel(cell))});
    }
    table.lines.push_back(line);
  }
  return table;
}

Table floorTable(const Floor& floor) {
  Table table{"the kernel's share: raw netlink, one process, milliseconds", {{"step", "median", "p99"}}};
  const auto line = [&](const char* name, const Samples& samples) {
    table.lines.push_back({name, millis(samples.median()), millis(samples.p99())});
  };
  line("veth pair, in the bridge and in the container", floor.pair);
  line("in the container: up, address, route", floor.inside);
  line("both: the least an ADD costs", floor.add);
  line("then: carrier seen at both ends, address announced", floor.reach);
  line("deleting, until the kernel announces it", floor.unlisted);
  line("deleting, until RTM_DELLINK returns", floor.del);
  return table;
}

Table binaryTable(const Report& report) {
  Table table{"the binary",
              {{"", "start (VERSION), microseconds", "over an empty program", "a refused ADD", "file, KiB",
                "resident in an ADD, KiB"}}};
  const double empty = report.emptyProgram.median();
  table.lines.push_back({"empty static C++ program", number(empty, 0), "", "", "", ""});
  for (size_t i = 0; i < report.subjects.size(); ++i) {
    const Subject& subject = report.subjects[i];
    const auto size = std::filesystem::file_size(subject.directory + "/bridge");
    table.lines.push_back({nameOf(report, i), number(subject.start.median(), 0),
                           number(subject.start.median() - empty, 0), number(subject.refusal.median(), 0),
                           std::to_string(size / 1024), std::to_string(subject.memory)});
  }
  return table;
}

std::vector<Table> tables(const Report& report, const Crowd& crowd) {
  std::vector<Table> all = {callTable(report), leastTable(report), floorTable(report.floor),
                            binaryTable(report)};
  if (!crowd.empty()) all.push_back(crowdTable(report, crowd));
  return all;
}

std::string machine(const Report& report) {
  utsname kernel{};
  ::uname(&kernel);
  return "Linux " + std::string(kernel.release) + ", " + std::to_string(std::thread::hardware_concurrency()) +
         " CPUs; " + std::to_string(report.rows.at(0).cells.at(0).wall.count()) +
         " calls of each kind per directory, in turns";
}

std::string aligned(const Table& table) {
  std::vector<size_t> widths(table.lines[0].size(), 0);
  for (const Line& line : table.lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text = table.title + "\n";
  for (const Line& line : table.lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string gap(widths[i] - line[i].size(), ' ');
      text += i == 0 ? line[i] + gap : "  " + gap + line[i];
    }
    text += "\n";
  }
  return text + "\n";
}

std::string markdown(const Table& table) {
  std::string text = "**" + table.title + "**\n\n";
  for (size_t row = 0; row < table.lines.size(); ++row) {
    text += "|";
    for (const std::string& cell : table.lines[row]) text += " " + cell + " |";
    text += "\n";
    if (row > 0) continue;
    text += "|---|";
    for (size_t i = 1; i < table.lines[row].size(); ++i) text += "---:|";
    text += "\n";
  }
  return text + "\n";
}

nlohmann::ordered_json summary(const Samples& samples) {
  return {{"count", samples.count()},
          {"median", samples.median()},
          {"p99", samples.p99()},
          {"least", samples.least()}};
}

nlohmann::ordered_json summary(const Floor& floor) {
  return {{"pair", summary(floor.pair)},         {"inside", summary(floor.inside)},
          {"add", summary(floor.add)},           {"reach", summary(floor.reach)},
          {"unlisted", summary(floor.unlisted)}, {"del", summary(floor.del)}};
}

}  // namespace

std::string asText(const Report& report, const Crowd& crowd) {
  std::string text = machine(report) + "\n\n";
  for (const Table& table : tables(report, crowd)) text += aligned(table);
  return text;
}

std::string asMarkdown(const Report& report, const Crowd& crowd) {
  std::string text = machine(report) + ".\n\n";
  for (const Table& table : tables(report, crowd)) text += markdown(table);
  return text;
}

std::string asJson(const Report& report, const Crowd& crowd) {
  using Json = nlohmann::ordered_json;
  Json subjects = Json::array();
  for (const Subject& subject : report.subjects) {
    subjects.push_back({{"directory", subject.directory},
                        {"build", subject.build},
                        {"memoryKiB", subject.memory},
                        {"start", summary(subject.start)},
                        {"refusal", summary(subject.refusal)}});
  }
  Json rows = Json::array();
  for (const Row& row : report.rows) {
    Json cells = Json::array();
    for (const Cell& cell : row.cells) {
      cells.push_back({{"wall", summary(cell.wall)},
                       {"batch", summary(cell.batch)},
                       {"settled", summary(cell.settled)},
                       {"cpu", summary(cell.cpu)}});
    }
    rows.push_back({{"verb", row.verb},
                    {"ipMasq", row.masquerade},
                    {"calls", row.calls},
                    {"parallel", row.parallel},
                    {"subjects", cells}});
  }
  Json full = Json::array();
  for (const CrowdRow& row : crowd) {
    Json cells = Json::array();
    for (const CrowdCell& cell : row.cells) {
      cells.push_back({{"add", summary(cell.add)},
                       {"cpu", summary(cell.cpu)},
                       {"del", summary(cell.del)},
                       {"floor", summary(cell.floor)}});
    }
    full.push_back({{"ordinal", row.ordinal}, {"subjects", cells}});
  }
  const Json all = {{"machine", machine(report)},
                    {"unit", "microseconds"},
                    {"subjects", subjects},
                    {"rows", rows},
                    {"emptyProgram", summary(report.emptyProgram)},
                    {"emptyProgramBesideAdd", summary(report.emptyBeside)},
                    {"floor", summary(report.floor)},
                    {"crowd", full}};
  return all.dump(2) + "\n";
}

}  // namespace fairlead::bench
