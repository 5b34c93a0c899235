#include <algorithm>
#include <cstdio>
#include <exception>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "plugin/commands.h"
#include "plugin/known.h"
#include "plugin/list_runner.h"
#include "plugin/network_list.h"
#include "plugin/report.h"
#include "plugin/table.h"

namespace fairlead::plugin {
namespace {

// named() reads --valid CONTAINER/IFNAME. A container's id has no slash in it.
std::set<Attachment> named(const Options& options, const std::string& network) {
  std::set<Attachment> result;
  for (const std::string& text : options.valid) {
    const size_t slash = text.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
      throw UsageError("--valid: " + text + ": must be CONTAINER/IFNAME");
    }
    result.insert({network, text.substr(0, slash), text.substr(slash + 1)});
  }
  return result;
}

// collect() has every plugin forget what is not valid, as other runtimes do: a DEL for each attachment that
// the cache knows, with what the cache knows of it, and then the GC verb. It goes on after failures and
// returns them.
std::vector<PluginFailure> collect(const ListRunner& runner, const std::vector<KnownAttachment>& stale,
                                   const std::set<Attachment>& valid) {
  std::vector<PluginFailure> failures;
  const auto attempt = [&](const auto& action) {
    try {
      action();
    } catch (const ListError& error) {
      std::ranges::copy(error.failures(), std::back_inserter(failures));
    }
  };
  for (const KnownAttachment& one : stale) {
    if (!one.cached) continue;
    attempt([&] {
      runner.del({.containerId = one.attachment.containerId,
                  .netns = one.netns,
                  .ifname = one.attachment.ifname,
                  .args = one.cached->args,
                  .capabilityArgs = one.cached->capabilityArgs});
    });
  }
  attempt([&] { runner.gc({valid.begin(), valid.end()}); });
  return failures;
}

Json asJson(const std::vector<KnownAttachment>& list) {
  Json result = Json::array();
  for (const KnownAttachment& one : list) {
    result.push_back({{"containerID", one.attachment.containerId},
                      {"ifname", one.attachment.ifname},
                      {"state", stateWord(one.state)}});
  }
  return result;
}

void print(const Options& options, const std::string& network, const std::vector<KnownAttachment>& removed,
           const std::vector<KnownAttachment>& kept) {
  if (options.json) {
    const Json document = {{"network", network},
                           {"dryRun", options.dryRun},
                           {"removed", asJson(removed)},
                           {"kept", asJson(kept)}};
    std::printf("%s\n", dumpIndented(document).c_str());
    return;
  }
  for (const KnownAttachment& one : removed) {
    const std::string line = one.attachment.containerId + " " + one.attachment.ifname + " (" +
                             std::string(stateWord(one.state)) + ")";
    std::printf("%s %s\n", options.dryRun ? "would remove" : "removed", printable(line).c_str());
  }
  std::printf("%s: %zu %s, %zu kept\n", network.c_str(), removed.size(),
              options.dryRun ? "to remove" : "removed", kept.size());
}

// tellOf() says what a GC without --valid does not dare to touch.
void tellOf(const std::vector<Attachment>& unknown) {
  for (const Attachment& one : unknown) {
    std::fprintf(stderr, "kept %s: it holds an address, and nothing else is known of it (--valid decides)\n",
                 printable(one.containerId + " " + one.ifname).c_str());
  }
}

void collectNetwork(const Options& options, const NetworkList& list, const RecordStore& records,
                    const ResultCache& cache) {
  std::set<Attachment> valid = named(options, list.name);
  const auto known = knownAttachments(records, cache, list.name);
  std::vector<KnownAttachment> kept;
  std::vector<KnownAttachment> stale;
  for (const KnownAttachment& one : known) {
    const bool keep = options.valid.empty() ? one.valid() : valid.contains(one.attachment);
    (keep ? kept : stale).push_back(one);
  }
  if (options.valid.empty()) {
    for (const KnownAttachment& one : kept) valid.insert(one.attachment);
    const auto unknown = strangers(list, known);
    valid.insert(unknown.begin(), unknown.end());
    tellOf(unknown);
  }
  if (options.dryRun) return print(options, list.name, stale, kept);

  auto failures = collect(ListRunner(list, options.cniPath, cache), stale, valid);
  std::set<Attachment> left;
  for (const KnownAttachment& one : knownAttachments(records, cache, list.name)) left.insert(one.attachment);
  std::erase_if(stale, [&](const KnownAttachment& one) { return left.contains(one.attachment); });
  print(options, list.name, stale, kept);
  if (!failures.empty()) throw ListError(std::move(failures));
}

// collectAll() passes over the networks that are not to be collected.
bool collectAll(const Options& options, const RecordStore& records, const ResultCache& cache) {
  if (!options.valid.empty())
    throw UsageError("--valid: names attachments of one NETWORK, which is required then");
  bool good = true;
  const auto failed = [&](const std::exception& error) {
    reportFailure("gc", error, options.json);
    good = false;
  };
  const auto lists = allNetworks(options.netDir, records, cache, knownAttachments(records, cache),
                                 [&](const auto&, const ConfigError& error) { failed(error); });
  for (const NetworkList& list : lists) {
    if (list.disableGC) continue;
    try {
      collectNetwork(options, list, records, cache);
    } catch (const std::exception& error) {
      failed(error);
    }
  }
  return good;
}

}  // namespace

bool gcCommand(const Options& options) {
  const ResultCache cache(options.cacheDir);
  const RecordStore records;
  if (options.network.empty()) return collectAll(options, records, cache);
  const NetworkList list = rememberedNetwork(options.network, options.netDir, records, cache);
  if (list.disableGC)
    throw CniError(Code::InvalidConfig, list.file + ": disableGC: true: nothing may be collected");
  collectNetwork(options, list, records, cache);
  return true;
}

}  // namespace fairlead::plugin
