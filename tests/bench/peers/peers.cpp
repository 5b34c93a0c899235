// peers_bench runs the same rows as Fairlead, Go and Boost.Fiber, each run a process of its own, one after
// another in turn, and prints the medians side by side.
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Peer {
  std::string name;
  std::string program;
  std::string version;
};

struct Row {
  const char* name;
  const char* what;
  double unit;  // nanoseconds in what is printed
  const char* unitName;
  int leastProcs = 1;  // with fewer there is no such thing
};

constexpr std::array kRows{
    Row{"yield", "gosched between two goroutines, a switch", 1, "ns"},
    Row{"round-trip", "unbuffered round trip", 1, "ns"},
    Row{"buffered", "buffered 100, 2 producers, 2 consumers, a value", 1, "ns"},
    Row{"select", "2-way select, one ready", 1, "ns"},
    Row{"spawn-join", "spawn and join", 1, "ns"},
    Row{"spawn-1000", "spawn 1000, then join, each", 1, "ns"},
    Row{"chain", "each spawns the next, each", 1, "ns"},
    Row{"mutex", "mutex, 4 goroutines, lock and unlock", 1, "ns"},
    Row{"locked-main", "round trip, main locked", 1, "ns"},
    Row{"locked-server", "round trip, server locked", 1, "ns"},
    Row{"lines", "the floor of both: one cache line there and one back", 1, "ns", 2},
    Row{"lock-unlock", "lock and unlock the thread", 1, "ns"},
    Row{"skynet", "skynet, a million leaves", 1e6, "ms"},
    Row{"sleepers", "100,000 sleepers of 10 ms", 1e6, "ms"},
    Row{"echo", "TCP echo, 64 connections of 512 B, a request", 1, "ns"},
    Row{"wakeup", "two that wait for each other and work 15 us: wake-ups", 1, "ns", 2},
    Row{"wakeup-syscall", "the same, but asleep in the kernel for those 15 us", 1e3, "us", 2},
    Row{"timer-latency", "1 ms timers while all Ps are busy: lateness", 1, "ns", 2},
    Row{"ticker-latency", "3 ms tickers, 10 % busy: lateness", 1e3, "us", 2},
    Row{"seed-free", "the seeds' benchmark, three million values", 1e6, "ms"},
    Row{"seed-locked", "the same, consumer locked", 1e6, "ms"},
};

struct Output {
  std::optional<double> figure;  // none: the peer has no such row
  std::string remark;
};

Output run(const Peer& peer, const std::string& row, int procs) {
  const std::string n = std::to_string(procs);
  const std::string command = "FAIRLEAD_MAXPROCS=" + n + " GOMAXPROCS=" + n + " PEER_PROCS=" + n +
                              " timeout 120 " + peer.program + " " + row + " 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  Output output;
  std::array<char, 256> line;
  while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
    if (line[0] == '#') {
      output.remark = line.data() + 2;
      output.remark.erase(output.remark.find_last_not_of('\n') + 1);
    } else if (const double figure = std::strtod(line.data(), nullptr); figure > 0) {
      output.figure = figure;
    }
  }
  return output;
}

std::string versionOf(const std::string& program) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((program + " version").c_str(), "r"), pclose);
  std::array<char, 64> line{};
  if (pipe == nullptr || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return "";
  std::string version = line.data();
  version.erase(version.find_last_not_of('\n') + 1);
  return version;
}

struct Result {
  const Row* row;
  int procs;
  std::map<std::string, std::vector<double>> figures;  // by peer, sorted
  std::map<std::string, std::string> remarks;
};

double median(const std::vector<double>& sorted) { return sorted[sorted.size() / 2]; }

Result measure(const Row& row, int procs, int rounds, const std::vector<Peer>& peers) {
  Result result{.row = &row, .procs = procs, .figures = {}, .remarks = {}};
  for (int round = 0; round < rounds; ++round) {
    for (const Peer& peer : peers) {
      const Output output = run(peer, row.name, procs);
      if (!output.figure.has_value()) continue;
      result.figures[peer.name].push_back(*output.figure / row.unit);
      if (!output.remark.empty()) result.remarks[peer.name] = output.remark;
    }
  }
  for (auto& [peer, figures] : result.figures) std::sort(figures.begin(), figures.end());
  return result;
}

std::string machine() {
  utsname name{};
  uname(&name);
  std::string cpu;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) cpu = line.substr(line.find(':') + 2);
  }
  return std::to_string(std::thread::hardware_concurrency()) + " CPUs (" + cpu + "), Linux " + name.release;
}

std::string today() {
  const time_t now = time(nullptr);
  tm date{};
  std::array<char, 16> text;
  std::strftime(text.data(), text.size(), "%Y-%m-%d", gmtime_r(&now, &date));
  return text.data();
}

std::string number(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), value < 10 ? "%.1f" : "%.0f", value);
  return text.data();
}

void printHead(const std::vector<Peer>& peers, bool markdown, int rounds) {
  std::string versions;
  for (const Peer& peer : peers) {
    if (!peer.version.empty()) versions += ", " + peer.version;
  }
  std::printf("%s%s, %s; medians of %d processes each, in turn.\n\n", machine().c_str(), versions.c_str(),
              today().c_str(), rounds);
  std::printf(markdown ? "| what | Ps |" : "%-50s %3s", "what", "Ps");
  if (!markdown) {
    for (const Peer& peer : peers) std::printf(" %10s", peer.name.c_str());
    for (size_t i = 1; i < peers.size(); ++i) std::printf(" %12s", ("x " + peers[i].name).c_str());
    std::printf("\n");
    return;
  }
  for (const Peer& peer : peers) std::printf(" %s |", peer.name.c_str());
  for (size_t i = 1; i < peers.size(); ++i) std::printf(" times faster than %s |", peers[i].name.c_str());
  std::printf("\n|---|---|");
  for (size_t i = 0; i < 2 * peers.size() - 1; ++i) std::printf("---|");
  std::printf("\n");
}

void print(const Result& result, const std::vector<Peer>& peers, bool markdown) {
  const auto cell = [&](const std::string& text, int width) {
    markdown ? std::printf(" %s |", text.c_str()) : std::printf(" %*s", width, text.c_str());
  };
  markdown ? std::printf("| %s | %d |", result.row->what, result.procs)
           : std::printf("%-50s %3d", result.row->what, result.procs);
  const auto ours = result.figures.find(peers[0].name);
  for (const Peer& peer : peers) {
    const auto it = result.figures.find(peer.name);
    cell(it == result.figures.end() ? "-" : number(median(it->second)) + " " + result.row->unitName, 10);
  }
  for (size_t i = 1; i < peers.size(); ++i) {
    const auto it = result.figures.find(peers[i].name);
    const bool both = it != result.figures.end() && ours != result.figures.end();
    cell(both ? number(median(it->second) / median(ours->second)) : "-", 12);
  }
  std::printf("\n");
  if (!markdown) {
    for (const auto& [peer, remark] : result.remarks)
      std::printf("    %s: %s\n", peer.c_str(), remark.c_str());
  }
  std::fflush(stdout);
}

nlohmann::json toJson(const Result& result) {
  nlohmann::json json{{"row", result.row->name}, {"procs", result.procs}, {"unit", result.row->unitName}};
  for (const auto& [peer, figures] : result.figures) {
    json["peers"][peer] = {
        {"median", median(figures)}, {"least", figures.front()}, {"greatest", figures.back()}};
    if (result.remarks.contains(peer)) json["peers"][peer]["remark"] = result.remarks.at(peer);
  }
  return json;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fairlead's goroutines beside Go's and Boost.Fiber's");
  std::string directory = std::filesystem::path(argv[0]).parent_path();
  std::vector<std::string> only;
  std::vector<int> procs{1, 2};
  int rounds = 10;
  bool markdown = false;
  bool json = false;
  bool failed = false;
  app.add_option("--programs", directory, "where peers_fairlead, peers_boost and peers_go are");
  app.add_option("--rows", only, "only these rows")->delimiter(',');
  app.add_option("--procs", procs, "numbers of Ps, or threads")->delimiter(',');
  app.add_option("--rounds", rounds, "processes per row and peer")->check(CLI::Range(1, 1000));
  app.add_flag("--markdown", markdown, "print the table for the README");
  app.add_flag("--json", json, "print what was measured as JSON");
  CLI11_PARSE(app, argc, argv);

  std::vector<Peer> peers;
  for (const auto& [name, program] :
       {std::pair{"Fairlead", "peers_fairlead"}, {"Go", "peers_go"}, {"Boost", "peers_boost"}}) {
    const std::string path = std::filesystem::path(directory) / program;
    if (!std::filesystem::exists(path)) continue;
    peers.push_back({name, path, peers.empty() ? "" : versionOf(path)});
  }
  if (peers.empty()) return std::fprintf(stderr, "no programs in %s\n", directory.c_str()), 1;

  nlohmann::json all = nlohmann::json::array();
  if (!json) printHead(peers, markdown, rounds);
  for (const Row& row : kRows) {
    if (!only.empty() && std::find(only.begin(), only.end(), row.name) == only.end()) continue;
    for (const int n : procs) {
      if (n < row.leastProcs) continue;
      std::fprintf(stderr, "\r\033[K%s, %d Ps", row.name, n);
      const Result result = measure(row, n, rounds, peers);
      std::fprintf(stderr, "\r\033[K");
      failed = failed || !result.figures.contains(peers[0].name);
      json ? all.push_back(toJson(result)) : print(result, peers, markdown);
    }
  }
  if (json) std::printf("%s\n", all.dump(2).c_str());
  if (failed) std::fprintf(stderr, "%s has no figure for some row\n", peers[0].name.c_str());
  return failed ? 1 : 0;
}
