// A file of the cache that runtimes keep: what it says of an attachment, of its network and of its addresses.
#include "plugin/error.h"
#include "plugin/network_list.h"
#include "plugin/result_cache.h"
#include "tests/fuzz/directory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  using namespace plugin;
  static const fuzz::Directory directory;
  static const ResultCache cache(directory.path);
  static const Attachment kAttachment{"net", "abc", "eth0"};
  fuzz::refill(directory.path + "/results", {{"net-abc-eth0", std::string(fuzz::textOf(data, size))}});

  const auto listed = cache.list();
  const auto found = cache.find(kAttachment);
  fuzz::hold(listed.empty() || (listed.size() == 1 && listed[0].attachment == kAttachment && found),
             "what is listed can be found");
  if (!found) return 0;
  fuzz::hold(found->attachment == kAttachment, "a file is its attachment's");
  fuzz::accepted<ConfigError>([&] { NetworkList::parse(found->config, "/nowhere/list"); });
  fuzz::accepted<CniError, JsonError>([&] { Result::fromJson(found->result, ""); });

  cache.write(*found);
  const auto again = cache.find(kAttachment);
  fuzz::hold(again && again->netns == found->netns && again->config == found->config &&
                 again->capabilityArgs == found->capabilityArgs && again->result == found->result,
             "what is read again is what was written");
  fuzz::hold(cache.remove(kAttachment) && !cache.find(kAttachment), "what is removed is gone");
  return 0;
}
