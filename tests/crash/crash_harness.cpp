// crash_harness: kills the plugins at every system call, and makes every one fail; see `./x crash --help`.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <random>
#include <string>

#include "tests/bench/host.h"
#include "tests/crash/campaign.h"
#include "tests/crash/report.h"

namespace fairlead::crash {
namespace {

void progress(const std::string& what) { std::fprintf(stderr, "%s\n", what.c_str()); }

int harness(int argc, char** argv) {
  CLI::App app{
      "Kills each plugin at every system call of each verb, and makes every system call fail with every "
      "error "
      "that it can give; after each, the next DEL, GC or ADD has to put the host right. Everything happens "
      "in "
      "throw-away namespaces."};
  Options options;
  options.progress = progress;
  bool json = false;
  app.add_option("--plugins", options.plugins, "directory of the plugins")->required();
  app.add_option("--only", options.only,
                 "rows of the table that contain this: \"bridge ADD killed, then DEL\"");
  app.add_option("--point", options.point, "this point of each row alone")->check(CLI::PositiveNumber);
  app.add_option("--every", options.every, "a sample: one point in so many")->check(CLI::PositiveNumber);
  auto* offset = app.add_option("--offset", options.offset, "which of them (chosen and printed)")
                     ->check(CLI::NonNegativeNumber);
  app.add_flag("--json", json, "print JSON");
  CLI11_PARSE(app, argc, argv);

  options.plugins = std::filesystem::canonical(options.plugins);
  if (options.every > 1) {
    if (offset->empty()) options.offset = static_cast<long>(std::random_device{}()) % options.every;
    progress("one point in " + std::to_string(options.every) + ": --every " + std::to_string(options.every) +
             " --offset " + std::to_string(options.offset));
  }
  bench::hideMachine();
  adoptOrphans();
  const std::vector<Row> rows = conduct(options);
  const std::string text = json ? asJson(rows) : asMarkdown(rows);
  std::fputs(text.c_str(), stdout);
  return failuresIn(rows) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace fairlead::crash

int main(int argc, char** argv) {
  try {
    return fairlead::crash::harness(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "crash_harness: %s\n", error.what());
    return 1;
  }
}
