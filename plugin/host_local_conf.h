// The configuration of the IPAM plugin host-local.
#pragma once

#include <string>
#include <vector>

#include "netns/ip.h"
#include "plugin/call.h"
#include "plugin/ip_range.h"
#include "plugin/result.h"

namespace fairlead::plugin {

// HostLocalConf is a validated configuration.
struct HostLocalConf {
  std::string directory;             // of the network's reservations
  std::string resolvConf;            // the resolv.conf to take the result's dns from; empty: none
  std::vector<RangeSet> sets;        // an ADD takes one address from each
  std::vector<netns::IP> requested;  // addresses that were asked for, each once
  std::vector<RouteConfig> routes;

  // read() throws CniError and JsonError with the reference's texts; the first fault counts, in the
  // reference's order.
  static HostLocalConf read(const Call& call);
};

}  // namespace fairlead::plugin
