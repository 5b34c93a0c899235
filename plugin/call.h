// One call of a plugin: the environment and the configuration that a runtime hands over.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/json.h"
#include "plugin/result.h"

namespace fairlead::plugin {

// Environment is the CNI_* part of the environment. Empty means unset.
struct Environment {
  std::string command;        // CNI_COMMAND
  std::string containerId;    // CNI_CONTAINERID
  std::string netns;          // CNI_NETNS
  std::string ifname;         // CNI_IFNAME
  std::string args;           // CNI_ARGS
  std::string path;           // CNI_PATH
  std::string netnsOverride;  // CNI_NETNS_OVERRIDE

  static Environment fromProcess();
};

// Attachment names what an ADD makes: (container, interface) within a network.
struct Attachment {
  std::string network;
  std::string containerId;
  std::string ifname;
  friend auto operator<=>(const Attachment&, const Attachment&) = default;
};

// CniArgs is a parsed CNI_ARGS. Keys are case-sensitive ("IP", "MAC", "GATEWAY"); a key that is none of
// `known` is an error unless IgnoreUnknown is true. Throws CniError 999 with the reference's texts.
class CniArgs {
 public:
  CniArgs(std::string_view text, std::vector<std::string_view> known);
  std::optional<std::string> get(std::string_view key) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// Call is a checked call: the environment is valid for the verb, the configuration is an object with a valid
// name.
struct Call {
  Environment env;
  std::string input;    // the configuration as it came, for delegates
  Json conf;            // the same, parsed
  std::string name;     // network name
  std::string type;     // "type" of the configuration
  std::string version;  // "cniVersion", never empty

  Attachment attachment() const { return {name, env.containerId, env.ifname}; }
  // prevResult() is nullopt when absent or null; throws CniError when it cannot be read.
  std::optional<Result> prevResult() const;
  // validAttachments() is "cni.dev/valid-attachments" of a GC; null means none is valid. Throws CniError 7
  // when the key is absent: a caller that does not know what is valid must not have everything removed.
  std::vector<Attachment> validAttachments() const;
};

}  // namespace fairlead::plugin
