// A network as its administrator wrote it: a list of plugin configurations that are called one after the
// other.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/call.h"
#include "plugin/json.h"
#include "plugin/result.h"
#include "plugin/version.h"

namespace fairlead::plugin {

// ConfigError is a fault in a configuration file. what() reads "FILE: PATH: VALUE: RULE", for instance
// `conf/10-x.conflist: plugins[1].type: "": must not be empty`; the path and the value are left out where
// there is none.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// kChain is the type of a plugin that is a list itself.
inline constexpr std::string_view kChain = "fairlead";

// From here on a DEL gets the result of the ADD.
inline constexpr Version kFirstWithResultInDel{0, 4, 0};

// PluginConf is one entry of the list.
struct PluginConf {
  std::string type;
  Json conf;  // the entry as it was written
};

// NetworkList is a network configuration list (CNI spec, section 1), checked. A file with a single plugin
// counts as a list of one.
struct NetworkList {
  std::string file;        // where it was found
  std::string text;        // the list as the result cache keeps it
  std::string name;        // fit to be part of a file name
  std::string cniVersion;  // the highest of "cniVersion" and "cniVersions" that we know; may be empty (0.1.0)
  bool disableCheck = false;
  bool disableGC = false;
  std::vector<PluginConf> plugins;  // never empty

  // load() finds a network by the path of its file, or by its name among the files of `netDir`: *.conflist
  // first, then *.conf and *.json, each in the order of their names. A file that cannot be read on the way is
  // an error, as for other runtimes. Throws ConfigError or netns::Error.
  static NetworkList load(const std::string& network, const std::string& netDir);
  // parse() reads the text of one file. Plugins may also come from *.conf in a directory beside it that has
  // the network's name. Throws ConfigError.
  static NetworkList parse(std::string text, const std::string& file);
  // ofChain() is the list that a chain is, with the network's name and version: what its members get is what
  // the plugins of a list get. It has no file; faults begin with "invalid chain". Throws ConfigError.
  static NetworkList ofChain(const Call& call);

  // members() are the plugins with those of a chain in the place of the chain.
  std::vector<PluginConf> members() const;

  // input() is what plugin number `index` gets on its standard input: its entry with the network's name and
  // version, the result so far, and those of the `capabilityArgs` (an object) that it asks for. Compact, keys
  // sorted.
  std::string input(size_t index, const Result* prevResult, const Json& capabilityArgs) const;
  // statusInput() and gcInput() are the same for the verbs that concern no container. GC's version is at
  // least 1.1.0, which has it: an older list says what results look like, and GC has none.
  std::string statusInput(size_t index) const;
  std::string gcInput(size_t index, const std::vector<Attachment>& valid) const;
};

// asFile() tells whether `network` means a file and not a name: it has a slash, or it ends as a
// configuration's name does and is there. (A bare word never is one: what lies in the working directory must
// not pass for a network.)
bool asFile(const std::string& network);

}  // namespace fairlead::plugin
