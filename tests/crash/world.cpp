#include "tests/crash/world.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

namespace fairlead::crash {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kNetwork = "crash";
constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const fs::path kRecords = "/run/fairlead";
const fs::path kData = "/run/addresses";
const fs::path kOwnDirectory = "/run/plugins";  // for an IPAM that is executed

void expect(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error(what);
}

// calm() switches IPv6 off: link-local addresses come and go by themselves.
void calm(const bench::NetworkNamespace& ns) {
  ns.within([] {
    for (const char* scope : {"all", "default"})
      std::ofstream("/proc/sys/net/ipv6/conf/" + std::string(scope) + "/disable_ipv6") << "1";
  });
}

// pluginsOf() is the CNI_PATH of a subject: for one with an executed IPAM a directory with a copy, because
// what is the same file runs in-process.
std::string pluginsOf(const Subject& subject, const std::string& plugins) {
  if (!subject.executed) return plugins;
  fs::create_directories(kOwnDirectory);
  fs::create_symlink(fs::path(plugins) / "fairlead", kOwnDirectory / subject.plugin);
  fs::copy_file(fs::path(plugins) / "fairlead", kOwnDirectory / "host-local");
  return kOwnDirectory;
}

bool isMemory(const fs::path& file) {
  const std::string name = file.filename();
  return name == "lock" || name.starts_with("last_reserved_ip.") || name.starts_with(".ipam-");
}

void addFiles(const fs::path& directory, std::map<std::string, std::string>& files) {
  std::error_code none;
  for (const auto& entry : fs::recursive_directory_iterator(directory, none)) {
    if (entry.is_directory() || isMemory(entry.path())) continue;
    std::ostringstream content;
    content << std::ifstream(entry.path()).rdbuf();
    std::string text = content.str();
    std::ranges::replace(text, '\n', ' ');
    files[entry.path()] = text;
  }
}

std::set<std::string> linesOf(const std::string& text) {
  std::set<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.insert(line);
  return lines;
}

}  // namespace

World::World(const Subject& subject, const std::string& plugins)
    : subject_(subject),
      directory_(pluginsOf(subject, plugins)),
      host_("host"),
      neighbour_("neighbour"),
      container_("container") {
  for (const bench::NetworkNamespace* ns : {&host_, &neighbour_, &container_}) calm(*ns);
  if (!subject.alone) {
    const Ending added = within(program("ADD", "neighbour", neighbour_.path(), nullptr));
    expect(added.status == 0, subject.name + ": the neighbour's ADD failed: " + added.out + added.err);
  }
  // Loopback's addresses, say, come with the first ADD and stay. Who is alone leaves no network behind by GC.
  for (const char* verb : {"ADD", "DEL"}) {
    const Ending ended = call(verb);
    expect(ended.status == 0, subject.name + ": " + verb + " failed: " + ended.out + ended.err);
  }
  if (subject.alone) expect(call("GC").status == 0, subject.name + ": GC failed");
}

World::~World() {
  std::error_code none;
  for (const fs::path& directory : {kRecords, kData, kOwnDirectory}) fs::remove_all(directory, none);
}

Program World::program(const std::string& verb, const std::string& container, const std::string& netns,
                       const json& result) const {
  json conf = subject_.conf;
  conf["cniVersion"] = "1.1.0";
  conf["name"] = kNetwork;
  conf["type"] = subject_.plugin;
  Program program{.path = directory_ + "/" + subject_.plugin, .env = {"CNI_COMMAND=" + verb, kPath}};
  program.env.push_back("CNI_PATH=" + directory_);
  if (verb == "GC") {
    json valid = json::array();
    if (!subject_.alone) valid.push_back({{"containerID", "neighbour"}, {"ifname", "eth0"}});
    conf["cni.dev/valid-attachments"] = valid;
  } else if (verb != "STATUS") {
    program.env.insert(program.env.end(),
                       {"CNI_CONTAINERID=" + container, "CNI_NETNS=" + netns,
                        std::string("CNI_IFNAME=") + (subject_.plugin == "loopback" ? "lo" : "eth0")});
    if (!result.is_null()) conf["prevResult"] = result;
  }
  program.input = conf.dump();
  return program;
}

Ending World::within(const Program& program, const Strike& strike) const {
  Ending ending;
  host_.within([&] { ending = run(program, strike); });
  return ending;
}

Ending World::call(const std::string& verb, const Strike& strike) {
  Ending ending = within(program(verb, "c1", container_.path(), verb == "ADD" ? nullptr : result_), strike);
  if (verb == "ADD") {
    result_ = json::parse(ending.out, nullptr, false);
    if (!result_.is_object() || result_.contains("code")) result_ = nullptr;
  }
  return ending;
}

std::string World::look(const bench::NetworkNamespace& ns, const Program& program) const {
  Ending ending;
  ns.within([&] { ending = run(program); });
  expect(ending.status == 0, program.path + " failed: " + ending.err);
  return ending.out;
}

std::string World::state() const {
  const Program ip{.path = "/usr/sbin/ip",
                   .args = {"-oneline", "-batch", "-"},
                   .env = {kPath},
                   .input = "link show\naddress show\nroute show table all\nrule show\n"};
  std::ostringstream text;
  text << "host:\n" << look(host_, ip);
  text << "nftables:\n"
       << look(host_, {.path = "/usr/sbin/nft", .args = {"--stateless", "list", "ruleset"}, .env = {kPath}});
  text << "container:\n" << look(container_, ip) << "files:\n";
  std::map<std::string, std::string> files;
  for (const fs::path& directory : {kRecords, kData}) addFiles(directory, files);
  for (const auto& [path, content] : files) text << path << ": " << content << "\n";
  return text.str();
}

std::string difference(const std::string& before, const std::string& after) {
  if (before == after) return {};
  const std::set<std::string> was = linesOf(before);
  const std::set<std::string> is = linesOf(after);
  std::string text;
  const auto add = [&](const char* sign, const std::set<std::string>& these,
                       const std::set<std::string>& those) {
    for (const std::string& line : these)
      if (!those.contains(line)) text += (text.empty() ? "" : "; ") + (sign + line.substr(0, 200));
  };
  add("- ", was, is);
  add("+ ", is, was);
  return text.empty() ? "the same lines in another order or number" : text;
}

}  // namespace fairlead::crash
