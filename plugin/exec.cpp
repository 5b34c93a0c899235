#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "netns/error.h"
#include "netns/fd.h"
#include "plugin/delegate.h"
#include "plugin/error.h"
#include "plugin/stdio.h"
#include "plugin/text.h"
#include "runtime/runtime.h"

namespace fairlead::plugin {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxOutput = size_t{16} << 20;  // of each stream
constexpr size_t kMaxShown = size_t{64} << 10;   // of what a failed child printed, in an error text
constexpr int kKillTimeoutMs = 1000;
constexpr int kSpawnAttempts = 6;  // while the file is "busy": somebody is just installing it

CniError failed(const std::string& path, const std::string& why) {
  return CniError::internal("plugin " + path + " " + why);
}

CniError notRun(const std::string& path, const std::string& call, int error) {
  return failed(path, "could not be run: " + call + ": " + netns::errnoText(error));
}

void check(off_t result, const std::string& path, const char* call) {
  if (result < 0) throw notRun(path, call, errno);
}

std::chrono::seconds timeout() {
  constexpr int kDefault = 120;
  constexpr int kLongest = 24 * 3600;
  const char* text = std::getenv("FAIRLEAD_EXEC_TIMEOUT");
  int seconds = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), seconds);
  return std::chrono::seconds(seconds > 0 ? std::min(seconds, kLongest) : kDefault);
}

// ---- what the child gets -----------------------------------------------------------------------

// childEnvironment() is our own environment with the CNI_* variables of `env`; what is empty there is unset.
std::vector<std::string> childEnvironment(const Environment& env) {
  const std::pair<std::string_view, const std::string&> ours[] = {{"CNI_COMMAND=", env.command},
                                                                  {"CNI_CONTAINERID=", env.containerId},
                                                                  {"CNI_NETNS=", env.netns},
                                                                  {"CNI_IFNAME=", env.ifname},
                                                                  {"CNI_ARGS=", env.args},
                                                                  {"CNI_PATH=", env.path},
                                                                  {"CNI_NETNS_OVERRIDE=", env.netnsOverride}};
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (std::ranges::none_of(ours, [&](const auto& our) { return text.starts_with(our.first); }))
      result.emplace_back(text);
  }
  for (const auto& [name, value] : ours)
    if (!value.empty()) result.push_back(std::string(name) + value);
  return result;
}

// inputFile() holds the child's standard input. A file in memory needs no pump, and a child that does not
// read it cannot block us.
netns::Fd inputFile(const std::string& path, std::string_view input) {
  netns::Fd file(::memfd_create("cni-config", MFD_CLOEXEC));
  check(file.get(), path, "memfd_create");
  if (const int error = writeAll(file.get(), input); error != 0) throw notRun(path, "write", error);
  check(::lseek(file.get(), 0, SEEK_SET), path, "lseek");
  return file;
}

// Spawn carries the attributes of posix_spawn: a process group of its own, so that a timeout ends its
// children with it; no blocked signal, and SIGPIPE, which we ignore, back at its default.
class Spawn {
 public:
  Spawn(int in, int out, int err) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t pipe;
    ::sigemptyset(&none);
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &pipe);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const std::array streams = {in, out, err};
    for (int stream = 0; stream < 3; ++stream)
      ::posix_spawn_file_actions_adddup2(&actions_, streams[static_cast<size_t>(stream)], stream);
  }
  ~Spawn() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;

  // start() returns 0 and sets `pid`, or an errno.
  int start(const std::string& path, const std::vector<std::string>& environment, pid_t& pid) const {
    std::vector<char*> envp;
    envp.reserve(environment.size() + 1);
    for (const std::string& entry : environment) envp.push_back(const_cast<char*>(entry.c_str()));
    envp.push_back(nullptr);
    std::array argv = {const_cast<char*>(path.c_str()), static_cast<char*>(nullptr)};
    return ::posix_spawn(&pid, path.c_str(), &actions_, &attributes_, argv.data(), envp.data());
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// ---- the running child -------------------------------------------------------------------------

// Pipe is a child's output on its way to us.
struct Pipe {
  netns::Fd reader;
  netns::Fd writer;
  std::string text;

  explicit Pipe(const std::string& path) {
    int ends[2];
    check(::pipe2(ends, O_CLOEXEC), path, "pipe2");
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    check(::fcntl(ends[0], F_SETFL, O_NONBLOCK), path, "fcntl");
  }

  // drain() takes what is there. It closes the reader at the end. Returns false when there is too much.
  bool drain() {
    std::array<char, 16384> buffer;
    while (reader) {
      const ssize_t n = ::read(reader.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return true;
      if (n <= 0)
        reader.reset();
      else
        text.append(buffer.data(), static_cast<size_t>(n));
      if (text.size() > kMaxOutput) return false;
    }
    return true;
  }
};

// Child is a started process. It is reaped in any case: one that is still there at the end is killed with its
// group.
class Child {
 public:
  Child(pid_t pid, const std::string& path) : pid_(pid), path_(path) {
    handle_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (handle_) return;
    const int error = errno;
    end();
    throw notRun(path_, "pidfd_open", error);
  }
  ~Child() {
    if (pid_ > 0) end();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // wait() collects the child's output until it exits, and returns its wait status. It does not wait for the
  // pipes to be closed: a grandchild that was left behind may hold them for ever.
  int wait(Pipe& out, Pipe& err, std::chrono::seconds limit) {
    const auto deadline = Clock::now() + limit;
    for (bool exited = false; !exited;) {
      std::array<pollfd, 3> fds = {pollfd{handle_.get(), POLLIN, 0}, pollfd{out.reader.get(), POLLIN, 0},
                                   pollfd{err.reader.get(), POLLIN, 0}};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      if (left.count() <= 0)
        throw failed(path_,
                     "did not finish within " + std::to_string(limit.count()) + " seconds and was killed");
      if (::poll(fds.data(), fds.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
        check(-1, path_, "poll");
      exited = fds[0].revents != 0;
      if (!out.drain() || !err.drain())
        throw failed(path_, "printed more than " + std::to_string(kMaxOutput >> 20) + " MiB and was killed");
    }
    return end();
  }

 private:
  // end() reaps the child, killed with its group if it still runs. After an exit the group is spared: a
  // plugin may have left a daemon on purpose.
  int end() {
    int status = 0;
    const pid_t pid = std::exchange(pid_, 0);
    if (::waitpid(pid, &status, WNOHANG) != 0) return status;
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
    // One in uninterruptible sleep does not die at once; init will reap it.
    pollfd entry{handle_.get(), POLLIN, 0};
    ::poll(&entry, 1, kKillTimeoutMs);
    ::waitpid(pid, &status, WNOHANG);
    return status;
  }

  pid_t pid_;
  const std::string& path_;
  netns::Fd handle_;
};

// statusText() is what Go says of a process that did not succeed.
std::string statusText(int status) {
  if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  const char* name = ::sigdescr_np(WTERMSIG(status));
  std::string text = name == nullptr ? "signal " + std::to_string(WTERMSIG(status)) : name;
  std::ranges::transform(text, text.begin(), lowerCase);
  return "signal: " + text + (WCOREDUMP(status) ? " (core dumped)" : "");
}

// pluginError() is the reference's table of what a failed plugin has to say. A failure without an error
// document has code 0.
CniError pluginError(const std::string& status, std::string_view out, std::string_view err) {
  if (out.empty() && err.empty()) return {Code::Unknown, "netplugin failed with no error message: " + status};
  if (out.empty())
    return {Code::Unknown, "netplugin failed: " + quoted(err.substr(0, kMaxShown)) + ": " + status};
  try {
    const Json document = parseJson(out);
    const Fields fields(document, "Error");
    const int64_t code = fields.integer("code");
    if (!std::in_range<uint32_t>(code))
      throw JsonError("json: cannot unmarshal number " + std::to_string(code) +
                      " into Go struct field Error.code of type uint");
    return {static_cast<Code>(code), fields.string("msg"), fields.string("details")};
  } catch (const JsonError& error) {
    return {Code::Unknown, "netplugin failed but error parsing its diagnostic message " +
                               quoted(out.substr(0, kMaxShown)) + ": " + error.what()};
  }
}

// spawn() starts the plugin, again after a second each time while its file is still being written.
pid_t spawn(const std::string& path, const Environment& env, const Spawn& how) {
  const std::vector<std::string> environment = childEnvironment(env);
  for (int attempt = 1;; ++attempt) {
    pid_t pid = 0;
    const int error = how.start(path, environment, pid);
    if (error == 0) return pid;
    if (error != ETXTBSY || attempt == kSpawnAttempts)
      throw pluginError("fork/exec " + path + ": " + netns::errnoText(error), "", "");
    runtime::sleep(std::chrono::seconds(1));
  }
}

}  // namespace

std::string execPlugin(const std::string& path, const Environment& env, std::string_view input) {
  // A runtime that ignores SIGCHLD hands that down, and the kernel would reap the child without telling its
  // status.
  std::signal(SIGCHLD, SIG_DFL);
  Pipe out(path);
  Pipe err(path);
  int status = 0;
  {
    const netns::Fd in = inputFile(path, input);
    Child child(spawn(path, env, Spawn(in.get(), out.writer.get(), err.writer.get())), path);
    out.writer.reset();
    err.writer.reset();
    const runtime::BlockingSection blocking;
    status = child.wait(out, err, timeout());
  }
  if (status != 0) throw pluginError(statusText(status), out.text, err.text);
  writeAll(STDERR_FILENO, err.text);
  return std::move(out.text);
}

}  // namespace fairlead::plugin
