// Fd: a file descriptor on which goroutines wait, and no thread does.
//
//     Fd tap(open("/dev/net/tun", O_RDWR | O_CLOEXEC), "tun0");
//     tap.setReadDeadline(std::chrono::steady_clock::now() + 1s);
//     const std::size_t n = tap.read(std::as_writable_bytes(std::span(buffer)));
//
// A Fd is a reference: copies are the same descriptor, which is closed by close() or when the last copy goes.
// It may be used by any number of goroutines at once; reads happen one after the other, writes too. The
// number stays valid while a call uses it, whoever closes the Fd meanwhile.
//
// Sockets, pipes, terminals and the like wait in the poller (netpoll.h). What has nothing to wait for, such
// as a regular file, is used in a BlockingSection, and deadlines and close() do not interrupt it. The
// descriptor is made non-blocking, for everybody who shares it. Writing to a pipe or, unless the Kind says
// that it is one, to a socket that nobody reads raises SIGPIPE.
//
// Failures are std::system_error with what was attempted: "read tun0: ...". Besides the kernel's there are
// two codes, IoError::Closed for a Fd that is or was meanwhile closed, IoError::Timeout for a deadline.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace fairlead::runtime {

enum class IoError : uint8_t { Closed = 1, Timeout };

// An IoError compares equal to the condition of the standard that means the same: bad_file_descriptor,
// timed_out.
std::error_code make_error_code(IoError error);

namespace detail {

class FdCore;

// FdUse keeps the number valid for its scope.
class FdUse {
 public:
  FdUse(FdCore& core, const char* what);  // throws when the Fd has been closed
  ~FdUse();
  FdUse(const FdUse&) = delete;
  FdUse& operator=(const FdUse&) = delete;
  [[nodiscard]] int fd() const;

 private:
  FdCore& core_;
};

}  // namespace detail

class Fd {
 public:
  // Kind spares system calls: a Socket is written to without SIGPIPE, and a read from a Stream (TCP) that got
  // less than it asked for has emptied it, so that the next one waits at once.
  enum class Kind : uint8_t { File, Socket, Stream };
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  // Takes `fd`, also when it throws. `name` is for the texts of errors.
  Fd(int fd, std::string name, Kind kind = Kind::File);

  // read() waits until there is something and returns how many bytes it was; 0: the end, or `into` is empty.
  std::size_t read(std::span<std::byte> into) const;
  std::size_t readv(std::span<const iovec> into) const;
  // write() returns when everything has been written. Thrown in between, it may have been in part.
  void write(std::span<const std::byte> from) const;
  void write(std::string_view from) const { write(std::as_bytes(std::span(from))); }
  void writev(std::span<const iovec> from) const;

  // recvmsg() and sendmsg() are the system calls, but for the waiting.
  std::size_t recvmsg(msghdr& message, int flags = 0) const;
  std::size_t sendmsg(const msghdr& message, int flags = 0) const;
  // accept() waits for a connection and returns it, of this one's Kind and name.
  [[nodiscard]] Fd accept() const;
  // connect() returns when the connection stands.
  void connect(const sockaddr* address, socklen_t length) const;

  // A deadline holds for calls that go on and for all to come, until it is set anew; nullopt: none. Once it
  // has passed they throw IoError::Timeout. Does nothing for what does not wait.
  void setDeadline(Deadline deadline) const;
  void setReadDeadline(Deadline deadline) const;
  void setWriteDeadline(Deadline deadline) const;

  // close() makes all calls throw IoError::Closed, those that wait too; the number is given back when the
  // last one has returned. Closing again does nothing.
  void close() const;

  // control() returns f(number), for system calls that are not here. They must not block.
  template <class F>
  decltype(auto) control(F&& f) const {
    const detail::FdUse use(*core_, "control");
    return std::invoke(std::forward<F>(f), use.fd());
  }
  [[nodiscard]] const std::string& name() const;

 private:
  std::shared_ptr<detail::FdCore> core_;
};

}  // namespace fairlead::runtime

template <>
struct std::is_error_code_enum<fairlead::runtime::IoError> : std::true_type {};
