#include "tests/plugin/cni.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>

namespace fairlead::plugin {
namespace {

int file(const char* name, const std::string& content = {}) {
  const int fd = ::memfd_create(name, 0);
  if (fd < 0 || ::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    throw std::runtime_error("memfd_create");
  }
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

std::string contentOf(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  ::lseek(fd, 0, SEEK_SET);
  for (ssize_t n; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<size_t>(n));
  return text;
}

// refuseNetfilter() makes socket(AF_NETLINK, ..., NETLINK_NETFILTER) fail in this process and its children.
void refuseNetfilter() {
  const auto load = [](size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)};
  };
  const auto orElse = [](uint32_t value, uint8_t skip) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value};
  };
  const auto answer = [](uint32_t value) { return sock_filter{BPF_RET | BPF_K, 0, 0, value}; };
  std::array program = {load(offsetof(seccomp_data, nr)),
                        orElse(SYS_socket, 5),
                        load(offsetof(seccomp_data, args[0])),
                        orElse(AF_NETLINK, 3),
                        load(offsetof(seccomp_data, args[2])),
                        orElse(NETLINK_NETFILTER, 1),
                        answer(SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
                        answer(SECCOMP_RET_ALLOW)};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0) ::_exit(126);
}

void setEnvironment(const CniCall& call) {
  const auto set = [](const char* name, const std::string& value) {
    if (value.empty()) {
      ::unsetenv(name);
    } else {
      ::setenv(name, value.c_str(), 1);
    }
  };
  set("CNI_COMMAND", call.command);
  set("CNI_CONTAINERID", call.container);
  set("CNI_NETNS", call.netns);
  set("CNI_IFNAME", call.ifname);
  set("CNI_ARGS", call.args);
  set("CNI_PATH", call.directory);
}

}  // namespace

CniProcess::CniProcess(const CniCall& call) {
  const int in = file("stdin", call.conf);
  out_ = file("stdout");
  err_ = file("stderr");
  const std::string binary = call.directory + "/" + call.type;
  const std::string command = "exec " + call.wrapper + " " + binary;
  pid_ = ::fork();
  if (pid_ == 0) {
    setEnvironment(call);
    ::dup2(in, 0);
    ::dup2(out_, 1);
    ::dup2(err_, 2);
    if (call.withoutNft) refuseNetfilter();
    ::alarm(60);
    if (call.wrapper.empty()) ::execl(binary.c_str(), binary.c_str(), nullptr);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in);
}

CniProcess::~CniProcess() {
  if (status_ < 0) {
    ::kill(pid_, SIGKILL);
    wait();
  }
  ::close(out_);
  ::close(err_);
}

bool CniProcess::running() {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  return info.si_pid == 0;
}

CniOutcome CniProcess::wait() {
  ::waitpid(pid_, &status_, 0);
  return {.status = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1,
          .out = contentOf(out_),
          .err = contentOf(err_)};
}

CniOutcome cni(const CniCall& call) { return CniProcess(call).wait(); }

}  // namespace fairlead::plugin
