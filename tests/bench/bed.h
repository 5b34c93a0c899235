// A test bed: one directory of plugins, with a throw-away host and containers of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/bench/host.h"
#include "tests/bench/process.h"

namespace fairlead::bench {

// Network says how the containers are attached.
struct Network {
  bool masquerade = false;
  int number = 0;  // each has a bridge, a subnet and a data directory of its own
};

// Batch is what calls made one beside the other left. Times in microseconds, from the start of the first.
struct Batch {
  std::vector<Finished> calls;
  double wall = 0;     // until the last call ended
  double settled = 0;  // until nothing that the calls left running is there any more
  double cpu = 0;      // of all calls, their children and what they left running
};

class Bed {
 public:
  // `number` tells the beds of one run apart.
  Bed(const std::string& directory, int number, int containers);

  // call() makes one call of the bridge plugin (which calls host-local) for each of the containers [first,
  // first + count), `width` at a time. Everything is checked afterwards: throws std::runtime_error when a
  // call failed, or when the kernel does not show what it should have done.
  Batch call(const std::string& verb, const Network& network, int first, int count, int width);
  // memoryOfAdd() is what an ADD has resident at most, in KiB.
  long memoryOfAdd(const Network& network);
  // VERSION of the bridge plugin: the cost of starting it.
  Command version() const;
  // An ADD of it that has no CNI_NETNS: the cost of an error.
  Command incomplete() const;

  const std::string& directory() const { return directory_; }
  const NetworkNamespace& host() const { return host_; }
  const NetworkNamespace& container(int number) const {
    return *containers_.at(static_cast<size_t>(number)).netns;
  }
  // build() is what the plugin says about itself: "v1.1.1".
  std::string build() const;
  int containers() const { return static_cast<int>(containers_.size()); }
  // bridgeOf() is the name of a network's bridge.
  static std::string bridgeOf(const Network& network);

 private:
  struct Container {
    std::unique_ptr<NetworkNamespace> netns;
    nlohmann::json result;  // of the last ADD
    std::string address;    // from it, without the prefix length
  };

  Command command(const std::string& verb, const Network& network, int container) const;
  std::string nameOf(const Network& network) const;
  Batch runTogether(const std::vector<Command>& commands, int width) const;
  void checkAdded(int container, const Finished& finished, const std::string* rules);
  void checkDeleted(int container, const Network& network, const std::string* rules) const;
  std::string rules() const;

  std::string directory_;
  std::string name_;
  NetworkNamespace host_;
  std::vector<Container> containers_;
};

}  // namespace fairlead::bench
