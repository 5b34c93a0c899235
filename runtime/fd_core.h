// Internal: what Fds refer to. The number, who uses it, and the loop of every call: attempt, wait, again.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <string>

#include "runtime/fd.h"
#include "runtime/mutex.h"
#include "runtime/netpoll.h"
#include "runtime/runtime.h"

namespace fairlead::runtime::detail {

// attempt() returns -errno for a failure. Never inlined: the address of errno, which a compiler takes once
// per function, is another one after a park.
template <class Call>
[[gnu::noinline]] ssize_t attempt(Call& call, int fd) {
  const ssize_t n = call(fd);
  return n < 0 ? -errno : n;
}

class FdCore {
 public:
  FdCore(int fd, std::string name, Fd::Kind kind);
  ~FdCore();
  FdCore(const FdCore&) = delete;
  FdCore& operator=(const FdCore&) = delete;

  // run() calls `call(fd)`, as often as need be: until it succeeds, or fails for good, which throws. Calls of
  // one mode happen one after the other. `what` is the verb of the error.
  template <class Call>
  std::size_t run(PollMode mode, const char* what, Call call);
  // read() is run() for what takes at most `wanted` bytes, of a Stream.
  template <class Call>
  std::size_t read(std::size_t wanted, Call call);
  // connect() is run() for what has been begun when it is first called.
  void connect(const sockaddr* address, socklen_t length);

  void setDeadline(Fd::Deadline deadline, bool read, bool write);
  void close();
  bool acquire();  // false: closed
  void release();

  [[noreturn]] void fail(const char* what, std::error_code error) const;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Fd::Kind kind() const { return kind_; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  static constexpr uint32_t kClosing = 1U << 31;

  Mutex& mutex(PollMode mode) { return mode == PollMode::Read ? reading_ : writing_; }
  void check(const char* what, PollResult result) const;
  void prepare(const char* what, PollMode mode) {
    if (desc_ != nullptr) check(what, desc_->reset(mode));
  }
  void wait(const char* what, PollMode mode) { check(what, desc_->wait(mode)); }
  template <class Call>
  std::size_t loop(PollMode mode, const char* what, Call& call);

  const int fd_;
  const Fd::Kind kind_;
  const std::string name_;
  PollDesc* desc_ = nullptr;       // nullptr: nothing to wait for
  std::atomic<uint32_t> uses_{1};  // calls going on, one for not being closed, and kClosing
  Mutex reading_;
  Mutex writing_;
  bool drained_ = false;  // the last read has emptied it: wait before the next; under reading_
};

template <class Call>
std::size_t FdCore::loop(PollMode mode, const char* what, Call& call) {
  for (;;) {
    const ssize_t n = attempt(call, fd_);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (n == -EAGAIN && desc_ != nullptr) {
      wait(what, mode);
    } else if (n != -EINTR) {
      fail(what, {static_cast<int>(-n), std::generic_category()});
    }
  }
}

template <class Call>
std::size_t FdCore::run(PollMode mode, const char* what, Call call) {
  const FdUse use(*this, what);
  const std::lock_guard lock(mutex(mode));
  prepare(what, mode);
  if (mode == PollMode::Read) drained_ = false;  // the edge that ended that has just been forgotten
  if (desc_ != nullptr) return loop(mode, what, call);
  const auto section = [&call](int fd) {
    const BlockingSection blocking;
    return call(fd);
  };
  return loop(mode, what, section);
}

// An edge that comes after a read that got less than it asked for is not lost: it is waited for without being
// reset. A peer that has shut down causes none; then there is always an attempt.
template <class Call>
std::size_t FdCore::read(std::size_t wanted, Call call) {
  if (kind_ != Fd::Kind::Stream || desc_ == nullptr) return run(PollMode::Read, "read", call);
  const FdUse use(*this, "read");
  const std::lock_guard lock(reading_);
  drained_ ? wait("read", PollMode::Read) : prepare("read", PollMode::Read);
  drained_ = false;
  const std::size_t n = loop(PollMode::Read, "read", call);
  drained_ = n > 0 && n < wanted && !desc_->hungUp();
  return n;
}

}  // namespace fairlead::runtime::detail
