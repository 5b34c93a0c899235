#include "runtime/exec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "runtime/gmp.h"
#include "runtime/netpoll.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kKillPatience{1};  // one in uninterruptible sleep is left for init to reap

class File {
 public:
  File() = default;
  File(int fd, const char* call, const std::string& path) : fd_(fd) {
    if (fd < 0) throw ExecError(errno, call, path);
  }
  ~File() { reset(); }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

void check(int result, const char* call, const std::string& path) {
  if (result < 0) throw ExecError(errno, call, path);
}

// aboveStreams() keeps a file out of the way of the child's 0, 1 and 2, which we may have free ourselves.
File aboveStreams(File file, const std::string& path) {
  if (file.get() > STDERR_FILENO) return file;
  return {::fcntl(file.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1), "fcntl", path};
}

// inputFile() is in memory: it needs no pump, and a child that does not read it cannot block us.
File inputFile(const Command& command) {
  const std::string& path = command.path;
  File file = aboveStreams({::memfd_create("stdin", MFD_CLOEXEC), "memfd_create", path}, path);
  for (size_t done = 0; done < command.input.size();) {
    const ssize_t n = ::write(file.get(), command.input.data() + done, command.input.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw ExecError(errno, "write", path);
    done += static_cast<size_t>(n);
  }
  if (::lseek(file.get(), 0, SEEK_SET) < 0) throw ExecError(errno, "lseek", path);
  return file;
}

// Watch waits for several files as for one: they are in an epoll of their own, and that is readable when one
// of them is. A goroutine among others waits for it in the poller, so that no thread is held.
class Watch {
 public:
  using Deadline = std::optional<Clock::time_point>;

  explicit Watch(const std::string& path) : epoll_(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1", path) {
    if (sched.multi.load(std::memory_order_relaxed)) desc_ = PollDesc::open(epoll_.get());
  }
  ~Watch() {
    if (desc_ == nullptr) return;
    desc_->evict();
    desc_->close(epoll_.get());
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // add() fails as a system call does.
  [[nodiscard]] int add(const File& file) const {
    epoll_event event{.events = EPOLLIN, .data = {}};
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, file.get(), &event);
  }
  void remove(const File& file) const { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, file.get(), nullptr); }

  // What happens after expect() ends the wait() that follows, which else lasts until the deadline.
  void expect(Deadline deadline) const {
    if (desc_ == nullptr) return;
    if (deadline)
      desc_->setDeadline(std::chrono::nanoseconds(deadline->time_since_epoch()).count(), true, false);
    desc_->reset(PollMode::Read);
  }
  void wait(Deadline deadline) const {
    if (desc_ != nullptr)
      desc_->wait(PollMode::Read);
    else
      pollOne(epoll_, deadline);
  }

  // pollOne() holds the thread.
  static void pollOne(const File& file, Deadline deadline) {
    int patience = -1;
    if (deadline) {
      constexpr int64_t kMost = 3'600'000;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
      patience = static_cast<int>(std::clamp<int64_t>(left, 0, kMost));
    }
    pollfd entry{file.get(), POLLIN, 0};
    const BlockingSection blocking;
    ::poll(&entry, 1, patience);
  }

 private:
  File epoll_;
  PollDesc* desc_ = nullptr;
};

// Output is one of the child's streams on its way to us.
struct Output {
  File reader;
  File writer;
  std::string text;

  explicit Output(const std::string& path) {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "pipe2", path);
    reader = {ends[0], "pipe2", path};
    writer = {ends[1], "pipe2", path};
    writer = aboveStreams(std::move(writer), path);
    check(::fcntl(reader.get(), F_SETFL, O_NONBLOCK), "fcntl", path);
  }

  // drain() takes what is there, and stops listening at the end. Returns false when there is too much. What
  // an error cuts short must not pass for all.
  bool drain(const Watch& watch, size_t most, const std::string& path) {
    std::array<char, 16384> buffer;
    while (reader.open()) {
      const ssize_t n = ::read(reader.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return true;
      if (n < 0) throw ExecError(errno, "read", path);
      if (n == 0) {
        // Closing is not enough while a child that is just being made has a copy.
        watch.remove(reader);
        reader.reset();
      } else {
        text.append(buffer.data(), static_cast<size_t>(n));
      }
      if (text.size() > most) return false;
    }
    return true;
  }
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& one : strings) result.push_back(const_cast<char*>(one.c_str()));
  result.push_back(nullptr);
  return result;
}

// Spawn is one call of posix_spawn, which may be made by another thread than the one that prepared it.
class Spawn {
 public:
  Spawn(const Command& command, int in, int out, int err) : path_(command.path) {
    argv_ = pointers(command.args);
    if (command.args.empty()) argv_.insert(argv_.begin(), const_cast<char*>(path_.c_str()));
    if (command.environment) envp_ = pointers(*command.environment);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawn_file_actions_init(&actions_);
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const std::array streams = {in, out, err};
    for (int i = 0; i < 3; ++i)
      ::posix_spawn_file_actions_adddup2(&actions_, streams[static_cast<size_t>(i)], i);
    if (!command.directory.empty())
      ::posix_spawn_file_actions_addchdir_np(&actions_, command.directory.c_str());
  }
  ~Spawn() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;

  // start() returns the child's id, or throws.
  pid_t start(bool fromCallersThread) {
    {
      const BlockingSection blocking;  // until the child has called exec, a millisecond perhaps
      if (fromCallersThread || getm()->lockedExt.load(std::memory_order_relaxed) == 0)
        spawn();
      else
        runOnTemplateThread([](void* self) { static_cast<Spawn*>(self)->spawn(); }, this);
    }
    if (error_ != 0) throw ExecError(error_, "fork/exec", path_);
    return pid_;
  }

 private:
  void spawn() {
    error_ = ::posix_spawn(&pid_, path_.c_str(), &actions_, &attributes_, argv_.data(),
                           envp_.empty() ? environ : envp_.data());
  }

  const std::string& path_;
  std::vector<char*> argv_;
  std::vector<char*> envp_;
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
  pid_t pid_ = 0;
  int error_ = 0;
};

}  // namespace

struct Process::Child {
  pid_t pid = 0;      // 0 once reaped
  bool lost = false;  // somebody else has taken its status
  File handle;        // pidfd: readable when the child has exited
  Watch watch;        // of the handle and both outputs
  Output out;
  Output err;
  std::string path;
  size_t maxOutput;
  std::optional<Clock::time_point> deadline;

  explicit Child(const Command& command)
      : watch(command.path),
        out(command.path),
        err(command.path),
        path(command.path),
        maxOutput(command.maxOutput) {
    if (command.timeout.count() > 0) deadline = Clock::now() + command.timeout;
    const File in = inputFile(command);
    pid = Spawn(command, in.get(), out.writer.get(), err.writer.get()).start(command.fromCallersThread);
    out.writer.reset();
    err.writer.reset();
    try {
      handle = {static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), "pidfd_open", command.path};
      for (const File* file : {&handle, &out.reader, &err.reader})
        check(watch.add(*file), "epoll_ctl", command.path);
    } catch (...) {
      end();
      throw;
    }
  }
  ~Child() {
    if (pid > 0) end();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // reaped() takes the status of the child if it has exited.
  bool reaped(int& status) {
    pid_t result = 0;
    do {
      result = ::waitpid(pid, &status, WNOHANG);
    } while (result < 0 && errno == EINTR);
    if (result == 0) return false;
    lost = result < 0;
    pid = 0;
    return true;
  }

  // end() kills and reaps the child.
  int end() {
    int status = 0;
    if (reaped(status)) return status;
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
    const auto patience = Clock::now() + kKillPatience;
    while (!reaped(status) && Clock::now() < patience && handle.open()) Watch::pollOne(handle, patience);
    pid = 0;
    return status;
  }
};

Process::Process(const Command& command) : child_(std::make_unique<Child>(command)) {}
Process::~Process() = default;

pid_t Process::pid() const { return child_->pid; }

ProcessState Process::wait() {
  Child& child = *child_;
  ProcessState state;
  for (;;) {
    child.watch.expect(child.deadline);
    // Asked for before its output is taken: what it printed before its end is then there.
    const bool exited = child.reaped(state.status);
    const auto drained = [&](Output& stream) {
      return stream.drain(child.watch, child.maxOutput, child.path);
    };
    if (!drained(child.out) || !drained(child.err)) {
      state.end = ProcessState::End::PrintedTooMuch;
    } else if (!exited && child.deadline && Clock::now() >= *child.deadline) {
      state.end = ProcessState::End::TimedOut;
    } else if (!exited) {
      child.watch.wait(child.deadline);
      continue;
    }
    if (!exited) state.status = child.end();
    if (child.lost) throw ExecError(ECHILD, "waitpid", child.path);
    state.out = std::move(child.out.text);
    state.err = std::move(child.err.text);
    return state;
  }
}

}  // namespace fairlead::runtime
