#include "tests/bench/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <system_error>

namespace fairlead::bench {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what, int error = errno) {
  throw std::system_error(error, std::generic_category(), what);
}

double micros(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
}
double cpuTime(const rusage& usage) { return micros(usage.ru_utime) + micros(usage.ru_stime); }

// Pipe is a pipe whose ends close with it.
struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2");
    read = ends[0];
    write = ends[1];
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(read);
    close(write);
  }
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

// pointers() is a null-terminated array as exec wants it, of `first` (if any) and the strings.
std::vector<char*> pointers(const std::vector<std::string>& strings, const std::string* first = nullptr) {
  std::vector<char*> result;
  result.reserve(strings.size() + 2);
  if (first != nullptr) result.push_back(const_cast<char*>(first->c_str()));
  for (const std::string& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

pid_t spawn(const Command& command, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, command.path.c_str(), &actions, nullptr,
                                  pointers(command.args, &command.path).data(), pointers(command.env).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail(command.path, error);
  return pid;
}

// feed() fills a command's standard input before it starts: a configuration is shorter than a pipe's buffer,
// and one that does not read it (VERSION) cannot kill us by SIGPIPE.
void feed(Pipe& in, const std::string& input) {
  if (::write(in.write, input.data(), input.size()) != static_cast<ssize_t>(input.size())) fail("write");
  Pipe::close(in.write);
}

// drain() reads both streams to their ends.
void drain(Pipe& out, Pipe& err, Finished& result) {
  std::array<pollfd, 2> polled = {{{out.read, POLLIN, 0}, {err.read, POLLIN, 0}}};
  std::array<std::string*, 2> texts = {&result.out, &result.err};
  std::array<char, 65536> buffer;
  for (size_t open = polled.size(); open > 0;) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) fail("poll");
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      const ssize_t got = ::read(polled[i].fd, buffer.data(), buffer.size());
      if (got > 0) {
        texts[i]->append(buffer.data(), static_cast<size_t>(got));
      } else {
        polled[i].fd = -1;
        --open;
      }
    }
  }
}

// traced() becomes the command in a forked child that the parent traces.
[[noreturn]] void traced(const Command& command, const Pipe& in) {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(in.read, STDIN_FILENO);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::execve(command.path.c_str(), pointers(command.args, &command.path).data(), pointers(command.env).data());
  ::_exit(127);
}

long highWaterMark(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  }
  throw std::runtime_error("no VmHWM of process " + std::to_string(pid));
}

}  // namespace

Finished run(const Command& command) {
  Pipe in;
  Pipe out;
  Pipe err;
  Finished result;
  feed(in, command.input);
  const auto began = Clock::now();
  const pid_t pid = spawn(command, in.read, out.write, err.write);
  Pipe::close(in.read);
  Pipe::close(out.write);
  Pipe::close(err.write);
  drain(out, err, result);
  rusage usage{};
  while (::wait4(pid, &result.status, 0, &usage) < 0) {
    if (errno != EINTR) fail("wait4");
  }
  result.wall = std::chrono::duration<double, std::micro>(Clock::now() - began).count();
  result.cpu = cpuTime(usage);
  return result;
}

long peakMemory(const Command& command) {
  Pipe in;
  feed(in, command.input);
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) traced(command, in);
  long peak = 0;
  bool started = false;
  for (int status = 0;;) {
    if (::waitpid(pid, &status, __WALL) < 0) fail("waitpid");
    if (!WIFSTOPPED(status)) {
      if (status != 0) throw std::runtime_error(command.path + " failed while its memory was measured");
      return peak;
    }
    int pass = WSTOPSIG(status);
    if (pass == SIGTRAP) {
      pass = 0;
      // The first stop is the exec; asked for here, the last one is the exit, with the memory still there.
      if (!started) ::ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACEEXIT);
      if (started && (status >> 16) == PTRACE_EVENT_EXIT) peak = highWaterMark(pid);
      started = true;
    }
    ::ptrace(PTRACE_CONT, pid, nullptr, pass);
  }
}

void adoptOrphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) fail("prctl");
}

double reapOrphans() {
  double cpu = 0;
  for (rusage usage{};;) {
    if (::wait4(-1, nullptr, 0, &usage) > 0) {
      cpu += cpuTime(usage);
    } else if (errno == ECHILD) {
      return cpu;
    } else if (errno != EINTR) {
      fail("wait4");
    }
  }
}

}  // namespace fairlead::bench
