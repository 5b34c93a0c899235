#include "plugin/commands.h"

#include <cstdio>
#include <optional>
#include <utility>

#include "netns/error.h"
#include "netns/netns.h"
#include "plugin/error.h"
#include "plugin/known.h"
#include "plugin/list_runner.h"
#include "plugin/network_list.h"
#include "plugin/plugin.h"
#include "plugin/record.h"
#include "plugin/result_cache.h"
#include "plugin/table.h"
#include "plugin/text.h"
#include "plugin/version.h"

namespace fairlead::plugin {
namespace {

void print(const std::string& line) { std::printf("%s\n", printable(line).c_str()); }

std::string nameOf(const RuntimeConf& conf) { return conf.ifname + " of " + conf.containerId; }

// tellContainerId() goes to standard error when standard output is for a script.
void tellContainerId(const Options& options, const RuntimeConf& conf) {
  if (!options.json || !options.containerId.empty()) return;
  std::fprintf(stderr, "container id: %s\n", printable(conf.containerId).c_str());
}

// fromNamespace() is the conf for an interface in a namespace that has to be there.
RuntimeConf fromNamespace(const Options& options) {
  const auto ns = netns::NetNS::open(netns::NetNS::resolve(options.netns));
  return {.containerId = options.containerId.empty() ? containerIdOf(ns) : options.containerId,
          .netns = ns.path(),
          .ifname = options.ifname,
          .args = options.args,
          .capabilityArgs = options.capabilityArgs};
}

// recall() completes a conf by what is remembered of the attachment. It is the one with the container's id
// and interface, or else the only one with that interface at that path: it may have been added under another
// id, and a namespace that is gone has no number to make an id of. False when nothing is remembered. A
// remembered path is only used while the attachment's own namespace is there: a DEL must not reach into a
// later one of the same name.
bool recall(RuntimeConf& conf, const std::string& network, const ResultCache& cache) {
  const RecordStore records;
  std::optional<KnownAttachment> found;
  if (!conf.containerId.empty())
    found = knownAttachment(records, cache, {network, conf.containerId, conf.ifname});
  if (!found && !conf.netns.empty()) {
    const auto elsewhere = [&](const KnownAttachment& one) {
      const std::string& path = conf.containerId.empty() ? one.lastNetns : one.netns;
      return one.attachment.ifname != conf.ifname || path != conf.netns;
    };
    std::vector<KnownAttachment> there = knownAttachments(records, cache, network);
    std::erase_if(there, elsewhere);
    if (there.size() == 1) found = std::move(there.front());
  }
  if (!found) return false;
  conf.containerId = found->attachment.containerId;
  if (conf.netns.empty()) conf.netns = found->netns;
  if (found->cached) {
    if (conf.args.empty()) conf.args = found->cached->args;
    if (conf.capabilityArgs.empty()) conf.capabilityArgs = found->cached->capabilityArgs;
  }
  return true;
}

void printResult(const Result& result, const char* margin) {
  const auto line = [&](const char* what, const std::string& text) {
    std::printf("%s%-10s %s\n", margin, what, printable(text).c_str());
  };
  for (const IPConfig& ip : result.ips) {
    line("address", ip.address.str() + (ip.gateway ? ", gateway " + ip.gateway->str() : ""));
  }
  for (const Interface& interface : result.interfaces) {
    line("interface", interface.name + (interface.mac.empty() ? "" : " " + interface.mac) +
                          (interface.sandbox.empty() ? ", on the host" : ", in " + interface.sandbox));
  }
  for (const RouteConfig& route : result.routes) {
    line("route", route.dst.str() + (route.gw ? " via " + route.gw->str() : ""));
  }
  if (!result.dns.nameservers.empty()) line("dns", join(result.dns.nameservers, " "));
}

}  // namespace

void addCommand(const Options& options) {
  const NetworkList list = NetworkList::load(options.network, options.netDir);
  const ResultCache cache(options.cacheDir);
  const RuntimeConf conf = fromNamespace(options);
  // A second ADD is bound to fail, and rolling it back could take the first one down.
  const auto known = knownAttachment(RecordStore(), cache, {list.name, conf.containerId, conf.ifname});
  if (known && known->valid()) {
    throw CniError::internal(nameOf(conf) + " is on " + list.name + " already",
                             "fairlead del " + options.network + " --container-id " + conf.containerId +
                                 " --ifname " + conf.ifname + "  disconnects it");
  }
  const Result result = ListRunner(list, options.cniPath, cache).add(conf);
  tellContainerId(options, conf);
  if (options.json) {
    std::printf("%s\n", result.print(list.cniVersion).c_str());
    return;
  }
  print(nameOf(conf) + " is on " + list.name);
  printResult(result, "  ");
}

void checkCommand(const Options& options) {
  const NetworkList list = NetworkList::load(options.network, options.netDir);
  const ResultCache cache(options.cacheDir);
  RuntimeConf conf = fromNamespace(options);
  recall(conf, list.name, cache);
  ListRunner(list, options.cniPath, cache).check(conf);
  if (options.json) return;
  print(list.disableCheck ? "nothing checked: " + list.file + " says disableCheck"
                          : nameOf(conf) + " is on " + list.name + " as it was added");
}

void delCommand(const Options& options) {
  if (options.netns.empty() && options.containerId.empty())
    throw UsageError("--netns or --container-id is required");
  const ResultCache cache(options.cacheDir);
  const NetworkList list = rememberedNetwork(options.network, options.netDir, RecordStore(), cache);
  RuntimeConf conf{.containerId = options.containerId,
                   .netns = options.netns.empty() ? "" : netns::NetNS::resolve(options.netns),
                   .ifname = options.ifname,
                   .args = options.args,
                   .capabilityArgs = options.capabilityArgs};
  if (conf.containerId.empty()) {
    try {
      conf.containerId = containerIdOf(netns::NetNS::open(conf.netns));
    } catch (const netns::NetNSError&) {  // gone: the path has to do
    }
  }
  const bool known = recall(conf, list.name, cache);
  if (!known && conf.containerId.empty()) {
    if (!options.json) print("nothing to do: " + conf.netns + " is gone, and nothing is known of it");
    return;
  }
  ListRunner(list, options.cniPath, cache).del(conf);
  if (!options.json) print(nameOf(conf) + " is off " + list.name);
}

void statusCommand(const Options& options) {
  const NetworkList list = NetworkList::load(options.network, options.netDir);
  const ResultCache cache(options.cacheDir);
  ListRunner(list, options.cniPath, cache).status();
  if (options.json) return;
  print(atLeast(list.cniVersion, {1, 1, 0})
            ? list.name + " is ready"
            : list.name + " was not asked: STATUS came with version 1.1.0, and " + list.file + " says " +
                  plugin::quoted(list.cniVersion));
}

void explainCommand(const Options& options) {
  const NetworkList list = NetworkList::load(options.network, options.netDir);
  const ResultCache cache(options.cacheDir);
  RuntimeConf conf{.containerId = options.containerId.empty() ? "CONTAINER" : options.containerId,
                   .netns = "/run/netns/CONTAINER",
                   .ifname = options.ifname,
                   .args = options.args,
                   .capabilityArgs = options.capabilityArgs};
  if (!options.netns.empty()) conf = fromNamespace(options);
  std::vector<PluginPlan> plans;
  const Result result = ListRunner(list, options.cniPath, cache).explain(conf, plans);
  if (options.json) {
    Json plugins = Json::array();
    for (const PluginPlan& plan : plans) {
      plugins.push_back(
          {{"type", plan.type}, {"path", plan.path}, {"builtin", plan.builtin}, {"commands", plan.lines}});
    }
    const Json document = {{"plugins", std::move(plugins)}, {"result", result.toJson(list.cniVersion)}};
    std::printf("%s\n", dumpIndented(document).c_str());
    return;
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    print("# plugins[" + std::to_string(i) + "] " + plans[i].type +
          (plans[i].builtin ? ", built in" : ", " + plans[i].path));
    for (const std::string& line : plans[i].lines) print(line);
  }
  print("# the result");
  printResult(result, "#   ");
}

void versionCommand(const Options& options) {
  std::vector<std::string> types;
  for (const Plugin* plugin : plugins()) types.emplace_back(plugin->type());
  if (options.json) {
    const Json document = {{"version", buildVersion()},
                           {"cniVersion", kNewestVersion},
                           {"supportedVersions", kAllVersions},
                           {"plugins", types}};
    std::printf("%s\n", dumpIndented(document).c_str());
    return;
  }
  print("fairlead " + std::string(buildVersion()));
  print("CNI versions: " + join(kAllVersions, ", "));
  print("plugins: " + join(types, ", "));
}

}  // namespace fairlead::plugin
