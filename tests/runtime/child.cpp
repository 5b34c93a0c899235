#include "tests/runtime/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "runtime/runtime.h"

namespace fairlead::runtime {
namespace {

constexpr auto kLimit = std::chrono::seconds(60);

// Pipe is closed on scope exit; the write end goes to the child.
struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
    read = ends[0];
    write = ends[1];
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(read);
    if (write >= 0) close(write);
  }
  void closeWrite() { close(std::exchange(write, -1)); }
};

// drain() reads both pipes to their ends or until the limit; false then.
bool drain(int out, int err, Outcome& outcome) {
  std::array<pollfd, 2> fds{{{out, POLLIN, 0}, {err, POLLIN, 0}}};
  const auto deadline = std::chrono::steady_clock::now() + kLimit;
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || poll(fds.data(), fds.size(), static_cast<int>(left.count())) == 0) return false;
    for (pollfd& fd : fds) {
      if (fd.fd < 0 || fd.revents == 0) continue;
      std::array<char, 4096> buffer;
      const ssize_t n = read(fd.fd, buffer.data(), buffer.size());
      if (n <= 0) {
        fd.fd = -1;
      } else {
        (fd.fd == out ? outcome.out : outcome.err).append(buffer.data(), static_cast<size_t>(n));
      }
    }
  }
  return true;
}

}  // namespace

Outcome runProgram(const std::vector<std::string>& argv) {
  const BlockingSection blocking;
  Pipe out;
  Pipe err;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write, STDERR_FILENO);
  std::vector<char*> args;
#if defined(EMULATOR)  // the programs are another machine's, and the kernel would refuse them
  static char emulator[] = EMULATOR;
  args.push_back(emulator);
#endif
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, args[0], &actions, nullptr, args.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), argv[0]);
  out.closeWrite();
  err.closeWrite();

  Outcome outcome;
  if (!drain(out.read, err.read, outcome)) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) == -1 && errno == EINTR) {
  }
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

}  // namespace fairlead::runtime
