// What the tests of the IPAM plugins share: a data directory to throw away, calls in-process and of programs.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "plugin/json.h"

namespace fairlead::plugin {

// Document compares without regard to the order of keys, which nobody may rely on.
using Document = nlohmann::json;

// Reply is what a call of a plugin leaves: its exit status and the document that it printed.
struct Reply {
  int status = 0;
  Document document;

  friend bool operator==(const Reply&, const Reply&) = default;
  std::string msg() const { return document.is_object() ? document.value("msg", "") : ""; }
  int code() const { return document.is_object() ? document.value("code", 0) : 0; }
  // address() is the `index`-th address of a 1.0.0 result, with its prefix length; empty when there is none.
  std::string address(size_t index = 0) const;
};
void PrintTo(const Reply& reply, std::ostream* out);

// Asked is what a call says beside the configuration.
struct Asked {
  std::string verb = "ADD";
  std::string id = "abc";
  std::string ifname = "eth0";
  std::string args = {};
};

// Files are the names and the bytes of a directory's files.
using Files = std::map<std::string, std::string>;

// The reference's plugins, where Debian puts them.
inline const std::string kReference = "/usr/lib/cni/";
bool referenceInstalled();

class IpamTest : public testing::Test {
 protected:
  IpamTest();
  ~IpamTest() override;

  // directory() is a network's data directory; put() writes a file into it, making it first.
  std::string directory(const std::string& network = "net") const { return root_ + "/data/" + network; }
  void put(const std::string& name, const std::string& content) const;
  Files files() const;
  // reservations() are files() but the lock and the ring's memory.
  Files reservations() const;
  void wipe() const;

  // conf() is a configuration of the plugin with these members of "ipam"; its data directory is this test's.
  Json conf(const std::string& type, const Json& ipam, const std::string& version = "1.0.0") const;
  // ours() calls a built-in plugin in-process; theirs() executes the program at `path`.
  Reply ours(const Json& conf, const Asked& asked) const;
  Reply theirs(const std::string& path, const Json& conf, const Asked& asked) const;
  // start() executes without waiting, finish() waits.
  pid_t start(const std::string& path, const Json& conf, const Asked& asked) const;
  Reply finish(pid_t child) const;

  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

}  // namespace fairlead::plugin
