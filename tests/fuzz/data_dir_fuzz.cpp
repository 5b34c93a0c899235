// host-local's data directory, with whatever files: an ADD, a CHECK, a STATUS and a DEL.
//
// An input is a list of files, each a name and a content that end at a NUL. The directory is made anew for
// each, below TMPDIR or /dev/shm.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/ip_store.h"
#include "plugin/registry.h"
#include "plugin/skel.h"
#include "tests/fuzz/fuzz.h"

namespace fairlead {
namespace {

namespace fs = std::filesystem;
using namespace plugin;
using fuzz::hold;

using Files = std::map<std::string, std::string, std::less<>>;

// Directory is removed with the process. The index of the addresses goes into it, too.
struct Directory {
  Directory() {
    const char* base = std::getenv("TMPDIR");
    path = (base != nullptr ? base : "/dev/shm") + std::string("/fairlead-fuzz-XXXXXX");
    hold(::mkdtemp(path.data()) != nullptr, "there is room for a directory");
    ::setenv("FAIRLEAD_RUN_DIR", (path + "/run").c_str(), 1);
  }
  ~Directory() { fs::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string path;
};

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

Files filesIn(const std::string& directory) {
  Files files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::ifstream stream(entry.path(), std::ios::binary);
    files[entry.path().filename()] = {std::istreambuf_iterator<char>(stream), {}};
  }
  return files;
}

Call callOf(const std::string& dataDir) {
  const Environment environment{.command = "ADD",
                                .containerId = "abc",
                                .netns = "/nowhere",
                                .ifname = "eth0",
                                .args = {},
                                .path = "/nowhere",
                                .netnsOverride = {}};
  return makeCall(environment, R"({"name": "net", "cniVersion": "1.1.0", "ipam": {"ranges": [
      [{"subnet": "10.0.0.0/29"}], [{"subnet": "fd00::/125"}]], "dataDir": ")" +
                                   dataDir + "\"}}");
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  static const Directory directory;
  static const Call call = callOf(directory.path);
  const std::string network = directory.path + "/net";
  fs::remove_all(network);
  fs::create_directory(network);
  const Files before = filesOf(fuzz::textOf(data, size));
  for (const auto& [name, content] : before) std::ofstream(network + "/" + name, std::ios::binary) << content;

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
