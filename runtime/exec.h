// Child processes: started from a clean thread, fed, listened to within bounds, and ended.
//
// A process of our own has many threads, and a child copies the namespaces, the directory, the credentials
// and the signal mask of the one that makes it. So it is made by the caller's thread when that is one of the
// pool, and by the template thread when the caller is locked to its own, which may have been changed.
//
// To the kernel that thread is the parent: a child that asks for a signal at its parent's death
// (PR_SET_PDEATHSIG) gets it when the thread ends, as one does whose goroutine ends locked.
//
// The program must not ignore SIGCHLD, or the kernel discards the status before anybody can ask for it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace fairlead::runtime {

// Command is what to run and how.
struct Command {
  std::string path{};                                     // of the file, which is not searched for
  std::vector<std::string> args{};                        // with args[0]; none: the path
  std::optional<std::vector<std::string>> environment{};  // "NAME=value"; none: that of the caller
  std::string directory{};                                // empty: that of the thread that makes the child
  std::string input{};                  // the bytes of its standard input; the child need not read them
  size_t maxOutput = size_t{16} << 20;  // bytes of each output stream; it is killed when it prints more
  std::chrono::nanoseconds timeout{0};  // from the start, then it is killed; 0: none
  bool fromCallersThread = false;       // also when the caller is locked: run it where that thread is
};

// ProcessState is how a process ended.
struct ProcessState {
  enum class End { Exited, TimedOut, PrintedTooMuch };  // the last two were killed

  End end = End::Exited;
  int status = 0;  // as waitpid tells it: see WIFEXITED
  std::string out;
  std::string err;

  [[nodiscard]] bool success() const { return end == End::Exited && status == 0; }
};

// ExecError says that there is no child. call() is the system call that failed, "fork/exec" for the child's
// own attempts to become the program.
class ExecError : public std::system_error {
 public:
  ExecError(int error, const char* call, const std::string& path)
      : std::system_error(error, std::generic_category(), call + (" " + path)), call_(call) {}
  [[nodiscard]] const char* call() const { return call_; }

 private:
  const char* call_;
};

// Process is a started child. It leads a process group of its own, has every signal at its default and none
// blocked, and inherits no file but its three streams.
class Process {
 public:
  // Throws ExecError. Blocks, in a BlockingSection, until the child has become its program.
  explicit Process(const Command& command);
  // A child that has not been waited for is killed with its group, and reaped.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const;
  // wait() collects the output until the child exits; once. Throws ExecError when its status is
  // gone, or its output cannot be read. It does
  // not wait for the streams to be closed: a grandchild that was left behind may hold them for ever, and is
  // spared, as it may be a daemon that is wanted. Killed at its limits, the child takes its group along.
  ProcessState wait();

 private:
  struct Child;
  std::unique_ptr<Child> child_;
};

// run() is a Process from start to end.
inline ProcessState run(const Command& command) { return Process(command).wait(); }

}  // namespace fairlead::runtime
