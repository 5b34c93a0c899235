#include "plugin/cli11.h"
// (first: see there)

#include "plugin/cli.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <string>
#include <string_view>

#include "netns/error.h"
#include "plugin/commands.h"
#include "plugin/file.h"
#include "plugin/report.h"
#include "plugin/trace.h"
#include "plugin/version.h"

namespace fairlead::plugin {
namespace {

constexpr int kUsage = 2;

constexpr const char* kDescription =
    "Fairlead connects containers to networks. It is a suite of CNI plugins, and this is\n"
    "its command line: it does by hand what a container runtime does with a network.\n";

constexpr const char* kFooter =
    "NETWORK is the file of a network configuration (it has a slash, or ends in .conflist,\n"
    ".conf or .json), or the name of a network that is configured in /etc/cni/net.d.\n\n"
    "Examples:\n"
    "  ip netns add web                                a container, as far as networks go\n"
    "  fairlead explain ./10-bridge.conflist           what would happen\n"
    "  fairlead add ./10-bridge.conflist --netns web   connect it\n"
    "  fairlead ls                                     who is connected to what\n"
    "  fairlead del ./10-bridge.conflist --netns web   disconnect it\n\n"
    "Exit status: 0 done, 1 it failed, 2 the command line was not understood.\n"
    "`fairlead COMMAND --help` tells more of one command.";

// What a verb takes.
enum Takes : unsigned {
  kNetwork = 1U << 0,
  kMaybeNetwork = 1U << 1,
  kContainer = 1U << 2,  // --netns, --ifname, --container-id
  kNeedsNetns = 1U << 3,
  kArgs = 1U << 4,
  kPlugins = 1U << 5,  // calls plugins
  kCache = 1U << 6,
  kCollects = 1U << 7,  // --valid, --dry-run
  kNetDir = 1U << 8,
};

// always<F> is a verb that has succeeded when it returns.
template <void (*F)(const Options&)>
bool always(const Options& options) {
  F(options);
  return true;
}

struct Verb {
  const char* name;
  const char* description;
  unsigned takes;
  bool (*run)(const Options&);  // false: exit status 1
  const char* examples;
};

constexpr std::array kVerbs = {
    Verb{"add", "Connect a container to a network (ADD); undone as a whole when it fails",
         kNetwork | kContainer | kNeedsNetns | kArgs | kPlugins | kCache, always<addCommand>,
         "  fairlead add mynet --netns web\n"
         "  fairlead add mynet --netns 4711                    the namespace of process 4711\n"
         "  fairlead add mynet --netns web --ifname eth1 --args 'IP=10.22.0.7'\n"
         "  fairlead add mynet --netns web --capability-args '{\"mac\": \"02:00:00:00:00:07\"}'\n"
         "  fairlead add mynet --netns web --json              the CNI result"},
    Verb{"check", "Check that a container still is connected as it was (CHECK)",
         kNetwork | kContainer | kNeedsNetns | kArgs | kPlugins | kCache, always<checkCommand>,
         "  fairlead check mynet --netns web"},
    Verb{"del", "Disconnect a container from a network (DEL); what is gone already is no error",
         kNetwork | kContainer | kArgs | kPlugins | kCache, always<delCommand>,
         "  fairlead del mynet --netns web\n"
         "  fairlead del mynet --container-id netns-4026532345    the namespace may be gone"},
    Verb{"gc", "Remove what is left of containers that are gone (GC)",
         kMaybeNetwork | kNetDir | kPlugins | kCache | kCollects, gcCommand,
         "  fairlead gc                                        of all networks, one after the other\n"
         "  fairlead gc mynet --dry-run                        what would be removed\n"
         "  fairlead gc mynet                                  keep those whose namespace is there\n"
         "  fairlead gc mynet --valid 0123abcd/eth0 --valid web/eth0    keep these alone"},
    Verb{"status", "Ask whether a network can take containers (STATUS)", kNetwork | kPlugins | kCache,
         always<statusCommand>, "  fairlead status mynet && echo ready"},
    Verb{"explain", "Print what add would do, as ip and nft commands, and do nothing",
         kNetwork | kContainer | kArgs | kPlugins | kCache, always<explainCommand>,
         "  fairlead explain ./10-bridge.conflist\n"
         "  fairlead explain mynet --netns web --json"},
    Verb{"ls", "List the connected containers", kMaybeNetwork | kCache, always<lsCommand>,
         "  fairlead ls\n"
         "  fairlead ls mynet --json | jq -r '.[] | select(.state != \"live\") | .containerID'"},
    Verb{"doctor", "Find what is left, doubled or missing on this host, and the commands that mend it",
         kCache | kNetDir, doctorCommand,
         "  fairlead doctor\n"
         "  fairlead doctor --json | jq -r '.[].mend'          the commands alone\n"
         "  fairlead doctor >/dev/null || echo 'look at this node'\n\n"
         "Exit status: 0 nothing found, 1 something was found, or it could not look."},
    Verb{"version", "Print the version, the CNI versions and the plugins that are built in", 0,
         always<versionCommand>, "  fairlead version --json"},
};

// defaultPath() is where plugins are looked for: beside this binary, then where others install theirs.
std::string defaultPath() {
  std::array<char, 4096> self{};
  const ssize_t size = ::readlink("/proc/self/exe", self.data(), self.size());
  const std::string_view path(self.data(), size > 0 ? static_cast<size_t>(size) : 0);
  const std::string own(path.substr(0, path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/')));
  return (own.empty() ? "" : own + ":") + "/opt/cni/bin:/usr/lib/cni";
}

// capabilityArgs() reads --capability-args: a JSON object, or @ and the file that holds one.
Json capabilityArgs(const std::string& text) {
  try {
    std::string document = text;
    if (text.starts_with('@')) {
      auto content = readFile(text.substr(1));
      if (!content) throw UsageError("--capability-args: " + text.substr(1) + ": no such file");
      document = *std::move(content);
    }
    Json value = parseJson(document);
    if (value.is_object()) return value;
    throw UsageError("--capability-args: must be an object, one member for each capability");
  } catch (const JsonError& error) {
    throw UsageError("--capability-args: " + std::string(error.what()));
  } catch (const netns::Error& error) {
    throw UsageError("--capability-args: " + std::string(error.what()));
  }
}

void checkArgs(std::string_view args) {
  for (bool more = !args.empty(); more;) {
    const size_t end = args.find(';');
    const std::string_view pair = args.substr(0, end);
    if (pair.find('=') == std::string_view::npos)
      throw UsageError("--args: " + std::string(pair) + ": must be K=V;K=V");
    more = end != std::string_view::npos;
    if (more) args.remove_prefix(end + 1);
  }
}

// The options end up in `typed`, whose strings must outlive the parsing.
struct Typed {
  Options options;
  std::string capabilityArgs = "{}";
};

void declareContainer(CLI::App& app, Typed& typed, unsigned takes) {
  const char* group = "The container";
  auto* netns = app.add_option("--netns", typed.options.netns,
                               "Its network namespace: a path, a name of `ip netns`, or a process id");
  netns->type_name("PATH|NAME|PID")->group(group)->required((takes & kNeedsNetns) != 0);
  app.add_option("--ifname", typed.options.ifname, "The interface in the container")
      ->type_name("NAME")
      ->capture_default_str()
      ->group(group);
  app.add_option("--container-id", typed.options.containerId,
                 "What it is called; by default netns- and the number of its namespace")
      ->type_name("ID")
      ->group(group);
}

void declareArgs(CLI::App& app, Typed& typed) {
  const char* group = "For the plugins";
  app.add_option("--args", typed.options.args, "CNI_ARGS, for instance IP=10.22.0.7;IgnoreUnknown=1")
      ->type_name("K=V;K=V")
      ->group(group);
  app.add_option("--capability-args", typed.capabilityArgs, "What they get as runtimeConfig, by capability")
      ->type_name("JSON|@FILE")
      ->group(group);
}

void declare(CLI::App& app, Typed& typed, const Verb& verb) {
  Options& options = typed.options;
  app.footer(std::string("Examples:\n") + verb.examples);
  if ((verb.takes & (kNetwork | kMaybeNetwork)) != 0) {
    app.add_option("NETWORK", options.network, "The file of a network configuration, or a network's name")
        ->type_name("")
        ->required((verb.takes & kNetwork) != 0);
  }
  if ((verb.takes & kContainer) != 0) declareContainer(app, typed, verb.takes);
  if ((verb.takes & kArgs) != 0) declareArgs(app, typed);
  if ((verb.takes & kCollects) != 0) {
    app.add_option("--valid", options.valid, "Keep this one, and none but those named; may be repeated")
        ->type_name("CONTAINER/IFNAME")
        ->expected(1)
        ->take_all();
    app.add_flag("--dry-run", options.dryRun, "Print what would be removed, and do nothing");
  }
  const char* group = "Where things are";
  if ((verb.takes & (kNetwork | kNetDir)) != 0) {
    app.add_option("--net-dir", options.netDir, "Network configurations")
        ->type_name("DIR")
        ->capture_default_str()
        ->group(group);
  }
  if ((verb.takes & kPlugins) != 0) {
    app.add_option("--cni-path", options.cniPath,
                   "Plugins; by default beside fairlead, /opt/cni/bin, /usr/lib/cni")
        ->type_name("DIR:DIR")
        ->envname("CNI_PATH")
        ->group(group);
  }
  if ((verb.takes & kCache) != 0) {
    app.add_option("--cache-dir", options.cacheDir, "Results, as runtimes keep them")
        ->type_name("DIR")
        ->capture_default_str()
        ->group(group);
  }
  app.add_flag("--json", options.json, "Print JSON, errors too");
  app.add_flag("-v,--verbose", options.verbose, "Print what each step took, and on which OS thread");
}

int perform(const Verb& verb, Typed& typed) {
  Options& options = typed.options;
  if (options.verbose) traceEnable();
  int status = 0;
  try {
    checkArgs(options.args);
    options.capabilityArgs = capabilityArgs(typed.capabilityArgs);
    if (options.cniPath.empty()) options.cniPath = defaultPath();
    status = verb.run(options) ? 0 : 1;
  } catch (const UsageError& error) {
    reportUsage(verb.name, error.what());
    return kUsage;
  } catch (const std::exception& error) {
    reportFailure(verb.name, error, options.json);
    status = 1;
  }
  if (options.verbose) reportTrace();
  return status;
}

// explainParse() prints what CLI11 has to say: help and version to standard output, faults to standard error.
int explainParse(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream err;
  const bool asked = app.exit(error, out, err) == 0;
  if (asked) {
    std::string text = out.str();
    for (size_t at; (at = text.find("\n\n\n")) != std::string::npos;) text.erase(at, 1);
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  const auto chosen = app.get_subcommands();
  reportUsage(chosen.empty() ? "" : chosen.front()->get_name(), error.what());
  return kUsage;
}

// isFirstWord() tells what may follow "fairlead".
bool isFirstWord(std::string_view word) {
  return word == "-h" || word == "--help" || word == "--version" ||
         std::ranges::any_of(kVerbs, [word](const Verb& verb) { return verb.name == word; });
}

int parseAndRun(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (!isFirstWord(first)) {  // CLI11 would only say that a subcommand is required
    const char* kind = first.starts_with('-') ? "option" : "command";
    reportUsage("", first.empty() ? "a command is required" : first + ": no such " + kind);
    return kUsage;
  }
  Typed typed;
  CLI::App app(kDescription, "fairlead");
  app.footer(kFooter);
  app.set_version_flag("--version", "fairlead " + std::string(buildVersion()));
  app.get_formatter()->column_width(34);
  app.get_formatter()->label("Positionals", "Arguments");
  for (const Verb& verb : kVerbs)
    declare(*app.add_subcommand(verb.name, std::string(verb.description))->group("Commands"), typed, verb);
  app.require_subcommand(1);
  // The verbs keep the formatter that they were made with; the list of them is narrower.
  auto narrow = std::make_shared<CLI::Formatter>();
  narrow->column_width(14);
  narrow->label("SUBCOMMAND", "COMMAND");
  app.formatter(std::move(narrow));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return explainParse(app, error);
  }
  for (const Verb& verb : kVerbs) {
    if (app.got_subcommand(verb.name)) return perform(verb, typed);
  }
  return kUsage;
}

}  // namespace

int cli(int argc, char** argv) {
  try {
    return parseAndRun(argc, argv);
  } catch (const std::exception& error) {
    reportFailure("", error, false);
    return 1;
  }
}

}  // namespace fairlead::plugin
