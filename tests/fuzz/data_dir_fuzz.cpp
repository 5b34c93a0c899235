// host-local's data directory, with whatever files: an ADD, a CHECK, a STATUS and a DEL.
//
// An input is a list of files, each a name and a content that end at a NUL. The directory is made anew for
// each, below TMPDIR or /dev/shm.
#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/ip_store.h"
#include "plugin/registry.h"
#include "tests/fuzz/directory.h"

namespace fairlead {
namespace {

using namespace plugin;
using fuzz::Files;
using fuzz::filesIn;
using fuzz::hold;

Files filesOf(std::string_view input) {
  Files files;
  while (!input.empty()) {
    const std::string name(fuzz::take(input, '\0'));
    const std::string_view content = fuzz::take(input, '\0');
    if (name.empty() || name.size() > 255 || name == "." || name == ".." ||
        name.find('/') != std::string::npos)
      continue;
    files[name] = content;
  }
  return files;
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  static const fuzz::Directory directory;
  static const Call call =
      fuzz::hostLocalCall(directory.path, R"([[{"subnet": "10.0.0.0/29"}], [{"subnet": "fd00::/125"}]])");
  const std::string network = directory.path + "/net";
  const Files before = filesOf(fuzz::textOf(data, size));
  fuzz::refill(network, before);

  const Plugin& plugin = hostLocalPlugin();
  fuzz::accepted<CniError>([&] { plugin.status(call); });
  hold(filesIn(network) == before, "STATUS only looks");
  Result result;
  const bool added = fuzz::accepted<CniError, netns::Error>([&] { result = plugin.add(call); });
  for (const IPConfig& ip : result.ips) {
    const auto holder = before.find(ip.address.ip.str());
    hold(holder == before.end() || holder->second.empty(), "no address is given out twice");
  }
  const bool found = fuzz::accepted<CniError>([&] { plugin.check(call); });
  hold(found || !added, "CHECK finds what ADD made");
  plugin.del(call);
  Files after = filesIn(network);
  for (const auto& [name, content] : after)
    hold(
        IPOwner::parse(content) != IPOwner{"abc", "eth0"} || !netns::IP::parse(name) || before.contains(name),
        "DEL leaves nothing");
  for (const auto& [name, content] : before)
    hold(!netns::IP::parse(name) || content.empty() || content.find("abc") != std::string::npos ||
             after[name] == content,
         "what others hold stays");
  return 0;
}
