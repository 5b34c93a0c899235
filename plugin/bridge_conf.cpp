#include "plugin/bridge_conf.h"

#include "plugin/error.h"
#include "plugin/json.h"

namespace fairlead::plugin {
namespace {

// What the reference has and this plugin has not must be refused, not passed over: a network that looks
// isolated and is not would be worse than none.
void refuseUnsupported(const Fields& fields) {
  const auto refuse = [](std::string_view key, const std::string& value) {
    throw CniError(Code::UnsupportedField, "unsupported field " + quoted(key) + ": " + value,
                   "the bridge plugin of this version does not have it; leave it out");
  };
  if (const int64_t vlan = fields.integer("vlan"); vlan != 0) refuse("vlan", std::to_string(vlan));
  if (fields.find("vlanTrunk") != nullptr) refuse("vlanTrunk", dumpCompact(*fields.find("vlanTrunk")));
  if (fields.boolean("macspoofchk")) refuse("macspoofchk", "true");
  if (fields.boolean("portIsolation")) refuse("portIsolation", "true");
}

void checkBridgeName(const std::string& name) {
  constexpr size_t kMaxName = 15;  // IFNAMSIZ less the NUL
  const auto bad = [&](const std::string& rule) {
    throw CniError::internal("invalid bridge name " + quoted(name) + ": " + rule);
  };
  if (name.empty()) bad("must not be empty");
  if (name.size() > kMaxName) bad("must be at most 15 characters long");
  if (name == "." || name == "..") bad("must not be . or ..");
  for (const unsigned char c : name) {
    if (c <= ' ' || c == '/' || c == ':' || c == 0x7f)
      bad("must not contain '/', ':', white space or control characters");
  }
}

// The MAC address is looked for in runtimeConfig, then args.cni, then CNI_ARGS.
std::optional<netns::Mac> macOf(const Call& call, const Fields& fields) {
  const CniArgs args(call.env.args, {"MAC"});
  std::string text = fields.object("runtimeConfig").string("mac");
  if (text.empty()) text = fields.object("args").object("cni").string("mac");
  if (text.empty()) text = args.get("MAC").value_or("");
  if (text.empty()) return std::nullopt;
  const std::optional<netns::Mac> mac = netns::Mac::parse(text);
  if (!mac) throw CniError::internal("failed to make veth pair: address " + text + ": invalid MAC address");
  if (mac->isZero() || (mac->bytes[0] & 1) != 0) {
    throw CniError::internal("failed to make veth pair: address " + text + ": not a unicast MAC address");
  }
  return mac;
}

int mtuOf(const Fields& fields) {
  // The kernel's bounds for a veth: ETH_MIN_MTU and ETH_MAX_MTU.
  constexpr int64_t kMin = 68;
  constexpr int64_t kMax = 65535;
  const int64_t mtu = fields.integer("mtu");
  if (mtu != 0 && (mtu < kMin || mtu > kMax)) {
    throw CniError::internal("invalid mtu " + std::to_string(mtu) + ": must be 0 or between 68 and 65535");
  }
  return static_cast<int>(mtu);
}

void checkMasqueradeBackend(const Fields& fields) {
  // Both of the reference's backends are served by nftables.
  const std::string backend = fields.string("ipMasqBackend");
  if (!backend.empty() && backend != "nftables" && backend != "iptables") {
    throw CniError::internal("unknown ipmasq backend " + quoted(backend));
  }
}

BridgeConf read(const Call& call, const Fields& fields) {
  BridgeConf conf;
  conf.bridge = fields.string("bridge", conf.bridge);
  conf.isDefaultGateway = fields.boolean("isDefaultGateway");
  conf.isGateway = fields.boolean("isGateway") || conf.isDefaultGateway;
  conf.forceAddress = fields.boolean("forceAddress");
  conf.ipMasq = fields.boolean("ipMasq");
  conf.hairpinMode = fields.boolean("hairpinMode");
  conf.promiscMode = fields.boolean("promiscMode");
  conf.enableDad = fields.boolean("enabledad");
  conf.containerInterface = !fields.boolean("disableContainerInterface");
  conf.mtu = mtuOf(fields);
  conf.ipam = fields.object("ipam").string("type");
  if (const Json* dns = fields.find("dns")) conf.dns = DNS::fromJson(*dns);
  checkMasqueradeBackend(fields);
  // An attachment that the reference made with them must still go away.
  if (call.env.command != "DEL" && call.env.command != "GC") refuseUnsupported(fields);
  conf.mac = macOf(call, fields);
  return conf;
}

}  // namespace

BridgeConf BridgeConf::parse(const Call& call) {
  BridgeConf conf;
  try {
    conf = read(call, Fields(call.conf, "NetConf"));
  } catch (const JsonError& error) {
    throw CniError::internal(std::string("failed to load netconf: ") + error.what());
  }
  checkBridgeName(conf.bridge);
  if (!conf.ipam.empty() && !conf.containerInterface) {
    throw CniError::internal("cannot use IPAM when DisableContainerInterface flag is set");
  }
  if (conf.hairpinMode && conf.promiscMode) {
    throw CniError::internal("cannot set hairpin mode and promiscuous mode at the same time");
  }
  return conf;
}

}  // namespace fairlead::plugin
