// cni_bench: our plugins beside the reference's, in one run and in turns; see `./x bench --help`.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/bench/crowd.h"
#include "tests/bench/host.h"
#include "tests/bench/report.h"
#include "tests/bench/suite.h"

namespace fairlead::bench {
namespace {

// progress() keeps one line up to date on a terminal; elsewhere every step has a line.
void progress(const std::string& what) {
  std::fprintf(stderr, ::isatty(STDERR_FILENO) != 0 ? "\r\033[K%s" : "%s\n", what.c_str());
}

int benchmark(int argc, char** argv) {
  CLI::App app{
      "ADD, CHECK and DEL of bridge + host-local: our plugins and the reference's in turns, the kernel's own "
      "share, the start of the binary. Everything happens in throw-away namespaces."};
  std::string ours;
  std::vector<std::string> references;
  Options options;
  options.emptyProgram = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "empty_program";
  options.progress = progress;
  bool full = false;
  bool json = false;
  bool markdown = false;
  app.add_option("--ours", ours, "directory of our plugins")->required();
  app.add_option("--reference", references, "directory to compare with; may be repeated (/usr/lib/cni)");
  app.add_option("--rounds", options.rounds, "rounds of 8 containers per situation")->capture_default_str();
  app.add_option("--starts", options.starts, "starts of the binary")->capture_default_str();
  app.add_flag("--crowd", full, "measure the 1st, 200th and 2000th ADD of a node, too; takes a minute more");
  app.add_flag("--markdown", markdown, "print tables for the README");
  app.add_flag("--json", json, "print JSON")->excludes("--markdown");
  CLI11_PARSE(app, argc, argv);

  if (references.empty()) references.emplace_back("/usr/lib/cni");
  options.directories = {ours};
  options.directories.insert(options.directories.end(), references.begin(), references.end());

  hideMachine();
  const Report report = measure(options);
  const Crowd crowd = full ? measureCrowd(options) : Crowd{};
  if (::isatty(STDERR_FILENO) != 0) progress("");
  const std::string text = json       ? asJson(report, crowd)
                           : markdown ? asMarkdown(report, crowd)
                                      : asText(report, crowd);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace fairlead::bench

int main(int argc, char** argv) {
  try {
    return fairlead::bench::benchmark(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "\ncni_bench: %s\n", error.what());
    return 1;
  }
}
