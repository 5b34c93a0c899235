// The configuration of the bridge plugin.
#pragma once

#include <optional>
#include <string>

#include "netns/ip.h"
#include "plugin/call.h"
#include "plugin/result.h"

namespace fairlead::plugin {

// BridgeConf is what `type: bridge` understands, checked. Keys and defaults are those of the reference
// plugin.
struct BridgeConf {
  std::string bridge = "cni0";
  bool isGateway = false;         // the bridge has the gateway's address
  bool isDefaultGateway = false;  // implies isGateway; adds a default route
  bool forceAddress = false;      // replaces another address on the bridge
  bool ipMasq = false;
  bool hairpinMode = false;
  bool promiscMode = false;
  bool enableDad = false;          // IPv6 duplicate address detection in the container, waited for
  bool containerInterface = true;  // bring the container's end up ("disableContainerInterface")
  int mtu = 0;                     // 0: the kernel's default
  std::optional<netns::Mac> mac;   // of the container's end
  std::string ipam;                // type of the IPAM plugin; empty: layer 2 only
  DNS dns;

  // parse() reads and checks the configuration of a call. Throws CniError: 999 with the reference's texts, 2
  // for a key that this plugin does not have.
  static BridgeConf parse(const Call& call);
};

}  // namespace fairlead::plugin
