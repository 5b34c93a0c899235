#include "plugin/host_local_conf.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "plugin/error.h"
#include "plugin/json.h"
#include "plugin/text.h"
#include "plugin/version.h"

namespace fairlead::plugin {
namespace {

using netns::IP;

constexpr std::string_view kDefaultDataDir = "/var/lib/cni/networks";

// cleanPath() resolves ".", ".." and doubled slashes by the text alone, as the reference does: both must end
// up in the same directory when there are symbolic links on the way, too.
std::string cleanPath(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") continue;
    const bool up = part == "..";
    if (up && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!up || !rooted) {
      parts.push_back(part);
    }
  }
  return (rooted ? "/" : "") + join(parts, "/");
}

// parseRequest() reads an address that may have a prefix length, which does not matter.
std::optional<IP> parseRequest(const std::string& text) {
  if (text.find('/') == std::string::npos) return IP::parse(text);
  const auto prefix = netns::Prefix::parse(text);
  return prefix ? std::optional(prefix->ip) : std::nullopt;
}

IP requireRequest(const std::string& text) {
  // The reference takes "" for an address without a family.
  if (text.empty()) throw CniError::internal("cannot understand ip: IP <nil> not v4 nor v6");
  const auto ip = parseRequest(text);
  if (!ip) throw CniError::internal("invalid IP address " + text);
  return *ip;
}

std::optional<IP> readArgs(const std::string& args) {
  const auto text = CniArgs(args, {"IP"}).get("IP");
  if (!text || text->empty()) return std::nullopt;
  auto ip = parseRequest(*text);
  if (ip) return ip;
  throw CniError::internal("ARGS: error parsing value of pair " + quoted("IP=" + *text) +
                           ": invalid IP address " + *text);
}

// readRequests() adds up what was asked for in three places.
std::vector<IP> readRequests(const Call& call, const Fields& conf) {
  std::vector<IP> requested;
  const auto want = [&](const IP& ip) {
    if (std::ranges::find(requested, ip) == requested.end()) requested.push_back(ip);
  };
  if (const auto ip = readArgs(call.env.args)) want(*ip);
  for (const std::string& text : conf.object("args").object("cni").strings("ips")) want(requireRequest(text));
  for (const std::string& text : conf.object("runtimeConfig").strings("ips")) want(requireRequest(text));
  return requested;
}

using SetSpec = std::vector<RangeSpec>;

void readSets(const Fields& fields, std::string_view key, const std::string& path,
              std::vector<SetSpec>& sets) {
  for (const Json* list : fields.list(key)) {
    if (!list->is_array() && !list->is_null()) {
      throw JsonError(std::string("json: cannot unmarshal ") + list->type_name() +
                      " into Go struct field IPAMConfig." + path + " of type allocator.RangeSet");
    }
    SetSpec& set = sets.emplace_back();
    for (const Json& range : *list) set.push_back(RangeSpec::read(Fields(range, "IPAMConfig", path)));
  }
}

std::vector<SetSpec> readAllSets(const Fields& conf, const Fields& ipam) {
  std::vector<SetSpec> sets;
  readSets(conf.object("runtimeConfig"), "ipRanges", "runtimeConfig.ipRanges", sets);
  if (const RangeSpec single = RangeSpec::read(ipam); single.subnet) sets.push_back({single});
  readSets(ipam, "ranges", "ipam.ranges", sets);
  return sets;
}

RangeSet makeSet(const SetSpec& spec, size_t index) {
  try {
    return RangeSet(spec);
  } catch (const CniError& error) {
    throw CniError::internal("invalid range set " + std::to_string(index) + ": " + error.msg());
  }
}

std::vector<RangeSet> validated(const std::vector<SetSpec>& specs, const Fields& conf) {
  if (specs.empty()) throw CniError::internal("no IP ranges specified");
  std::vector<RangeSet> sets;
  sets.reserve(specs.size());
  for (const SetSpec& spec : specs) sets.push_back(makeSet(spec, sets.size()));

  const auto v4 = std::ranges::count_if(sets, &RangeSet::isV4);
  const std::string version = conf.string("cniVersion");
  if ((v4 > 1 || std::ssize(sets) - v4 > 1) && !atLeast(version, {0, 3, 0})) {
    throw CniError::internal("CNI version " + version + " does not support more than 1 address per family");
  }
  for (size_t i = 0; i < sets.size(); ++i) {
    for (size_t j = i + 1; j < sets.size(); ++j) {
      if (!sets[i].overlaps(sets[j])) continue;
      throw CniError::internal("range set " + std::to_string(i) + " overlaps with " + std::to_string(j));
    }
  }
  return sets;
}

}  // namespace

HostLocalConf HostLocalConf::read(const Call& call) {
  const Fields top(call.conf, "Net");
  const Json* section = top.find("ipam");
  if (section == nullptr) throw CniError::internal("IPAM config missing 'ipam' key");
  const Fields ipam(*section, "IPAMConfig", "ipam");

  HostLocalConf conf;
  const std::string dataDir = ipam.string("dataDir");
  // JSON may hold a NUL: the kernel would see less of the path than we do, and no directory of this network's
  // own.
  if (dataDir.find('\0') != std::string::npos) throw CniError::internal("invalid dataDir " + quoted(dataDir));
  conf.directory = cleanPath((dataDir.empty() ? std::string(kDefaultDataDir) : dataDir) + "/" + call.name);
  conf.resolvConf = ipam.string("resolvConf");
  for (const Json* route : ipam.list("routes")) {
    if (!route->is_null()) conf.routes.push_back(RouteConfig::fromJson(*route));
  }
  const std::vector<SetSpec> specs = readAllSets(top, ipam);
  conf.requested = readRequests(call, top);
  conf.sets = validated(specs, top);
  return conf;
}

}  // namespace fairlead::plugin
