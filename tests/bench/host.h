// A throw-away host: network and mount namespaces that end with the benchmark.
#pragma once

#include <functional>
#include <string>

namespace fairlead::bench {

// hideMachine() gives the process a mount namespace in which /run is empty, so that no plugin touches the
// machine's. Once, before there are threads.
void hideMachine();

// NetworkNamespace is a new network namespace with its loopback up, reachable as a path, gone with the
// object.
class NetworkNamespace {
 public:
  explicit NetworkNamespace(const std::string& name);
  ~NetworkNamespace();
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  const std::string& path() const { return path_; }
  int fd() const { return fd_; }
  // within() calls `work` with the calling thread inside; what is spawned and the threads that are made are
  // inside too.
  void within(const std::function<void()>& work) const;
  // hasLink() tells whether there is a link of that name.
  bool hasLink(const std::string& name) const;

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace fairlead::bench
