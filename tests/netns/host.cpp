#include "tests/netns/host.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "netns/route.h"
#include "runtime/runtime.h"

namespace fairlead::netns {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// A namespace that nobody uses any more is taken down by the kernel in the background, with its end of every
// veth.
constexpr std::chrono::seconds kTakeDownLimit{10};

// descriptors() are the open ones but those of the runtime's poller and of the directory being read.
std::set<std::string> descriptors() {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry.path(), gone).string();
    if (gone || target.starts_with("anon_inode:") || target.find("/fd") != target.npos) continue;
    found.insert(entry.path().filename().string() + " " + target);
  }
  return found;
}

}  // namespace

Output shell(const std::string& command) {
  FILE* pipe = ::popen(("( " + command + "\n) 2>&1").c_str(), "re");
  if (pipe == nullptr) throw std::runtime_error("popen: " + command);
  Output output;
  std::array<char, 4096> buffer;
  while (const size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.text.append(buffer.data(), size);
  const int status = ::pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

Output shellIn(const NetNS& ns, const std::string& command) {
  const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(ns.fd());
  return shell("nsenter --net=" + path + " sh -c '" + command + "'");
}

nlohmann::json look(const std::string& command) {
  const Output output = shell(command);
  if (output.status != 0) throw std::runtime_error(command + ": " + output.text);
  return output.text.empty() ? nlohmann::json::array() : nlohmann::json::parse(output.text);
}

nlohmann::json lookIn(const NetNS& ns, const std::string& command) {
  const Output output = shellIn(ns, command);
  if (output.status != 0) throw std::runtime_error(command + ": " + output.text);
  return output.text.empty() ? nlohmann::json::array() : nlohmann::json::parse(output.text);
}

HostTest::Traces HostTest::traces() {
  Traces traces;
  for (const auto& link : look("ip -j link")) traces.links.insert(link.at("ifname").get<std::string>());
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/run/netns", none))
    traces.names.insert(entry.path().filename());
  traces.descriptors = descriptors();
  traces.rules = shell("nft list ruleset").text;
  traces.thread = NetNS::current().identity();
  return traces;
}

void HostTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make network namespaces";
  before_ = traces();
}

void HostTest::TearDown() {
  if (IsSkipped()) return;
  for (const std::string& name : bridges_) host().send(link::remove({.name = name}));
  host_.reset();
  const auto limit = Clock::now() + kTakeDownLimit;
  Traces after = traces();
  while (after.links != before_.links && Clock::now() < limit) after = traces();
  EXPECT_EQ(after.links, before_.links);
  EXPECT_EQ(after.rules, before_.rules);
  EXPECT_EQ(after.names, before_.names);
  EXPECT_EQ(after.descriptors, before_.descriptors);
  EXPECT_EQ(after.thread, before_.thread);
}

Socket& HostTest::host() {
  if (!host_) host_ = Socket::open();
  return *host_;
}

int HostTest::addBridge(const std::string& name) {
  host().send(link::addBridge({.name = name, .up = true}));
  bridges_.push_back(name);
  return link::find(host(), {.name = name}).value().index;
}

int HostTest::addContainer(const NetNS& ns, const std::string& hostName, int bridge, const Prefix& address) {
  VethSpec spec;
  spec.name = hostName;
  spec.master = bridge;
  spec.peerName = "eth0";
  spec.peerNS = &ns;
  host().send(link::addVeth(spec));
  Socket container = Socket::open(ns);
  const LinkRef eth0{.name = "eth0", .index = link::find(container, {.name = "eth0"}).value().index};
  container.send(addr::add(eth0, address));
  container.send(link::set(eth0, {.up = true}));
  EXPECT_TRUE(link::waitUp(host(), {.name = hostName}, std::chrono::seconds(5)));
  return eth0.index;
}

// ---- program -----------------------------------------------------------------------------------

// Programs can be started again in the host to play one of several processes: `PROGRAM --role NAME ARGUMENT`.
int playRole(const std::string& name, const std::string& argument);

namespace {

void becomeHost() {
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
      ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0)
    throw std::runtime_error("cannot make a throw-away host");
}

}  // namespace

}  // namespace fairlead::netns

int fairlead::goMain(int argc, char** argv) {
  runtime::lockOSThread();
  if (argc == 4 && std::string(argv[1]) == "--role") return netns::playRole(argv[2], argv[3]);
  testing::InitGoogleTest(&argc, argv);
  if (::geteuid() == 0 && !testing::GTEST_FLAG(list_tests)) netns::becomeHost();
  return RUN_ALL_TESTS();
}
