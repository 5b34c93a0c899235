// Several processes that set up the same host at once. Root.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "netns/nft.h"
#include "tests/netns/host.h"

namespace fairlead::netns {

namespace {

const nft::Table kTable{.family = nft::Family::Inet, .name = "shared"};
constexpr int kProcesses = 8;

// ensureHost() does what the first ADD on a host does, tolerating that another did it first.
int ensureHost(const std::string& number) {
  Socket route = Socket::open();
  std::vector<Request> requests;
  requests.push_back(link::addBridge({.name = "br0"}).tolerate(EEXIST));
  requests.push_back(link::findRequest({.name = "br0"}));
  const auto bridge = link::parse(route.send(requests).back());
  if (!bridge || bridge->kind != "bridge") return 2;

  Socket netfilter = Socket::open(Socket::Family::Netfilter);
  nft::Transaction transaction(kTable);
  transaction.addTable()
      .addChain("post", nft::Hook{"nat", "postrouting", 100})
      .addVerdictMap("m4", true)
      .addChain("att-" + number)
      .addElement("m4", IP::v4({10, 0, 0, static_cast<uint8_t>(std::stoi(number))}), {"att-" + number});
  transaction.commit(netfilter);
  return 0;
}

}  // namespace

int playRole(const std::string& name, const std::string& argument) {
  if (name != "ensure-host") return 64;
  return ensureHost(argument);
}

namespace {

class RaceTest : public HostTest {};

TEST_F(RaceTest, ProcessesThatMakeTheSameBridgeAndTableAllSucceed) {
  std::vector<pid_t> children;
  for (int i = 1; i <= kProcesses; ++i) {
    std::string role = "--role";
    std::string name = "ensure-host";
    std::string number = std::to_string(i);
    std::string program = "/proc/self/exe";
    std::vector<char*> arguments = {program.data(), role.data(), name.data(), number.data(), nullptr};
    pid_t child = 0;
    ASSERT_EQ(::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ), 0);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }

  EXPECT_EQ(look("ip -j link show type bridge").size(), 1U);
  Socket netfilter = Socket::open(Socket::Family::Netfilter);
  EXPECT_EQ(nft::listElements(netfilter, kTable, "m4").size(), static_cast<size_t>(kProcesses));
  EXPECT_EQ(nft::listChains(netfilter, kTable).size(), static_cast<size_t>(kProcesses) + 1);
  nft::Transaction(kTable).deleteTable().commit(netfilter);
  host().send(link::remove({.name = "br0"}));
}

}  // namespace
}  // namespace fairlead::netns
