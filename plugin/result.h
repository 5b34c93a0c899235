// What an ADD results in, for every version of the specification.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/ip.h"
#include "plugin/json.h"

namespace fairlead::plugin {

// Interface is one entry of a result's "interfaces".
struct Interface {
  std::string name;
  std::string mac;
  int mtu = 0;          // 1.1.0
  std::string sandbox;  // netns path; empty in the host
  std::string socketPath;
  std::string pciID;
};

struct IPConfig {
  std::optional<int> interface;  // index into interfaces
  netns::Prefix address;
  std::optional<netns::IP> gateway;
};

struct RouteConfig {
  netns::Prefix dst;
  std::optional<netns::IP> gw;
  int mtu = 0;
  int advmss = 0;
  int priority = 0;
  std::optional<int> table;
  std::optional<int> scope;

  // fromJson() reads {"dst", "gw", ...}; throws JsonError.
  static RouteConfig fromJson(const Json& value);
  friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

struct DNS {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;

  static DNS fromJson(const Json& value);
  bool empty() const;
};

// Result is always in the newest form in memory; toJson() and print() convert down to the version that was
// asked for.
struct Result {
  std::vector<Interface> interfaces;
  std::vector<IPConfig> ips;
  std::vector<RouteConfig> routes;
  DNS dns;

  // fromJson() reads a result of any version and converts it up. `version` is the version to assume when the
  // document has none. Throws CniError: "unsupported CNI result version ...".
  static Result fromJson(const Json& value, std::string_view version);
  // fromPrevResult() applies the rules for a configuration's "prevResult": its version must be of the same
  // family as the configuration's. Throws CniError "could not parse prevResult: ...".
  static Result fromPrevResult(const Json& value, std::string_view configVersion);

  // toJson() throws CniError "cannot convert: no valid IP addresses" where the old form needs one.
  Json toJson(std::string_view version) const;
  // print() is toJson() with the reference plugins' indentation and order of keys.
  std::string print(std::string_view version) const;
};

}  // namespace fairlead::plugin
