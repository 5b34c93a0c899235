#include "ipam.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "plugin/plugin.h"
#include "plugin/skel.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Environment environmentOf(const Asked& asked) {
  return {.command = asked.verb,
          .containerId = asked.id,
          .netns = "/run/netns/none",
          .ifname = asked.ifname,
          .args = asked.args,
          .path = "/nowhere",
          .netnsOverride = {}};
}

std::vector<std::string> textOf(const Environment& env) {
  return {"CNI_COMMAND=" + env.command,
          "CNI_CONTAINERID=" + env.containerId,
          "CNI_NETNS=" + env.netns,
          "CNI_IFNAME=" + env.ifname,
          "CNI_ARGS=" + env.args,
          "CNI_PATH=" + env.path,
          "FAIRLEAD_RUN_DIR=" + std::string(std::getenv("FAIRLEAD_RUN_DIR"))};
}

// replyOf() leaves out what the reference has no opinion on: our details, and an empty "dns" that old
// versions print.
Reply replyOf(int status, const std::string& out) {
  Reply reply{status, out.empty() ? Document() : Document::parse(out)};
  if (!reply.document.is_object()) return reply;
  reply.document.erase("details");
  if (reply.document.contains("dns") && reply.document["dns"].empty()) reply.document.erase("dns");
  return reply;
}

}  // namespace

std::string Reply::address(size_t index) const {
  if (!document.is_object() || !document.contains("ips") || document["ips"].size() <= index) return "";
  return document["ips"][index].value("address", "");
}

void PrintTo(const Reply& reply, std::ostream* out) {
  *out << "exit " << reply.status << " " << reply.document.dump();
}

bool referenceInstalled() { return ::access((kReference + "host-local").c_str(), X_OK) == 0; }

IpamTest::IpamTest() {
  std::string pattern = (fs::temp_directory_path() / "fairlead-ipam-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
  root_ = pattern;
  ::setenv("FAIRLEAD_RUN_DIR", (root_ + "/run").c_str(), 1);
}

IpamTest::~IpamTest() {
  ::unsetenv("FAIRLEAD_RUN_DIR");
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

void IpamTest::put(const std::string& name, const std::string& content) const {
  fs::create_directories(directory());
  std::ofstream(directory() + "/" + name, std::ios::binary) << content;
}

Files IpamTest::files() const {
  Files files;
  if (!fs::exists(directory())) return files;
  for (const auto& entry : fs::directory_iterator(directory())) {
    if (entry.is_regular_file()) files[entry.path().filename()] = slurp(entry.path());
  }
  return files;
}

Files IpamTest::reservations() const {
  Files found = files();
  std::erase_if(found,
                [](const auto& file) { return file.first == "lock" || file.first.starts_with("last_"); });
  return found;
}

void IpamTest::wipe() const { fs::remove_all(root_ + "/data"); }

Json IpamTest::conf(const std::string& type, const Json& ipam, const std::string& version) const {
  Json result = {{"name", "net"}, {"type", "bridge"}, {"ipam", ipam}};
  if (!version.empty()) result["cniVersion"] = version;
  result["ipam"]["type"] = type;
  if (type == "host-local" && !ipam.contains("dataDir")) result["ipam"]["dataDir"] = root_ + "/data";
  return result;
}

Reply IpamTest::ours(const Json& conf, const Asked& asked) const {
  const Plugin* plugin = findPlugin(conf["ipam"]["type"].get<std::string>());
  if (plugin == nullptr) throw std::runtime_error("no such plugin");
  const Outcome outcome = run(*plugin, environmentOf(asked), [&] { return conf.dump(); });
  return replyOf(outcome.status, outcome.out);
}

pid_t IpamTest::start(const std::string& path, const Json& conf, const Asked& asked) const {
  const std::string input = root_ + "/in-" + asked.id + "-" + asked.ifname;
  const std::string output = root_ + "/out-" + std::to_string(::getpid());
  std::ofstream(input) << conf.dump();

  std::vector<std::string> text = textOf(environmentOf(asked));
  std::vector<char*> env;
  env.reserve(text.size() + 1);
  for (std::string& variable : text) env.push_back(variable.data());
  env.push_back(nullptr);
  std::string name = path;
  char* argv[] = {name.data(), nullptr};

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input.c_str(), O_RDONLY, 0);
  // The file gets its name, by which finish() finds it, when the process has its number.
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, path.c_str(), &actions, nullptr, argv, env.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("spawn " + path);
  fs::rename(output, root_ + "/out-of-" + std::to_string(child));
  return child;
}

Reply IpamTest::finish(pid_t child) const {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid");
  const std::string output = root_ + "/out-of-" + std::to_string(child);
  const std::string text = slurp(output);
  fs::remove(output);
  return replyOf(WIFEXITED(status) ? WEXITSTATUS(status) : -1, text);
}

Reply IpamTest::theirs(const std::string& path, const Json& conf, const Asked& asked) const {
  return finish(start(path, conf, asked));
}

}  // namespace fairlead::plugin
