#include "tests/crash/tracer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <map>
#include <system_error>
#include <utility>

namespace fairlead::crash {
namespace {

constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                          PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// MemoryFile is a file without a name: never full, never waited for, as a pipe would be.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& content = {}) : fd_(::memfd_create("stream", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::pwrite(fd_, content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
      fail("memfd_create");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int fd() const { return fd_; }
  std::string content() const {
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t got;
         (got = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(text.size()))) > 0;)
      text.append(buffer.data(), static_cast<size_t>(got));
    return text;
  }

 private:
  int fd_;
};

// Watchdog interrupts waitpid once the time is up, and again every second in case the first one came between
// two of them.
class Watchdog {
 public:
  Watchdog() {
    rang = false;
    struct sigaction action {};
    action.sa_handler = [](int) { rang = true; };
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval timer{.it_interval = {.tv_sec = 1, .tv_usec = 0},
                          .it_value = {.tv_sec = kLimitSeconds, .tv_usec = 0}};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
  ~Watchdog() {
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  inline static volatile std::sig_atomic_t rang = false;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  for (std::string& text : strings) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

pid_t start(const Program& program, bool traced, int in, int out, int err) {
  std::vector<std::string> words = {program.path};
  words.insert(words.end(), program.args.begin(), program.args.end());
  std::vector<std::string> variables = program.env;
  const std::vector<char*> argv = pointers(words);
  const std::vector<char*> envp = pointers(variables);
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid > 0) return pid;
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::setpgid(0, 0);
  if (traced) ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::execve(program.path.c_str(), argv.data(), envp.data());
  ::_exit(127);
}

// Trace follows one program to its end.
class Trace {
 public:
  Trace(pid_t program, const Strike& strike, Ending& ending)
      : program_(program), strike_(strike), ending_(ending) {
    tasks_[program];
  }

  void follow() {
    const Watchdog watchdog;
    for (;;) {
      int status = 0;
      const pid_t task = ::waitpid(-1, &status, __WALL);
      if (task < 0 && errno == ECHILD) return;
      if (task < 0 && errno != EINTR) fail("waitpid");
      if (Watchdog::rang && !ending_.hung) {
        ending_.hung = true;
        killAll();
      }
      if (task > 0) reported(task, status);
    }
  }

 private:
  struct Task {
    bool started = false;  // its first stop, which is ours, has been seen
    int error = 0;         // to return from the call that it is in
    uint64_t brk = 0;      // the argument that its brk had
  };

  void reported(pid_t task, int status) {
    if (!WIFSTOPPED(status)) {
      tasks_.erase(task);
      if (task == program_ && WIFEXITED(status)) ending_.status = WEXITSTATUS(status);
      if (task == program_ && WIFSIGNALED(status)) ending_.signal = WTERMSIG(status);
      if (task == program_) dismiss();
      return;
    }
    // Who was born while the others were being killed.
    if (killing_) ::kill(task, SIGKILL);
    stopped(task, tasks_[task], status);
  }

  void stopped(pid_t id, Task& task, int status) {
    const int signal = WSTOPSIG(status);
    int pass = 0;
    if (signal == kSyscallStop) {
      atSystemCall(id, task);
    } else if (!task.started) {
      task.started = true;
      if (id == program_) ::ptrace(PTRACE_SETOPTIONS, id, nullptr, kOptions);
    } else if (status >> 16 == 0) {
      pass = signal;
    }
    // ESRCH: it has been killed meanwhile.
    ::ptrace(strike_.kind == Strike::Kind::None ? PTRACE_CONT : PTRACE_SYSCALL, id, nullptr, pass);
  }

  void atSystemCall(pid_t id, Task& task) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof info, &info) < 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      entered(id, task, info);
    } else if (const uint64_t wanted = std::exchange(task.brk, 0); wanted != 0) {
      setRegister(id, offsetof(user_regs_struct, rdi), static_cast<long>(wanted));
    } else if (const int error = std::exchange(task.error, 0); error != 0) {
      setRegister(id, offsetof(user_regs_struct, rax), -error);
    }
  }

  void entered(pid_t id, Task& task, const __ptrace_syscall_info& info) {
    SystemCall call{.number = static_cast<long>(info.entry.nr)};
    std::copy(std::begin(info.entry.args), std::end(info.entry.args), std::begin(call.args));
    // The first thing that the binary's main does, and nothing before it, is to look whether 0 is open.
    if (call.number == SYS_fcntl && call.args[0] == 0 && call.args[1] == F_GETFD) inMain_ = true;
    if (ending_.struck || killing_) return;
    if (strike_.kind == Strike::Kind::Kill) {
      if (++seen_ != strike_.at) return;
      hit(call);
      killAll();
      return;
    }
    const auto errors = errorsOf(call);
    const long first = seen_;
    seen_ += static_cast<long>(errors.size());
    if (strike_.at > seen_) return;
    hit(call);
    ending_.error = errors[static_cast<size_t>(strike_.at - first - 1)];
    refuse(id, task, call);
  }

  void refuse(pid_t id, Task& task, const SystemCall& call) {
    if (call.number == SYS_brk) {
      // The kernel refuses by saying where the break is, as it does when it is asked. Registers survive a
      // call.
      task.brk = call.args[0];
      setRegister(id, offsetof(user_regs_struct, rdi), 0);
      return;
    }
    task.error = ending_.error;
    // A close that fails has closed.
    if (call.number != SYS_close) setRegister(id, offsetof(user_regs_struct, orig_rax), -1);
  }

  // dismiss() spares us the half second for which a process of a DEL only keeps sockets, unless its calls are
  // still to be struck.
  void dismiss() const {
    if (strike_.kind == Strike::Kind::None || ending_.struck) ::kill(-program_, SIGTERM);
  }

  void hit(const SystemCall& call) {
    ending_.struck = true;
    ending_.beforeMain = !inMain_;
    ending_.call = call;
  }

  static void setRegister(pid_t id, size_t offset, long value) {
    ::ptrace(PTRACE_POKEUSER, id, offset, value);
  }

  void killAll() {
    killing_ = true;
    for (const auto& [id, task] : tasks_) ::kill(id, SIGKILL);
  }

  pid_t program_;
  const Strike& strike_;
  Ending& ending_;
  std::map<pid_t, Task> tasks_;
  long seen_ = 0;
  bool inMain_ = false;
  bool killing_ = false;
};

}  // namespace

std::string Ending::where() const {
  if (!struck) return "not struck";
  const std::string when = beforeMain ? ", before main" : "";
  if (error == 0) return "killed before " + nameOf(call.number) + when;
  return nameOf(call.number) + " fails with " + errorName(error) + when;
}

Ending run(const Program& program, const Strike& strike) {
  const MemoryFile in(program.input);
  const MemoryFile out;
  const MemoryFile err;
  Ending ending;
  const bool traced = strike.kind != Strike::Kind::None;
  const pid_t pid = start(program, traced, in.fd(), out.fd(), err.fd());
  Trace(pid, strike, ending).follow();
  ending.out = out.content();
  ending.err = err.content();
  return ending;
}

void adoptOrphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) fail("prctl");
}

}  // namespace fairlead::crash
