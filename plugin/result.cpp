#include "plugin/result.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "plugin/error.h"
#include "plugin/text.h"
#include "plugin/version.h"

namespace fairlead::plugin {
namespace {

// Family is a run of versions whose results have the same shape. `names` are the versions that a result of
// the family may carry, in the order in which error texts list them.
struct Family {
  std::array<std::string_view, 3> list;
  size_t size;
  std::span<const std::string_view> names() const { return {list.data(), size}; }
  bool has(std::string_view version) const { return std::ranges::find(names(), version) != names().end(); }
};

constexpr Family kFamilies[] = {
    {{"", "0.1.0", "0.2.0"}, 3}, {{"0.3.0", "0.3.1", "0.4.0"}, 3}, {{"1.0.0", "1.1.0"}, 2}};
constexpr const Family& kOldest = kFamilies[0];

const Family& familyOf(std::string_view version) {
  for (const Family& family : kFamilies)
    if (family.has(version)) return family;
  throw CniError::internal("unsupported CNI result version " + quoted(version));
}

// ---- reading -----------------------------------------------------------------------------------

// A prefix that is left out prints as <nil> in Go, which its reader then refuses.
netns::Prefix readPrefix(const Fields& fields, std::string_view key) {
  const auto prefix = fields.prefix(key);
  if (!prefix) throw JsonError("invalid CIDR address: <nil>");
  return *prefix;
}

std::vector<RouteConfig> readRoutes(const Fields& fields) {
  std::vector<RouteConfig> routes;
  for (const Json* route : fields.list("routes")) routes.push_back(RouteConfig::fromJson(*route));
  return routes;
}

Interface readInterface(const Fields& fields) {
  return {.name = fields.string("name"),
          .mac = fields.string("mac"),
          .mtu = fields.maybeInt32("mtu").value_or(0),
          .sandbox = fields.string("sandbox"),
          .socketPath = fields.string("socketPath"),
          .pciID = fields.string("pciID")};
}

IPConfig readIP(const Fields& fields) {
  return {.interface = fields.maybeInt32("interface"),
          .address = readPrefix(fields, "address"),
          .gateway = fields.ip("gateway")};
}

// readOld() reads the part of a 0.1.0 or 0.2.0 result that is about one family of addresses.
void readOld(const Fields& fields, Result& result) {
  if (fields.empty()) return;
  result.ips.push_back(
      {.interface = {}, .address = readPrefix(fields, "ip"), .gateway = fields.ip("gateway")});
  std::ranges::move(readRoutes(fields), std::back_inserter(result.routes));
}

Result read(const Json& value, const Family& family) {
  const Fields fields(value, "Result");
  Result result;
  if (&family == &kOldest) {
    readOld(fields.object("ip4"), result);
    readOld(fields.object("ip6"), result);
  } else {
    for (const Json* entry : fields.list("interfaces"))
      result.interfaces.push_back(readInterface(Fields(*entry, "Interface")));
    for (const Json* entry : fields.list("ips")) result.ips.push_back(readIP(Fields(*entry, "IPConfig")));
    result.routes = readRoutes(fields);
  }
  if (const Json* dns = fields.find("dns")) result.dns = DNS::fromJson(*dns);
  return result;
}

// ---- writing: everything in the order of Go's structs, what is empty left out -------------------

void put(Json& object, const char* key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}
void put(Json& object, const char* key, int number) {
  if (number != 0) object[key] = number;
}
void put(Json& object, const char* key, const std::optional<int>& number) {
  if (number) object[key] = *number;
}
void put(Json& object, const char* key, const std::optional<netns::IP>& ip) {
  if (ip) object[key] = ip->str();
}
void put(Json& object, const char* key, const std::vector<std::string>& list) {
  if (!list.empty()) object[key] = list;
}
void put(Json& object, const char* key, Json::array_t list) {
  if (!list.empty()) object[key] = std::move(list);
}

Json write(const DNS& dns) {
  Json object = Json::object();
  put(object, "nameservers", dns.nameservers);
  put(object, "domain", dns.domain);
  put(object, "search", dns.search);
  put(object, "options", dns.options);
  return object;
}

Json write(const Interface& entry, bool modern) {
  Json object = {{"name", entry.name}};
  put(object, "mac", entry.mac);
  if (modern) put(object, "mtu", entry.mtu);
  put(object, "sandbox", entry.sandbox);
  if (!modern) return object;
  put(object, "socketPath", entry.socketPath);
  put(object, "pciID", entry.pciID);
  return object;
}

Json write(const IPConfig& entry, bool modern) {
  Json object = Json::object();
  if (!modern) object["version"] = entry.address.ip.isV4() ? "4" : "6";
  put(object, "interface", entry.interface);
  object["address"] = entry.address.str();
  put(object, "gateway", entry.gateway);
  return object;
}

// All that 0.1.0 and 0.2.0 have of a route.
Json writeOld(const RouteConfig& route) {
  Json object = {{"dst", route.dst.str()}};
  put(object, "gw", route.gw);
  return object;
}

Json write(const RouteConfig& route) {
  Json object = writeOld(route);
  put(object, "mtu", route.mtu);
  put(object, "advmss", route.advmss);
  put(object, "priority", route.priority);
  put(object, "table", route.table);
  put(object, "scope", route.scope);
  return object;
}

// writeOld() is "ip4" or "ip6" of a 0.1.0 or 0.2.0 result: the first address of the family, and its routes.
void writeOld(const Result& result, bool v4, const char* key, Json& document) {
  const auto entry =
      std::ranges::find(result.ips, v4, [](const IPConfig& ip) { return ip.address.ip.isV4(); });
  if (entry == result.ips.end()) return;
  Json object = {{"ip", entry->address.str()}};
  put(object, "gateway", entry->gateway);
  Json::array_t routes;
  for (const RouteConfig& route : result.routes)
    if (route.dst.ip.isV4() == v4) routes.push_back(writeOld(route));
  put(object, "routes", std::move(routes));
  document[key] = std::move(object);
}

// sortKeys() brings the members of all objects into alphabetical order: results of 1.0.0 and later pass
// through a Go map.
void sortKeys(Json& value) {
  for (Json& child : value)
    if (child.is_structured()) sortKeys(child);
  if (!value.is_object()) return;
  std::vector<std::pair<std::string, Json>> members;
  for (auto& [key, child] : value.get_ref<Json::object_t&>()) members.emplace_back(key, std::move(child));
  std::ranges::sort(members, {}, &std::pair<std::string, Json>::first);
  value = Json::object();
  for (auto& [key, child] : members)
    value.get_ref<Json::object_t&>().emplace_back(std::move(key), std::move(child));
}

}  // namespace

RouteConfig RouteConfig::fromJson(const Json& value) {
  const Fields fields(value, "Route");
  return {.dst = readPrefix(fields, "dst"),
          .gw = fields.ip("gw"),
          .mtu = fields.maybeInt32("mtu").value_or(0),
          .advmss = fields.maybeInt32("advmss").value_or(0),
          .priority = fields.maybeInt32("priority").value_or(0),
          .table = fields.maybeInt32("table"),
          .scope = fields.maybeInt32("scope")};
}

DNS DNS::fromJson(const Json& value) {
  const Fields fields(value, "DNS");
  return {.nameservers = fields.strings("nameservers"),
          .domain = fields.string("domain"),
          .search = fields.strings("search"),
          .options = fields.strings("options")};
}

bool DNS::empty() const { return nameservers.empty() && domain.empty() && search.empty() && options.empty(); }

Result Result::fromJson(const Json& value, std::string_view version) {
  const Json* own = Fields(value, "Result").find("cniVersion");
  const bool named = own != nullptr && own->is_string() && !own->get_ref<const std::string&>().empty();
  return read(value, familyOf(named ? own->get_ref<const std::string&>() : version));
}

Result Result::fromPrevResult(const Json& value, std::string_view configVersion) {
  try {
    const Family& family = familyOf(configVersion);
    const std::string own = Fields(value, "Result").string("cniVersion", configVersion);
    if (!family.has(own))
      throw JsonError("result type supports [" + join(family.names(), " ") +
                      "] but unmarshalled CNIVersion is " + quoted(own));
    return read(value, family);
  } catch (const std::exception& error) {
    throw CniError::internal(std::string("could not parse prevResult: ") + error.what());
  }
}

Json Result::toJson(std::string_view version) const {
  if (version.empty()) version = kAllVersions.front();
  if (std::ranges::find(kAllVersions, version) == kAllVersions.end())
    throw CniError::internal("no converter for CNI result version " + std::string(kNewestVersion) + " to " +
                             std::string(version));
  const bool modern = atLeast(version, {1, 0, 0});
  Json document = {{"cniVersion", version}};
  if (!atLeast(version, {0, 3, 0})) {
    if (ips.empty()) throw CniError::internal("cannot convert: no valid IP addresses");
    writeOld(*this, true, "ip4", document);
    writeOld(*this, false, "ip6", document);
  } else {
    Json::array_t interfaceList, ipList, routeList;
    for (const Interface& entry : interfaces) interfaceList.push_back(write(entry, modern));
    for (const IPConfig& entry : ips) ipList.push_back(write(entry, modern));
    for (const RouteConfig& route : routes) routeList.push_back(write(route));
    put(document, "interfaces", std::move(interfaceList));
    put(document, "ips", std::move(ipList));
    put(document, "routes", std::move(routeList));
  }
  if (!modern || !dns.empty()) document["dns"] = write(dns);
  if (modern) sortKeys(document);
  return document;
}

std::string Result::print(std::string_view version) const { return dumpIndented(toJson(version)); }

}  // namespace fairlead::plugin
