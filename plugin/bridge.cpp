// bridge: plugs a container into a bridge of the host by a veth pair.
#include <algorithm>

#include "plugin/attach.h"
#include "plugin/bridge_conf.h"
#include "plugin/error.h"
#include "plugin/foreign_masquerade.h"
#include "plugin/masquerade.h"
#include "plugin/names.h"
#include "plugin/registry.h"
#include "plugin/steps.h"

namespace fairlead::plugin {
namespace {

using netns::IP;
using netns::Mac;
using netns::Prefix;

constexpr int kContainerInterface = 2;  // its place in the result's interfaces

// Wiring is all that a plan depends on.
struct Wiring {
  Attachment attachment;
  BridgeConf conf;
  std::string netnsPath;
  std::string hostName;
  Mac hostMac;
  Mac mac;
  std::optional<Mac> bridgeMac;  // CHECK only
  Result result;                 // addresses with their gateways, routes
};

Wiring wiringOf(const Call& call, const BridgeConf& conf) {
  const Attachment attachment = call.attachment();
  return {.attachment = attachment,
          .conf = conf,
          .netnsPath = call.env.netns,
          .hostName = names::hostVeth(attachment),
          .hostMac = names::mac(attachment, "host", names::bootId()),
          .mac = conf.mac ? *conf.mac : names::mac(attachment, "container", names::bootId()),
          .bridgeMac = std::nullopt,
          .result = {}};
}

// addGateways() completes what IPAM returned: the container's interface, gateways, default routes.
void addGateways(Result& result, const BridgeConf& conf) {
  for (IPConfig& ip : result.ips) {
    ip.interface = kContainerInterface;
    if (!ip.gateway && conf.isGateway) ip.gateway = ip.address.masked().ip.next();
    if (!conf.isDefaultGateway || !ip.gateway) continue;
    const bool v4 = ip.address.ip.isV4();
    const bool present = std::ranges::any_of(result.routes, [&](const RouteConfig& route) {
      return route.dst.isDefault() && route.dst.ip.isV4() == v4;
    });
    if (present) continue;
    RouteConfig route;
    route.dst = *Prefix::parse(v4 ? "0.0.0.0/0" : "::/0");
    route.gw = ip.gateway;
    result.routes.push_back(route);
  }
}

// routesOf() turns a result's routes into the kernel's: a route without a gateway goes through the first of
// its family.
std::vector<netns::Route> routesOf(const Result& result) {
  std::vector<netns::Route> routes;
  std::vector<RouteConfig> seen;
  for (const RouteConfig& wanted : result.routes) {
    if (std::ranges::find(seen, wanted) != seen.end()) continue;
    seen.push_back(wanted);
    netns::Route route;
    route.dst = wanted.dst;
    route.gateway = wanted.gw;
    for (const IPConfig& ip : result.ips) {
      if (!route.gateway && ip.address.ip.isV4() == wanted.dst.ip.isV4()) route.gateway = ip.gateway;
    }
    if (wanted.priority != 0) route.priority = static_cast<uint32_t>(wanted.priority);
    if (wanted.table) route.table = static_cast<uint32_t>(*wanted.table);
    if (wanted.scope) route.scope = static_cast<uint8_t>(*wanted.scope);
    route.mtu = wanted.mtu;
    route.advmss = wanted.advmss;
    routes.push_back(std::move(route));
  }
  return routes;
}

bool hasFamily(const Result& result, bool v4) {
  return std::ranges::any_of(result.ips, [&](const IPConfig& ip) { return ip.address.ip.isV4() == v4; });
}

std::vector<netns::sysctl::Setting> settingsOf(const Wiring& wiring) {
  const std::string& ifname = wiring.attachment.ifname;
  std::vector<netns::sysctl::Setting> settings;
  if (!hasFamily(wiring.result, false)) return settings;
  const std::string conf = "net/ipv6/conf/";
  const std::string dad = wiring.conf.enableDad ? "1" : "0";
  // Runtimes start containers with IPv6 switched off; an address that is asked for switches it on.
  settings.push_back({.key = conf + "lo/disable_ipv6", .value = "0"});
  settings.push_back({.key = conf + ifname + "/disable_ipv6", .value = "0"});
  settings.push_back({.key = conf + ifname + "/keep_addr_on_down", .value = "1"});
  settings.push_back({.key = conf + ifname + "/accept_dad", .value = dad, .optional = true});
  if (wiring.conf.enableDad)
    settings.push_back({.key = conf + ifname + "/enhanced_dad", .value = "1", .optional = true});
  return settings;
}

void planHost(Plan& plan, const Wiring& wiring) {
  const BridgeConf& conf = wiring.conf;
  plan.add(ensureBridge(
      {.name = conf.bridge, .mtu = conf.mtu, .promisc = conf.promiscMode, .mac = wiring.bridgeMac}));
  if (conf.isGateway) {
    for (const IPConfig& ip : wiring.result.ips) {
      if (!ip.gateway) continue;
      plan.add(ensureGateway(
          {.bridge = conf.bridge, .address = {*ip.gateway, ip.address.length}, .force = conf.forceAddress}));
    }
  }
}

// planOf() is the plugin: what an attachment consists of. A DEL may know no addresses.
Plan planOf(const Wiring& wiring, bool del = false) {
  const BridgeConf& conf = wiring.conf;
  std::vector<Prefix> prefixes;
  std::vector<IP> addresses;
  for (const IPConfig& ip : wiring.result.ips) {
    prefixes.push_back(ip.address);
    addresses.push_back(ip.address.ip);
  }
  Plan plan;
  planHost(plan, wiring);
  // A DEL looks in any case: the configuration may have changed since.
  if ((conf.ipMasq && !prefixes.empty()) || del) plan.add(masquerade(wiring.attachment, prefixes));
  // Duplicate address detection waits for a carrier.
  const bool dad = conf.enableDad && hasFamily(wiring.result, false);
  plan.add(addVethPair({.hostName = wiring.hostName,
                        .hostMac = wiring.hostMac,
                        .bridge = conf.bridge,
                        .hairpin = conf.hairpinMode,
                        .up = dad || !conf.containerInterface,
                        .mtu = conf.mtu,
                        .ifname = wiring.attachment.ifname,
                        .mac = wiring.mac,
                        .netnsPath = wiring.netnsPath}));
  if (!conf.containerInterface) return plan;
  plan.add(configureContainerLink({.ifname = wiring.attachment.ifname,
                                   .netnsPath = wiring.netnsPath,
                                   .addresses = prefixes,
                                   .routes = routesOf(wiring.result),
                                   .settings = settingsOf(wiring),
                                   .up = true,
                                   .dad = dad}));
  if (conf.isGateway && !prefixes.empty()) {
    plan.add(enableForwarding(hasFamily(wiring.result, true), hasFamily(wiring.result, false)));
  }
  plan.add(awaitPort({.hostName = wiring.hostName,
                      .ifname = wiring.attachment.ifname,
                      .netnsPath = wiring.netnsPath,
                      .mac = wiring.mac,
                      .addresses = addresses}));
  return plan;
}

// complete() is the result that is printed: the interfaces in front of what IPAM said.
Result complete(const Wiring& wiring, const std::string& bridgeMac) {
  Result result = wiring.result;
  Interface bridge;
  bridge.name = wiring.conf.bridge;
  bridge.mac = bridgeMac;
  Interface host;
  host.name = wiring.hostName;
  host.mac = wiring.hostMac.str();
  Interface container;
  container.name = wiring.attachment.ifname;
  container.mac = wiring.mac.str();
  container.sandbox = wiring.netnsPath;
  result.interfaces = {bridge, host, container};
  if (!wiring.conf.dns.empty()) result.dns = wiring.conf.dns;
  return result;
}

class Bridge : public Plugin {
 public:
  std::string_view type() const override { return "bridge"; }

  Result add(const Call& call) const override {
    Wiring wiring = wiringOf(call, BridgeConf::parse(call));
    const netns::NetNS ns = openContainer(call);
    const RecordStore store;
    Record record = Record::ofCall(call, ns);
    record.hostInterface = wiring.hostName;
    record.bridge = wiring.conf.bridge;
    auto pending = claim(store, record, ns, [this](const Call& old) { del(old); });
    Lease lease(call, wiring.conf.ipam);
    wiring.result = lease.take();
    addGateways(wiring.result, wiring.conf);
    // The oldest versions cannot express every result: find out before anything is done.
    if (!atLeast(call.version, {0, 3, 0})) static_cast<void>(wiring.result.toJson(call.version));
    World world(&ns, store.shareLock());
    planOf(wiring).apply(world);
    const netns::Link* bridge = world.find(wiring.conf.bridge);
    if (pending) pending->keep();
    lease.keep();
    return complete(wiring, bridge != nullptr ? bridge->mac.str() : "");
  }

  void delivered(const Call& call) const override { RecordStore().complete(call.attachment()); }

  void del(const Call& call) const override {
    Wiring wiring = wiringOf(call, BridgeConf::parse(call));
    std::vector<std::string> errors;
    std::optional<netns::NetNS> ns;
    collect(errors, [&] { ns = openContainerIfAny(call); });
    try {
      wiring.result = call.prevResult().value_or(Result{});
    } catch (const CniError&) {
      // A result that cannot be read tells no addresses; everything is found without.
    }
    const RecordStore store;
    const bool foreign = !isRecorded(store, wiring.attachment);  // the reference's, or its record was lost
    if (foreign && wiring.conf.ipMasq) collect(errors, [&] { forgetForeignMasquerade(wiring.attachment); });
    World world(ns ? &*ns : nullptr);
    for (std::string& error : planOf(wiring, true).undo(world)) errors.push_back(std::move(error));
    // The address last, and not after a failure: it must not be given to another while the link that has it
    // is still there. The runtime will try again.
    if (errors.empty() && !wiring.conf.ipam.empty())
      collect(errors, [&] { Delegate::find(wiring.conf.ipam, call.env.path).del(call); });
    if (errors.empty()) store.remove(wiring.attachment);
    throwIfAny(errors);
  }

  void check(const Call& call) const override {
    Wiring wiring = wiringOf(call, BridgeConf::parse(call));
    const netns::NetNS ns = openContainer(call);
    if (!wiring.conf.ipam.empty()) Delegate::find(wiring.conf.ipam, call.env.path).check(call);
    const std::optional<Result> previous = call.prevResult();
    if (!previous) throw CniError::internal("Required prevResult missing");
    wiring.result = *previous;
    expect(wiring, previous->interfaces);
    // Whose host end has another name was attached by the reference, which masquerades in ways of its own and
    // does not look at them here either.
    if (wiring.hostName != names::hostVeth(wiring.attachment)) wiring.conf.ipMasq = false;
    World world(&ns);
    throwIfDrifted(planOf(wiring).verify(world));
  }

  void gc(const Call& call) const override {
    const BridgeConf conf = BridgeConf::parse(call);
    const std::vector<Attachment> valid = call.validAttachments();
    const RecordStore store;
    std::vector<std::string> errors;
    std::vector<Record> records;
    collect(errors, [&] { records = store.list(call.name); });
    for (const Record& record : records) {
      if (record.type != type() || std::ranges::find(valid, record.attachment) != valid.end()) continue;
      if (record.state == Record::State::Adding) continue;
      collect(errors, [&] { del(record.call()); });
    }
    World world(nullptr, store.shareLock());
    collect(errors, [&] { collectLinks(world, call.name, valid); });
    collect(errors, [&] { collectMasquerade(world, call.name, valid); });
    if (valid.empty()) collect(errors, [&] { collectBridge(world, conf.bridge); });
    // As in del(): what could not be removed keeps its address.
    if (errors.empty() && !conf.ipam.empty())
      collect(errors, [&] { Delegate::find(conf.ipam, call.env.path).gc(call); });
    throwIfAny(errors);
  }

  void status(const Call& call) const override {
    const BridgeConf conf = BridgeConf::parse(call);
    if (!conf.ipam.empty()) Delegate::find(conf.ipam, call.env.path).status(call);
  }

  Explanation explain(const Call& call) const override {
    Wiring wiring = wiringOf(call, BridgeConf::parse(call));
    Explanation explanation;
    if (!wiring.conf.ipam.empty()) {
      explanation = Delegate::find(wiring.conf.ipam, call.env.path).explain(call);
      wiring.result = explanation.result;
      addGateways(wiring.result, wiring.conf);
    }
    for (std::string& line : planOf(wiring).explain()) explanation.lines.push_back(std::move(line));
    explanation.result = complete(wiring, "");
    return explanation;
  }

 private:
  template <class F>
  static void collect(std::vector<std::string>& errors, const F& f) {
    try {
      f();
    } catch (const std::exception& error) {
      errors.emplace_back(error.what());
    }
  }

  // isRecorded() is false, too, when that cannot be told: who then looks for foreign rules has lost time, and
  // no more.
  static bool isRecorded(const RecordStore& store, const Attachment& attachment) {
    try {
      return store.find(attachment).has_value();
    } catch (const netns::Error&) {
      return false;
    }
  }

  // collectLinks() removes host ends of this network that belong to no valid attachment and have no record,
  // of any network: the hash in a name is short.
  static void collectLinks(World& world, const std::string& network, const std::vector<Attachment>& valid) {
    const std::vector<Record> records = RecordStore().list();
    std::vector<std::string> keep;
    keep.reserve(valid.size() + records.size());
    for (const Attachment& attachment : valid) keep.push_back(names::hostVeth(attachment));
    for (const Record& record : records) keep.push_back(record.hostInterface);
    for (const netns::Link& link : netns::link::list(world.host())) {
      if (link.kind != "veth" || !link.name.starts_with(names::hostVethPrefix(network))) continue;
      if (std::ranges::find(keep, link.name) != keep.end()) continue;
      netns::link::remove(world.host(), {.name = link.name, .index = link.index}, world.straggler());
    }
  }

  // expect() takes names and addresses over from the result of the ADD, which a reference plugin may have
  // made.
  static void expect(Wiring& wiring, const std::vector<Interface>& interfaces) {
    bool bridgeNamed = false;
    bool containerNamed = false;
    const Interface* hostEnd = nullptr;
    for (const Interface& interface : interfaces) {
      const std::optional<Mac> mac = Mac::parse(interface.mac);
      // The container's first: its interface and the bridge may have the same name, each in its namespace.
      if (interface.name == wiring.attachment.ifname && !interface.sandbox.empty()) {
        if (interface.sandbox != wiring.netnsPath) {
          throw CniError::internal("Sandbox in prevResult " + interface.sandbox +
                                   " doesn't match configured netns: " + wiring.netnsPath);
        }
        containerNamed = true;
        if (mac) wiring.mac = *mac;
      } else if (interface.name == wiring.conf.bridge) {
        bridgeNamed = true;
        if (!interface.sandbox.empty()) {
          throw CniError::internal("Interface " + interface.name + " should not be in sandbox");
        }
        wiring.bridgeMac = mac;
      } else if (interface.sandbox.empty() && (hostEnd == nullptr || interface.name == wiring.hostName)) {
        // Plugins further down the list add links of their own to the host, as bandwidth does.
        hostEnd = &interface;
      }
    }
    if (!bridgeNamed)
      throw CniError::internal("Interface name missing ", "prevResult names no bridge " + wiring.conf.bridge);
    if (!containerNamed) {
      throw CniError::internal(
          "Interface " + wiring.attachment.ifname + " is expected to be in a sandbox",
          "prevResult names no interface " + wiring.attachment.ifname + " in " + wiring.netnsPath);
    }
    if (hostEnd == nullptr) return;
    wiring.hostName = hostEnd->name;
    if (const std::optional<Mac> mac = Mac::parse(hostEnd->mac)) wiring.hostMac = *mac;
  }
};

}  // namespace

const Plugin& bridgePlugin() {
  static const Bridge plugin;
  return plugin;
}

}  // namespace fairlead::plugin
