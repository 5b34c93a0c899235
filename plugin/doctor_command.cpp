#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "plugin/commands.h"
#include "plugin/doctor.h"
#include "plugin/error.h"
#include "plugin/kernel_probe.h"
#include "plugin/table.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

// samePlaces() are the options by which the commands that mend look where we have looked.
std::string samePlaces(const Options& options) {
  const Options defaults;
  std::string words;
  if (options.netDir != defaults.netDir) words += " --net-dir " + shellWord(options.netDir);
  if (options.cacheDir != defaults.cacheDir) words += " --cache-dir " + shellWord(options.cacheDir);
  return words;
}

void printJson(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& one : findings)
    list.push_back({{"kind", one.kind}, {"what", one.what}, {"mend", one.mend}});
  std::printf("%s\n", dumpIndented(list).c_str());
}

void print(const std::vector<Finding>& findings, size_t attachments) {
  for (const Finding& one : findings) {
    std::printf("%s: %s\n    %s\n", paint(one.kind, Colour::Red, stdout).c_str(), printable(one.what).c_str(),
                paint(printable(one.mend), Colour::Bold, stdout).c_str());
  }
  if (findings.empty())
    std::printf("%s: %zu attachment%s and the kernel\n",
                paint("nothing found", Colour::Green, stdout).c_str(), attachments,
                attachments == 1 ? "" : "s");
}

}  // namespace

bool doctorCommand(const Options& options) {
  if (::geteuid() != 0) {
    throw CniError::internal(
        "only root can examine this host",
        "records, namespaces and nftables are not shown to others: sudo fairlead doctor");
  }
  const auto doctor = [&] {
    return Doctor(RecordStore(), ResultCache(options.cacheDir), options.netDir, samePlaces(options));
  };
  Doctor first = doctor();
  std::vector<Finding> findings = first.examine();
  if (!findings.empty()) {
    Doctor second = doctor();
    const std::vector<Finding>& still = second.examine();
    std::erase_if(findings, [&](const Finding& one) { return std::ranges::find(still, one) == still.end(); });
  }
  for (const MissingFeature& one : missingFeatures())
    findings.push_back({"kernel", "no " + one.name + ": " + one.reason, one.mend});
  options.json ? printJson(findings) : print(findings, first.attachments());
  return findings.empty();
}

}  // namespace fairlead::plugin
