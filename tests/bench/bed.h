// A test bed: one directory of plugins, with a throw-away host and containers of its own.
#pragma once

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
};

// Batch is what calls made at the same time left. Times in microseconds, from the start of the first.
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
  // first + count) at the same time. Everything is checked afterwards: throws std::runtime_error when a call
  // failed, or when the kernel does not show what it should have done.
  Batch call(const std::string& verb, const Network& network, int first, int count);
  // memoryOfAdd() is what an ADD has resident at most, in KiB.
  long memoryOfAdd(const Network& network);
  // VERSION of the bridge plugin: the cost of starting it.
  Command version() const;

  const std::string& directory() const { return directory_; }
  // build() is what the plugin says about itself: "v1.1.1".
  std::string build() const;
  int containers() const { return static_cast<int>(containers_.size()); }

 private:
  struct Container {
    std::unique_ptr<NetworkNamespace> netns;
    nlohmann::json result;  // of the last ADD
    std::string address;    // from it, without the prefix length
  };

  Command command(const std::string& verb, const Network& network, int container) const;
  Batch runTogether(const std::vector<Command>& commands) const;
  void checkAdded(int container, const Finished& finished, const Network& network);
  void checkDeleted(int container, const Network& network) const;
  std::string rules() const;

  std::string directory_;
  std::string name_;
  NetworkNamespace host_;
  std::vector<Container> containers_;
};

}  // namespace fairlead::bench
