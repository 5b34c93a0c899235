#include "plugin/network_list.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <optional>
#include <utility>

#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/file.h"
#include "plugin/version.h"

namespace fairlead::plugin {
namespace {

constexpr Version kFirstWithGc{1, 1, 0};
constexpr size_t kMaxShown = 60;  // bytes of a value in a message
constexpr std::array<std::string_view, 3> kEndings = {".conflist", ".conf", ".json"};

[[noreturn]] void fail(const std::string& file, const std::string& path, const std::string& value,
                       const std::string& rule) {
  std::string text = file;
  for (const std::string* part : {&path, &value, &rule}) {
    if (!part->empty()) text += ": " + *part;
  }
  throw ConfigError(text);
}

std::string shown(const Json& value) {
  std::string text = dumpCompact(value);
  if (text.size() <= kMaxShown) return text;
  size_t end = kMaxShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + "...";
}

// Members reads the members of one object of a file, so that a fault is told by file, path and value.
class Members {
 public:
  Members(const Json& object, std::string file, std::string prefix)
      : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {}

  // As for other runtimes, keys are exact here; only the plugins read theirs without regard to case.
  const Json* find(const std::string& key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  [[noreturn]] void fail(const std::string& key, const Json* value, const std::string& rule) const {
    plugin::fail(file_, prefix_ + key, value == nullptr ? "missing" : shown(*value), rule);
  }
  std::string string(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail(key, value, "must be a string");
    return value->get<std::string>();
  }
  // boolean() takes true and false, and the words for them in any case.
  bool boolean(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) return false;
    if (value->is_boolean()) return value->get<bool>();
    std::string word = value->is_string() ? value->get<std::string>() : "";
    std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
    if (word != "true" && word != "false") fail(key, value, R"(must be true or false)");
    return word == "true";
  }

 private:
  const Json& object_;
  std::string file_;
  std::string prefix_;
};

// position() is "LINE:COLUMN" of a syntax error. The text is parsed once more for it: parseJson() says what
// Go says, which does not include the place.
std::string position(const std::string& text) {
  try {
    [[maybe_unused]] const auto parsed = nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const size_t at = std::min(error.byte > 0 ? error.byte - 1 : 0, text.size());
    const std::string_view before = std::string_view(text).substr(0, at);
    const size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    return ":" + std::to_string(std::ranges::count(before, '\n') + 1) + ":" + std::to_string(at - start + 1);
  } catch (const nlohmann::json::exception&) {  // no syntax error: nothing to point at
  }
  return {};
}

Json parseObject(const std::string& text, const std::string& file) {
  Json document;
  try {
    document = parseJson(text);
  } catch (const JsonError& error) {
    fail(file + position(text), "", "", error.what());
  }
  if (!document.is_object()) fail(file, "", shown(document), "must be an object");
  return document;
}

std::string readConfig(const std::string& file) {
  try {
    if (auto text = readFile(file)) return *std::move(text);
  } catch (const netns::Error& error) {
    throw ConfigError(error.what());
  }
  fail(file, "", "", "no such file");
}

bool fitName(std::string_view name) {
  const auto alphanumeric = [](unsigned char c) { return c < 0x80 && std::isalnum(c) != 0; };
  const auto fit = [&](char c) { return alphanumeric(c) || c == '_' || c == '.' || c == '-'; };
  return !name.empty() && alphanumeric(name[0]) && std::ranges::all_of(name, fit);
}

std::string nameOf(const Members& members) {
  std::string name = members.string("name");
  if (name.empty())
    members.fail("name", members.find("name"), "must not be empty: it is what the network is called");
  if (!fitName(name)) {
    members.fail("name", members.find("name"), "must begin with a letter or digit; then also '_', '.', '-'");
  }
  return name;
}

std::optional<Version> versionOf(const std::string& text) {
  try {
    return Version::parse(text);
  } catch (const CniError&) {
    return std::nullopt;
  }
}

constexpr const char* kVersionRule = "must be a version such as 1.0.0";

// cniVersionOf() picks the highest version among "cniVersion" and "cniVersions" that is not newer than ours.
std::string cniVersionOf(const Members& members) {
  std::string best = members.string("cniVersion");
  if (!versionOf(best)) members.fail("cniVersion", members.find("cniVersion"), kVersionRule);
  const Json* offered = members.find("cniVersions");
  if (offered == nullptr) return best;
  if (!offered->is_array()) members.fail("cniVersions", offered, "must be a list of versions");
  for (size_t i = 0; i < offered->size(); ++i) {
    const Json& entry = (*offered)[i];
    const std::string key = "cniVersions[" + std::to_string(i) + "]";
    if (!entry.is_string()) members.fail(key, &entry, "must be a string");
    const auto text = entry.get<std::string>();
    const auto version = versionOf(text);
    if (!version) members.fail(key, &entry, kVersionRule);
    if (*version <= Version::parse(kNewestVersion) && (best.empty() || *version > *versionOf(best)))
      best = text;
  }
  return best;
}

PluginConf entryOf(const Json& conf, const std::string& file, const std::string& path) {
  if (!conf.is_object()) fail(file, path, shown(conf), "must be an object");
  const Members members(conf, file, path.empty() ? "" : path + ".");
  std::string type = members.string("type");
  if (type.empty())
    members.fail("type", members.find("type"), "must not be empty: it names the plugin's binary");
  if (type.find('/') != std::string::npos) members.fail("type", members.find("type"), "must not contain '/'");
  const Json* capabilities = members.find("capabilities");
  if (capabilities != nullptr && !capabilities->is_null()) {
    if (!capabilities->is_object()) members.fail("capabilities", capabilities, "must be an object");
    for (const auto& [key, value] : capabilities->items()) {
      if (!value.is_boolean()) members.fail("capabilities." + key, &value, "must be true or false");
    }
  }
  return {std::move(type), conf};
}

// membersOf() are the entries of a chain, which follow the rules of a list's. `path` is the chain's place.
std::vector<PluginConf> membersOf(const Json& chain, const std::string& file, const std::string& path = {}) {
  const std::string prefix = path.empty() ? "" : path + ".";
  const Members fields(chain, file, prefix);
  const Json* plugins = fields.find("plugins");
  if (plugins == nullptr || !plugins->is_array() || plugins->empty())
    fields.fail("plugins", plugins, "must be a list of plugin configurations, with at least one entry");
  std::vector<PluginConf> members;
  for (const Json& conf : *plugins) {
    const std::string place = prefix + "plugins[" + std::to_string(members.size()) + "]";
    members.push_back(entryOf(conf, file, place));
    if (members.back().type == kChain)
      fail(file, place + ".type", plugin::quoted(kChain), "must be another: a chain has no chains in it");
  }
  return members;
}

PluginConf pluginOf(const Json& conf, const std::string& file, const std::string& path) {
  PluginConf plugin = entryOf(conf, file, path);
  if (plugin.type == kChain) membersOf(conf, file, path);
  return plugin;
}

// appendInlined() reads "plugins".
void appendInlined(NetworkList& list, const Members& members, bool required) {
  const Json* plugins = members.find("plugins");
  if (plugins == nullptr) {
    if (required) members.fail("plugins", plugins, "must be there because loadOnlyInlinedPlugins is true");
    return;
  }
  if (!plugins->is_array()) members.fail("plugins", plugins, "must be a list of plugin configurations");
  if (plugins->empty()) members.fail("plugins", plugins, "must have at least one entry");
  for (size_t i = 0; i < plugins->size(); ++i) {
    list.plugins.push_back(pluginOf((*plugins)[i], list.file, "plugins[" + std::to_string(i) + "]"));
  }
}

// appendDropIns() reads DIRECTORY/NAME/*.conf. The name has been checked: it cannot lead out of the
// directory.
void appendDropIns(NetworkList& list) {
  const size_t slash = list.file.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : list.file.substr(0, slash);
  for (const std::string& file : filesIn(directory + "/" + list.name, {".conf"})) {
    list.plugins.push_back(pluginOf(parseObject(readConfig(file), file), file, ""));
  }
}

// sorted() puts keys in order and turns 1500.0 and 1e3 into integers, both of which a Go runtime does by
// passing configurations through a generic map: plugins are used to it.
Json sorted(const Json& value) {
  if (value.is_array()) {
    Json result = Json::array();
    for (const Json& element : value) result.push_back(sorted(element));
    return result;
  }
  if (value.is_object()) {
    std::vector<std::string> keys;
    for (const auto& [key, member] : value.items()) keys.push_back(key);
    std::ranges::sort(keys);
    Json result = Json::object();
    for (const std::string& key : keys) result[key] = sorted(value.at(key));
    return result;
  }
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    constexpr double kExact = 9007199254740992;  // 2^53: beyond, a double is not one integer any more
    if (std::trunc(number) == number && std::abs(number) <= kExact) return static_cast<int64_t>(number);
  }
  return value;
}

Json base(const NetworkList& list, size_t index) {
  Json conf = list.plugins.at(index).conf;
  conf["name"] = list.name;
  conf["cniVersion"] = list.cniVersion;
  return conf;
}

NetworkList ofSingle(const Json& conf, const std::string& file) {
  const Members members(conf, file, "");
  NetworkList list;
  list.file = file;
  list.name = nameOf(members);
  list.cniVersion = members.string("cniVersion");
  if (!versionOf(list.cniVersion)) members.fail("cniVersion", members.find("cniVersion"), kVersionRule);
  list.plugins.push_back(pluginOf(conf, file, ""));
  list.text = dumpCompact(
      sorted({{"cniVersion", list.cniVersion}, {"name", list.name}, {"plugins", Json::array({conf})}}));
  return list;
}

}  // namespace

bool asFile(const std::string& network) {
  if (network.find('/') != std::string::npos) return true;
  const auto ends = [&](std::string_view ending) { return network.ends_with(ending); };
  return std::ranges::any_of(kEndings, ends) && ::access(network.c_str(), F_OK) == 0;
}

NetworkList NetworkList::parse(std::string text, const std::string& file) {
  const Json document = parseObject(text, file);
  const Members members(document, file, "");
  const bool single =
      !file.ends_with(".conflist") && members.find("plugins") == nullptr && members.find("type") != nullptr;
  if (single) return ofSingle(document, file);
  NetworkList list;
  list.file = file;
  list.text = std::move(text);
  list.name = nameOf(members);
  list.cniVersion = cniVersionOf(members);
  list.disableCheck = members.boolean("disableCheck");
  list.disableGC = members.boolean("disableGC");
  const bool onlyInlined = members.boolean("loadOnlyInlinedPlugins");
  appendInlined(list, members, onlyInlined);
  if (!onlyInlined) appendDropIns(list);
  if (list.plugins.empty()) members.fail("plugins", nullptr, "must have at least one entry");
  return list;
}

NetworkList NetworkList::load(const std::string& network, const std::string& netDir) {
  if (asFile(network)) return parse(readConfig(network), network);
  std::vector<std::string> files = filesIn(netDir, {".conflist"});
  std::ranges::copy(filesIn(netDir, {".conf", ".json"}), std::back_inserter(files));
  std::string others;
  for (const std::string& file : files) {
    NetworkList list = parse(readConfig(file), file);
    if (list.name == network) return list;
    others += (others.empty() ? "" : ", ") + list.name;
  }
  fail(netDir, "", "",
       files.empty() ? "no network configurations here (*.conflist, *.conf, *.json)"
                     : "no network is called " + plugin::quoted(network) + " (there are: " + others + ")");
}

NetworkList NetworkList::ofChain(const Call& call) {
  NetworkList list;
  list.file = "invalid chain";
  list.name = call.name;
  list.cniVersion = call.version;
  list.plugins = membersOf(call.conf, list.file);
  return list;
}

std::vector<PluginConf> NetworkList::members() const {
  std::vector<PluginConf> all;
  for (const PluginConf& plugin : plugins) {
    if (plugin.type == kChain)
      std::ranges::move(membersOf(plugin.conf, file), std::back_inserter(all));
    else
      all.push_back(plugin);
  }
  return all;
}

std::string NetworkList::input(size_t index, const Result* prevResult, const Json& capabilityArgs) const {
  Json conf = base(*this, index);
  if (prevResult != nullptr) conf["prevResult"] = prevResult->toJson(cniVersion);
  Json granted = Json::object();
  if (const auto wanted = conf.find("capabilities"); wanted != conf.end() && wanted->is_object()) {
    for (const auto& [key, value] : capabilityArgs.items()) {
      if (wanted->value(key, false)) granted[key] = value;
    }
  }
  if (!granted.empty()) conf["runtimeConfig"] = std::move(granted);
  return dumpCompact(sorted(conf));
}

std::string NetworkList::statusInput(size_t index) const { return dumpCompact(sorted(base(*this, index))); }

std::string NetworkList::gcInput(size_t index, const std::vector<Attachment>& valid) const {
  Json attachments = Json::array();
  for (const Attachment& attachment : valid) {
    attachments.push_back({{"containerID", attachment.containerId}, {"ifname", attachment.ifname}});
  }
  Json conf = base(*this, index);
  if (!atLeast(cniVersion, kFirstWithGc)) conf["cniVersion"] = kNewestVersion;
  conf["cni.dev/valid-attachments"] = attachments;
  conf["cni.dev/attachments"] = std::move(attachments);  // the name that older plugins know
  return dumpCompact(sorted(conf));
}

}  // namespace fairlead::plugin
