// The throw-away host of root tests, and other tools' eyes on it.
//
// The test program moves to network and mount namespaces of its own before the first test, with an empty
// /run: that is the host, so tests disturb neither the machine nor each other. Containers are namespaces that
// a test makes.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "netns/link.h"
#include "netns/netlink.h"
#include "netns/netns.h"

namespace fairlead::netns {

// What a shell command printed, on both channels, and its exit status.
struct Output {
  int status = 0;
  std::string text;
};
Output shell(const std::string& command);
// shellIn() runs a command in a namespace.
Output shellIn(const NetNS& ns, const std::string& command);
// look() parses what a command prints; a failure is an exception.
nlohmann::json look(const std::string& command);
nlohmann::json lookIn(const NetNS& ns, const std::string& command);

// HostTest is a root test. It proves that the test left no link, nftables rule, named namespace or descriptor
// behind and that its thread is in the host's namespace. It skips, with the reason, who is not root.
class HostTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // host() is a socket in the host, opened on first use.
  Socket& host();
  // addBridge() makes a bridge that is up and that TearDown removes; its index.
  int addBridge(const std::string& name);
  // addContainer() wires `ns` to a bridge as eth0 (up, with `address`); the index of eth0.
  int addContainer(const NetNS& ns, const std::string& hostName, int bridge, const Prefix& address);

 private:
  struct Traces {
    std::set<std::string> links, names, descriptors;
    std::string rules;
    NetNS::Identity thread;
    friend bool operator==(const Traces&, const Traces&) = default;
  };
  static Traces traces();

  Traces before_;
  std::optional<Socket> host_;
  std::vector<std::string> bridges_;
};

// closed() closes the namespace, so that whoever uses it fails.
inline const NetNS& closed(NetNS& ns) {
  const NetNS taken = std::move(ns);
  return ns;  // NOLINT(bugprone-use-after-move): what has been moved from is what is wanted
}

// codeOf() is the errno of the Error that f throws, 0 when it throws none.
template <class F>
int codeOf(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  return 0;
}

}  // namespace fairlead::netns
