// Calling a plugin binary as a container runtime does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace fairlead::plugin {

// CniCall is one call: the environment, and the configuration for standard input.
struct CniCall {
  std::string command;
  std::string conf;
  std::string netns;
  std::string container = "c1";
  std::string ifname = "eth0";
  std::string args = {};
  std::string directory = FAIRLEAD_CNI_DIR;  // of the plugins, CNI_PATH
  std::string type = "bridge";
  std::string wrapper = {};  // shell words in front of the binary: "strace -f ..."
  bool withoutNft = false;   // the kernel refuses netfilter sockets, as one without nf_tables does
};

struct CniOutcome {
  int status = -1;  // exit status; -1: killed by a signal
  std::string out;
  std::string err;

  nlohmann::json json() const { return nlohmann::json::parse(out); }
  std::string msg() const { return json().at("msg"); }
};

// cni() makes the call and waits for its end, 60 s at most.
CniOutcome cni(const CniCall& call);

// CniProcess is a call under way.
class CniProcess {
 public:
  explicit CniProcess(const CniCall& call);
  CniProcess(const CniProcess&) = delete;
  CniProcess& operator=(const CniProcess&) = delete;
  ~CniProcess();

  int pid() const { return pid_; }
  bool running();
  CniOutcome wait();

 private:
  int pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  int status_ = -1;
};

}  // namespace fairlead::plugin
