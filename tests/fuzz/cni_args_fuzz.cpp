// CNI_ARGS: as text, and as what the plugins take from it.
#include "plugin/bridge_conf.h"
#include "plugin/error.h"
#include "plugin/host_local_conf.h"
#include "plugin/registry.h"
#include "plugin/skel.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  using namespace plugin;
  std::string_view rest = fuzz::textOf(data, size);
  const std::string text(fuzz::take(rest, '\0'));  // an environment variable ends at a NUL

  const auto read = [&] {
    const CniArgs args(text, {"IP", "MAC", "GATEWAY"});
    for (const char* key : {"IP", "MAC", "GATEWAY"}) {
      const auto value = args.get(key);
      const auto pair = key + ("=" + value.value_or(""));
      fuzz::hold(!value || text.find(pair) != std::string::npos, "a value is what was said");
    }
  };
  fuzz::accepted<CniError>(read);

  static const Call kCall =
      makeCall(fuzz::environment("ADD"), R"({"name": "net", "cniVersion": "1.1.0", "ipam":
                                                       {"ranges": [[{"subnet": "10.0.0.0/8"}]]}})");
  Call call = kCall;
  call.env.args = text;
  fuzz::accepted<CniError>([&] { BridgeConf::parse(call); });
  fuzz::accepted<CniError>([&] { HostLocalConf::read(call); });
  fuzz::accepted<CniError>([&] { staticPlugin().explain(call); });
  return 0;
}
