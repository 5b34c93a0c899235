#include "plugin/skel.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string_view>
#include <utility>
#include <vector>

#include "netns/error.h"
#include "plugin/answer.h"
#include "plugin/error.h"
#include "plugin/stdio.h"
#include "plugin/text.h"
#include "plugin/utf8.h"

namespace fairlead::plugin {
namespace {

constexpr size_t kMaxInput = size_t{4} << 20;
constexpr int kDying = 2;  // another thread has answered, and ends the process

// ---- environment -------------------------------------------------------------------------------

// isIdentifier() is ^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$, the form of container ids and network names: safe as a
// file's name.
bool isIdentifier(std::string_view text) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && alphanumeric(text[0]) && std::ranges::all_of(text, [&](char c) {
    return alphanumeric(c) || c == '_' || c == '.' || c == '-';
  });
}

void checkContainerId(const std::string& id) {
  if (!isIdentifier(id)) throw CniError(Code::InvalidEnvironment, "invalid characters in containerID", id);
}

void checkIfname(const std::string& name) {
  const auto invalid = [](const char* msg, const char* details = "") {
    return CniError(Code::InvalidEnvironment, msg, details);
  };
  if (name.empty()) throw invalid("interface name is empty");
  if (name.size() > 15)
    throw invalid("interface name is too long", "interface name should be less than 16 characters");
  if (name == "." || name == "..") throw invalid("interface name is . or ..");
  for (std::string_view rest = name; !rest.empty();) {
    const Rune rune = decodeRune(rest);
    if (rune.value == '/' || rune.value == ':' || isSpaceRune(rune.value))
      throw invalid("interface name contains / or : or whitespace characters");
    rest.remove_prefix(rune.size);
  }
}

enum Verb : unsigned { kUnknown = 0, kAdd = 1, kDel = 2, kCheck = 4, kGc = 8, kStatus = 16 };

Verb verbOf(std::string_view command) {
  constexpr std::pair<std::string_view, Verb> kVerbs[] = {
      {"ADD", kAdd}, {"DEL", kDel}, {"CHECK", kCheck}, {"GC", kGc}, {"STATUS", kStatus}};
  for (const auto& [name, verb] : kVerbs)
    if (name == command) return verb;
  return kUnknown;
}

// Variable is one that some verbs require. A value is checked only for the verbs that require it.
struct Variable {
  std::string_view name;
  std::string Environment::*value;
  unsigned verbs;
  void (*check)(const std::string&);
};

constexpr Variable kVariables[] = {
    {"CNI_CONTAINERID", &Environment::containerId, kAdd | kDel | kCheck, checkContainerId},
    {"CNI_NETNS", &Environment::netns, kAdd | kCheck, nullptr},
    {"CNI_IFNAME", &Environment::ifname, kAdd | kDel | kCheck, checkIfname},
    {"CNI_PATH", &Environment::path, kAdd | kDel | kCheck | kGc | kStatus, nullptr},
};

// checkEnvironment() names all that is missing, but the first invalid value ends it at once.
void checkEnvironment(const Environment& env) {
  std::vector<std::string_view> missing;
  if (env.command.empty()) missing.emplace_back("CNI_COMMAND");
  for (const Variable& variable : kVariables) {
    if ((variable.verbs & verbOf(env.command)) == 0) continue;
    const std::string& value = env.*variable.value;
    if (value.empty())
      missing.push_back(variable.name);
    else if (variable.check != nullptr)
      variable.check(value);
  }
  if (!missing.empty())
    throw CniError(Code::InvalidEnvironment, "required env variables [" + join(missing, ",") + "] missing");
}

// ---- configuration -----------------------------------------------------------------------------

std::string networkName(const Json& conf) {
  // The reference decodes into an unnamed struct; its error texts show it.
  const Fields fields(conf, conf.is_object() ? "" : R"(struct { Name string "json:\"name\"" })");
  return fields.string("name");
}

Call checkConfig(const Environment& env, std::string input) {
  Call call{.env = env, .input = std::move(input), .conf = {}, .name = {}, .type = {}, .version = {}};
  try {
    call.conf = parseJson(call.input);
    call.name = networkName(call.conf);
  } catch (const JsonError& error) {
    throw CniError(Code::DecodingFailure, std::string("error unmarshall network config: ") + error.what());
  }
  if (call.name.empty()) throw CniError(Code::InvalidConfig, "missing network name");
  if (!isIdentifier(call.name))
    throw CniError(Code::InvalidConfig, "invalid characters found in network name", call.name);

  if (verbOf(env.command) == kUnknown)
    throw CniError(Code::InvalidEnvironment, "unknown CNI_COMMAND: " + env.command);
  try {
    call.version = Fields(call.conf, "").string("cniVersion");
    if (call.version.empty()) call.version = kAllVersions.front();
  } catch (const JsonError& error) {
    throw CniError(Code::DecodingFailure,
                   std::string("decoding version from network config: ") + error.what());
  }
  try {
    call.type = Fields(call.conf, "NetConf").string("type");
  } catch (const JsonError& error) {
    throw CniError::internal(std::string("failed to load netconf: ") + error.what());
  }
  return call;
}

// ---- what stands between a checked call and the plugin ------------------------------------------

void checkVersion(const Plugin& plugin, const Call& call) {
  const Verb verb = verbOf(call.env.command);
  if ((verb & (kCheck | kGc | kStatus)) != 0) {
    const Version minimum = verb == kCheck ? Version{0, 4, 0} : Version{1, 1, 0};
    const Version version = Version::parse(call.version);
    if (version < minimum)
      throw CniError(Code::IncompatibleVersion, "config version does not allow " + call.env.command);
    if (std::ranges::none_of(plugin.versions(), [&](std::string_view own) { return atLeast(own, version); }))
      throw CniError(Code::IncompatibleVersion, "plugin version does not allow " + call.env.command);
  }
  if (std::ranges::find(plugin.versions(), call.version) != plugin.versions().end()) return;
  std::vector<std::string> supported;
  for (const std::string_view own : plugin.versions()) supported.push_back(quoted(own));
  throw CniError(Code::IncompatibleVersion, "incompatible CNI versions",
                 "config is " + quoted(call.version) + ", plugin supports [" + join(supported, " ") + "]");
}

// ownNetNS() is asked for once: a call is judged three times, and always in the host's namespace.
netns::NetNS::Identity ownNetNS() {
  static const netns::NetNS::Identity own = [] {
    constexpr const char* kOwn = "/proc/thread-self/ns/net";
    struct stat status;
    if (::stat(kOwn, &status) != 0) throw CniError(Code::InvalidNetNS, "get plugin's netns failed", kOwn);
    return netns::NetNS::Identity{.dev = status.st_dev, .ino = status.st_ino};
  }();
  return own;
}

// checkNetNS() looks before the plugin does anything. A path that cannot be looked at is the plugin's to
// judge.
void checkNetNS(const Environment& env) {
  struct stat given;
  if (::stat(env.netns.c_str(), &given) == 0) refuseOwnNetNS(env, {.dev = given.st_dev, .ino = given.st_ino});
}

// addResult() is the plugin's ADD. Results before 0.3.0 hold less, or nothing when there is no address: what
// cannot be told to the runtime must not stay behind.
Result addResult(const Plugin& plugin, const Call& call) {
  Result result = plugin.add(call);
  if (atLeast(call.version, {0, 3, 0})) return result;
  try {
    return Result::fromJson(result.toJson(call.version), call.version);
  } catch (const CniError& error) {
    Call undo = call;
    undo.env.command = "DEL";
    try {
      plugin.del(undo);
    } catch (const std::exception& another) {
      throw CniError(error.code(), error.msg(), std::string("undoing it failed, too: ") + another.what());
    }
    throw;
  }
}

// where() tells the failed call apart from others in a node's log.
std::string where(const Plugin& plugin, const Call& call) {
  std::string text = "plugin " + quoted(plugin.type()) + ", network " + quoted(call.name);
  if (!call.env.containerId.empty()) text += ", container " + quoted(call.env.containerId);
  if (!call.env.ifname.empty()) text += ", interface " + quoted(call.env.ifname);
  return text;
}

// settler() closes an ADD: a runtime that has not got the result takes it for failed.
std::function<void(bool)> settler(const Plugin& plugin, const Call& call) {
  return [&plugin, call](bool delivered) {
    try {
      if (delivered) return plugin.delivered(call);
      Call undo = call;
      undo.env.command = "DEL";
      plugin.del(undo);
    } catch (const std::exception& error) {
      writeAll(STDERR_FILENO, std::string("fairlead: ") + error.what() + "\n");
    }
  };
}

std::string aboutText(const Plugin& plugin) {
  return "CNI " + std::string(plugin.type()) + " plugin " + std::string(buildVersion()) +
         "\nCNI protocol versions supported: " + join(plugin.versions(), ", ") + "\n";
}

std::string versionText(const Plugin& plugin) {
  return R"({"cniVersion":")" + std::string(kNewestVersion) + R"(","supportedVersions":[")" +
         join(plugin.versions(), R"(",")") + "\"]}\n";
}

}  // namespace

void refuseOwnNetNS(const Environment& env, const netns::NetNS::Identity& given) {
  std::string lower = env.netnsOverride;
  std::ranges::transform(lower, lower.begin(), lowerCase);
  if (lower == "1" || lower == "true") return;
  if (given == ownNetNS())
    throw CniError(Code::InvalidNetNS, "plugin's netns and netns from CNI_NETNS should not be the same");
}

Call makeCall(const Environment& env, std::string input) {
  checkEnvironment(env);
  return checkConfig(env, std::move(input));
}

std::optional<Result> dispatch(const Plugin& plugin, const Call& call) {
  const Verb verb = verbOf(call.env.command);
  checkVersion(plugin, call);
  if (verb == kAdd || verb == kDel) checkNetNS(call.env);
  try {
    if (verb == kAdd) return addResult(plugin, call);
    if (verb == kDel) plugin.del(call);
    if (verb == kCheck) plugin.check(call);
    if (verb == kGc) plugin.gc(call);
    if (verb == kStatus) plugin.status(call);
    return std::nullopt;
  } catch (const CniError& error) {
    if (!error.details().empty()) throw;
    throw CniError(error.code(), error.msg(), where(plugin, call));
  } catch (const std::exception& error) {
    throw CniError::internal(error.what(), where(plugin, call));
  }
}

Outcome run(const Plugin& plugin, const Environment& env, const std::function<std::string()>& readInput) {
  if (env.command.empty()) return {.status = 0, .out = {}, .err = aboutText(plugin)};
  try {
    checkEnvironment(env);
    if (env.command == "VERSION") return {.status = 0, .out = versionText(plugin), .err = {}};
    const Call call = checkConfig(env, readInput());
    const auto result = dispatch(plugin, call);
    if (!result) return {};
    return {.status = 0, .out = result->print(call.version), .err = {}, .settle = settler(plugin, call)};
  } catch (const CniError& error) {
    return {.status = 1, .out = error.document(), .err = {}};
  } catch (const std::exception& error) {
    return {.status = 1, .out = CniError::internal(error.what()).document(), .err = {}};
  }
}

int serve(const Plugin& plugin) {
  std::signal(SIGPIPE, SIG_IGN);  // a runtime that has gone away must not stop us half-way
  oweAnswer();
  const Outcome outcome = run(plugin, Environment::fromProcess(), [] { return readInput(kMaxInput); });
  if (!takeAnswer()) return kDying;
  writeAll(STDERR_FILENO, outcome.err);
  const int error = writeAll(STDOUT_FILENO, outcome.out);
  if (outcome.settle) outcome.settle(error == 0);
  if (error != 0) {
    writeAll(STDERR_FILENO,
             CniError(Code::IOFailure, "error writing to stdout: " + netns::errnoText(error)).document());
    return 1;
  }
  return outcome.status;
}

}  // namespace fairlead::plugin
