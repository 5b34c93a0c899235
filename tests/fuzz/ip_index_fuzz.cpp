// The index of host-local's directory: whatever it says, an ADD, a CHECK and a DEL go by the files.
//
// An input is the index's file. It is made to look current: who wrote it knew the directory's modification
// time.
#include <sys/stat.h>

#include <cstring>

#include "plugin/error.h"
#include "plugin/ip_index.h"
#include "plugin/ip_store.h"
#include "plugin/registry.h"
#include "tests/fuzz/directory.h"

namespace fairlead {
namespace {

using namespace plugin;
using fuzz::hold;

// plant() writes the index, with the times that plugin/ip_index.cpp compares in its second and third eight
// bytes.
void plant(const std::string& run, const std::string& network, std::string index) {
  struct stat status {};
  hold(::stat(network.c_str(), &status) == 0, "there is a directory");
  const int64_t times[] = {status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  if (index.size() >= sizeof(uint64_t) + sizeof times)
    std::memcpy(index.data() + sizeof(uint64_t), times, sizeof times);
  fuzz::refill(run,
               {{".ipam-" + std::to_string(status.st_dev) + "-" + std::to_string(status.st_ino), index}});
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  static const fuzz::Directory directory;
  static const Call call = fuzz::hostLocalCall(directory.path, R"([[{"subnet": "10.0.0.0/28"}]])");
  static const fuzz::Files kBefore = {
      {"lock", ""}, {"10.0.0.2", "other\r\neth0"}, {"10.0.0.3", "abc\r\neth1"}, {"10.0.0.4", ""}};
  const std::string network = directory.path + "/net";
  fuzz::refill(network, kBefore);
  plant(directory.run(), network, std::string(fuzz::textOf(data, size)));

  const Plugin& plugin = hostLocalPlugin();
  const Result result = plugin.add(call);
  const std::string address = result.ips.at(0).address.ip.str();
  hold(address != "10.0.0.2" && address != "10.0.0.3", "no address is given out twice");
  plugin.check(call);
  plugin.del(call);
  fuzz::Files after = fuzz::filesIn(network);
  for (const char* name : {"10.0.0.2", "10.0.0.3"})
    hold(after[name] == kBefore.find(name)->second, "what others hold stays");
  for (const auto& [name, content] : after)
    hold(IPOwner::parse(content) != IPOwner{"abc", "eth0"}, "DEL leaves nothing");
  return 0;
}
