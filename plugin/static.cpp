// static: addresses that the configuration, or whoever calls, fixes.
#include <algorithm>
#include <optional>

#include "plugin/error.h"
#include "plugin/plugin.h"
#include "plugin/registry.h"

namespace fairlead::plugin {
namespace {

using netns::IP;
using netns::Prefix;

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kSpace) - first + 1));
}

std::vector<std::string> splitAtCommas(std::string_view text) {
  std::vector<std::string> items;
  for (size_t end = 0; end != std::string_view::npos; text.remove_prefix(end + 1)) {
    end = text.find(',');
    items.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
  }
  return items;
}

// parsePrefix() fails with `complaint` and the text.
Prefix parsePrefix(const std::string& text, const std::string& complaint) {
  const auto prefix = Prefix::parse(text);
  if (!prefix) throw CniError::internal(complaint + ", got: '" + text + "'");
  return *prefix;
}

// readArgs() reads CNI_ARGS: IP=PREFIX,... and GATEWAY=ADDRESS,.... Each gateway goes to the addresses of its
// subnet, but only to those named beside it: a configured address comes with its own.
std::vector<IPConfig> readArgs(const std::string& text) {
  const CniArgs args(text, {"IP", "GATEWAY"});
  std::vector<IPConfig> ips;
  if (const auto list = args.get("IP"); list && !list->empty()) {
    for (const std::string& item : splitAtCommas(*list)) {
      ips.push_back(
          {.interface = std::nullopt,
           .address = parsePrefix(trimmed(item), "the 'ip' field is expected to be in CIDR notation"),
           .gateway = std::nullopt});
    }
  }
  if (const auto list = args.get("GATEWAY"); list && !list->empty()) {
    for (const std::string& item : splitAtCommas(*list)) {
      const auto gateway = IP::parse(trimmed(item));
      if (!gateway) throw CniError::internal("invalid gateway address: " + item);
      for (IPConfig& ip : ips) {
        if (ip.address.contains(*gateway)) ip.gateway = gateway;
      }
    }
  }
  return ips;
}

// readRequests() reads a capability's or the args' list of addresses.
std::vector<IPConfig> readRequests(const std::vector<std::string>& texts) {
  std::vector<IPConfig> ips(texts.size());
  std::ranges::transform(texts, ips.begin(), [](const std::string& text) {
    return IPConfig{.interface = std::nullopt,
                    .address = parsePrefix(text, "an entry in the 'ips' field is NOT in CIDR notation"),
                    .gateway = std::nullopt};
  });
  return ips;
}

// Configured is an element of "addresses" whose address is yet to be parsed: the reference looks at it only
// when nothing overrides it.
struct Configured {
  std::string address;
  std::optional<IP> gateway;
};

std::vector<Configured> readConfigured(const Fields& ipam) {
  std::vector<Configured> list;
  for (const Json* element : ipam.list("addresses")) {
    const Fields entry(*element, "IPAMConfig", "ipam.addresses");
    list.push_back({.address = entry.string("address"), .gateway = entry.ip("gateway")});
  }
  return list;
}

// chooseAddresses() applies the order of precedence: the capability over the args over configuration and
// CNI_ARGS, which add up.
std::vector<IPConfig> chooseAddresses(const Call& call, const Fields& top, const Fields& ipam) {
  const std::vector<Configured> configured = readConfigured(ipam);
  const std::vector<std::string> capability = top.object("runtimeConfig").strings("ips");
  const std::vector<std::string> args = top.object("args").object("cni").strings("ips");
  const std::vector<IPConfig> named = readArgs(call.env.args);
  std::vector<IPConfig> byArgs = readRequests(args);
  if (!capability.empty()) return readRequests(capability);
  if (!args.empty()) return byArgs;

  std::vector<IPConfig> ips(configured.size());
  std::ranges::transform(configured, ips.begin(), [](const Configured& entry) {
    return IPConfig{
        .interface = std::nullopt,
        .address = parsePrefix(entry.address, "the 'address' field is expected to be in CIDR notation"),
        .gateway = entry.gateway};
  });
  ips.insert(ips.end(), named.begin(), named.end());
  return ips;
}

// resolve() is the whole plugin: what the configuration says, as a result.
Result resolve(const Call& call) {
  const Fields top(call.conf, "Net");
  const Json* section = top.find("ipam");
  if (section == nullptr) throw CniError::internal("IPAM config missing 'ipam' key");
  const Fields ipam(*section, "IPAMConfig", "ipam");

  Result result;
  for (const Json* route : ipam.list("routes")) {
    if (!route->is_null()) result.routes.push_back(RouteConfig::fromJson(*route));
  }
  if (const Json* dns = ipam.find("dns")) result.dns = DNS::fromJson(*dns);
  result.ips = chooseAddresses(call, top, ipam);

  const auto v4 = std::ranges::count_if(result.ips, [](const IPConfig& ip) { return ip.address.ip.isV4(); });
  const std::string version = top.string("cniVersion");
  if ((v4 > 1 || std::ssize(result.ips) - v4 > 1) && !atLeast(version, {0, 3, 0})) {
    throw CniError::internal("CNI version " + version + " does not support more than 1 address per family");
  }
  return result;
}

class Static final : public Plugin {
 public:
  std::string_view type() const override { return "static"; }

  Result add(const Call& call) const override { return resolve(call); }

  void del(const Call&) const override {}

  void check(const Call& call) const override {
    const Result wanted = resolve(call);
    const auto actual = call.prevResult();
    if (!actual) throw CniError::internal("Required prevResult missing");
    for (const IPConfig& ip : wanted.ips) {
      const auto same = std::ranges::find_if(
          actual->ips, [&](const IPConfig& candidate) { return candidate.address.ip == ip.address.ip; });
      if (same != actual->ips.end() && (!ip.gateway || ip.gateway == same->gateway)) continue;
      throw CniError::internal(
          "static: Failed to match addr " + ip.address.ip.str() + " on interface " + call.env.ifname,
          same == actual->ips.end() ? "prevResult does not have it"
                                    : "prevResult has it with another gateway");
    }
  }

  Explanation explain(const Call& call) const override {
    Explanation explanation{.result = resolve(call), .lines = {}};
    for (const IPConfig& ip : explanation.result.ips) {
      explanation.lines.push_back("# use " + ip.address.str() + " as configured (static)");
    }
    return explanation;
  }
};

}  // namespace

const Plugin& staticPlugin() {
  static const Static plugin;
  return plugin;
}

}  // namespace fairlead::plugin
