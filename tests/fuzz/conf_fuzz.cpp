// The configuration: a network's file, and what a plugin reads on its standard input. It is read and checked
// for every plugin, and nothing is done with it.
#include "plugin/bridge_conf.h"
#include "plugin/error.h"
#include "plugin/host_local_conf.h"
#include "plugin/ip_allocator.h"
#include "plugin/network_list.h"
#include "plugin/registry.h"
#include "plugin/skel.h"
#include "tests/fuzz/fuzz.h"

namespace fairlead {
namespace {

using namespace plugin;
using fuzz::accepted;
using fuzz::hold;

void readBridge(const Call& call) {
  BridgeConf conf;
  if (!accepted<CniError>([&] { conf = BridgeConf::parse(call); })) return;
  hold(!conf.bridge.empty() && conf.bridge.size() <= 15, "a bridge's name fits the kernel");
  hold(conf.bridge.find('/') == std::string::npos, "a bridge's name is no path");
}

void readHostLocal(const Call& call) {
  accepted<CniError, JsonError>([&] {
    const HostLocalConf conf = HostLocalConf::read(call);
    hold(conf.directory.ends_with(call.name), "the directory is the network's own");
    const auto ips = IPAllocator(conf, {"abc", "eth0"}, nullptr, IPAllocator::Mode::Look).run();
    hold(ips.size() == conf.sets.size(), "one address of each set");
    for (size_t set = 0; set < ips.size(); ++set)
      hold(conf.sets[set].find(ips[set].address.ip) != nullptr, "the address is of its set");
  });
}

// readInput() is what every plugin does with its standard input.
void readInput(const std::string& input) {
  for (const char* command : {"ADD", "DEL", "GC"}) {
    Call call;
    if (!accepted<CniError>([&] { call = makeCall(fuzz::environment(command), input); })) return;
    hold(call.name.find_first_of(std::string_view("/\0", 2)) == std::string::npos, "a name is no path");
    hold(parseJson(dumpCompact(call.conf)) == call.conf, "what is printed is what was read");
    readBridge(call);
    readHostLocal(call);
    accepted<CniError, JsonError>([&] { staticPlugin().explain(call); });
    accepted<CniError>([&] { loopbackPlugin().explain(call); });
    accepted<CniError, JsonError>([&] { call.validAttachments(); });
  }
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const std::string text(fuzz::textOf(data, size));
  readInput(text);
  NetworkList list;
  if (!accepted<ConfigError>([&] { list = NetworkList::parse(text, "/nowhere/list"); })) return 0;
  hold(!list.plugins.empty(), "a list has a plugin");
  for (size_t i = 0; i < list.plugins.size(); ++i) readInput(list.input(i, nullptr, Json::object()));
  return 0;
}
