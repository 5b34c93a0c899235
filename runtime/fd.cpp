#include "runtime/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "runtime/fd_core.h"

namespace fairlead::runtime {
namespace {

class IoCategory : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "io"; }
  [[nodiscard]] std::string message(int code) const override {
    return static_cast<IoError>(code) == IoError::Closed ? "use of closed file descriptor" : "i/o timeout";
  }
  [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
    return static_cast<IoError>(code) == IoError::Closed ? std::errc::bad_file_descriptor
                                                         : std::errc::timed_out;
  }
};

bool setNonblocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && ((flags & O_NONBLOCK) != 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}

// Window is the part of a scattered buffer that one system call takes.
class Window {
 public:
  explicit Window(std::span<const iovec> rest) : rest_(rest) { refill(); }

  [[nodiscard]] bool empty() const { return first_ == end_; }
  iovec* data() { return &pieces_[first_]; }
  [[nodiscard]] int size() const { return static_cast<int>(end_ - first_); }
  void advance(std::size_t n) {
    while (first_ < end_ && n >= pieces_[first_].iov_len) n -= pieces_[first_++].iov_len;
    if (first_ == end_) return refill();
    pieces_[first_].iov_base = static_cast<char*>(pieces_[first_].iov_base) + n;
    pieces_[first_].iov_len -= n;
  }

 private:
  void refill() {
    first_ = 0;
    end_ = std::min(rest_.size(), pieces_.size());
    std::copy_n(rest_.begin(), end_, pieces_.begin());
    rest_ = rest_.subspan(end_);
  }

  std::span<const iovec> rest_;
  std::array<iovec, 64> pieces_;
  std::size_t first_ = 0;
  std::size_t end_ = 0;
};

}  // namespace

std::error_code make_error_code(IoError error) {
  static const IoCategory category;
  return {static_cast<int>(error), category};
}

namespace detail {

FdUse::FdUse(FdCore& core, const char* what) : core_(core) {
  if (!core.acquire()) core.fail(what, IoError::Closed);
}

FdUse::~FdUse() { core_.release(); }

int FdUse::fd() const { return core_.fd(); }

FdCore::FdCore(int fd, std::string name, Fd::Kind kind) : fd_(fd), kind_(kind), name_(std::move(name)) {
  try {
    if (!setNonblocking(fd)) throw std::system_error(errno, std::generic_category());
    desc_ = PollDesc::open(fd);
  } catch (const std::system_error& error) {
    if (fd >= 0) ::close(fd);
    fail("open", error.code());
  }
}

FdCore::~FdCore() { close(); }

bool FdCore::acquire() {
  uint32_t uses = uses_.load(std::memory_order_relaxed);
  do {
    if ((uses & kClosing) != 0) return false;
  } while (!uses_.compare_exchange_weak(uses, uses + 1, std::memory_order_acquire));
  return true;
}

void FdCore::release() {
  if (uses_.fetch_sub(1, std::memory_order_acq_rel) != (kClosing | 1)) return;
  if (desc_ != nullptr) desc_->close(fd_);
  ::close(fd_);
}

void FdCore::close() {
  if ((uses_.fetch_or(kClosing, std::memory_order_acq_rel) & kClosing) != 0) return;
  if (desc_ != nullptr) desc_->evict();
  release();
}

void FdCore::fail(const char* what, std::error_code error) const {
  throw std::system_error(error, std::string(what) + " " + name_);
}

void FdCore::check(const char* what, PollResult result) const {
  if (result == PollResult::Closing) fail(what, IoError::Closed);
  if (result == PollResult::Timeout) fail(what, IoError::Timeout);
}

void FdCore::connect(const sockaddr* address, socklen_t length) {
  const FdUse use(*this, "connect");
  const std::lock_guard lock(writing_);
  const auto call = [&](int fd) { return ::connect(fd, address, length); };
  for (;;) {  // called again, connect says how far the first call has come
    prepare("connect", PollMode::Write);
    const ssize_t result = attempt(call, fd_);
    if (result == 0 || result == -EISCONN) return;
    if (result != -EINPROGRESS && result != -EALREADY && result != -EINTR) {
      fail("connect", {static_cast<int>(-result), std::generic_category()});
    }
    wait("connect", PollMode::Write);
  }
}

void FdCore::setDeadline(Fd::Deadline deadline, bool read, bool write) {
  const FdUse use(*this, "set deadline");
  if (desc_ == nullptr) return;
  const int64_t when = deadline.has_value() ? deadline->time_since_epoch().count() : 0;
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max() - 1;
  desc_->setDeadline(deadline.has_value() ? std::clamp<int64_t>(when, 1, kLast) : 0, read, write);
}

}  // namespace detail

Fd::Fd(int fd, std::string name, Kind kind)
    : core_(std::make_shared<detail::FdCore>(fd, std::move(name), kind)) {}

// On sockets recv and send do less than read, write and sendmsg.
std::size_t Fd::read(std::span<std::byte> into) const {
  if (into.empty()) return 0;
  const bool socket = core_->kind() != Kind::File;
  return core_->read(into.size(), [=](int fd) {
    return socket ? ::recv(fd, into.data(), into.size(), 0) : ::read(fd, into.data(), into.size());
  });
}

std::size_t Fd::readv(std::span<const iovec> into) const {
  const auto count = static_cast<int>(std::min<std::size_t>(into.size(), IOV_MAX));
  return core_->run(PollMode::Read, "readv", [=](int fd) { return ::readv(fd, into.data(), count); });
}

// One run, here and in writev(), so that what others write does not come in between.
void Fd::write(std::span<const std::byte> from) const {
  const bool socket = core_->kind() != Kind::File;
  core_->run(PollMode::Write, "write", [&](int fd) -> ssize_t {
    while (!from.empty()) {
      const ssize_t n =
          socket ? ::send(fd, from.data(), from.size(), MSG_NOSIGNAL) : ::write(fd, from.data(), from.size());
      if (n < 0) return n;
      from = from.subspan(static_cast<std::size_t>(n));
    }
    return 0;
  });
}

void Fd::writev(std::span<const iovec> from) const {
  const bool socket = core_->kind() != Kind::File;
  Window window(from);
  core_->run(PollMode::Write, "write", [&](int fd) -> ssize_t {
    while (!window.empty()) {
      msghdr message{};
      message.msg_iov = window.data();
      message.msg_iovlen = static_cast<std::size_t>(window.size());
      const ssize_t n =
          socket ? ::sendmsg(fd, &message, MSG_NOSIGNAL) : ::writev(fd, window.data(), window.size());
      if (n < 0) return n;
      window.advance(static_cast<std::size_t>(n));
    }
    return 0;
  });
}

std::size_t Fd::recvmsg(msghdr& message, int flags) const {
  return core_->run(PollMode::Read, "recvmsg", [&](int fd) { return ::recvmsg(fd, &message, flags); });
}

std::size_t Fd::sendmsg(const msghdr& message, int flags) const {
  return core_->run(PollMode::Write, "sendmsg",
                    [&](int fd) { return ::sendmsg(fd, &message, flags | MSG_NOSIGNAL); });
}

Fd Fd::accept() const {
  const auto call = [](int fd) {
    for (;;) {
      const int connection = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection >= 0 || errno != ECONNABORTED) return connection;  // that one has gone already
    }
  };
  return {static_cast<int>(core_->run(PollMode::Read, "accept", call)), name(), core_->kind()};
}

void Fd::connect(const sockaddr* address, socklen_t length) const { core_->connect(address, length); }

void Fd::setDeadline(Deadline deadline) const { core_->setDeadline(deadline, true, true); }
void Fd::setReadDeadline(Deadline deadline) const { core_->setDeadline(deadline, true, false); }
void Fd::setWriteDeadline(Deadline deadline) const { core_->setDeadline(deadline, false, true); }

void Fd::close() const { core_->close(); }

const std::string& Fd::name() const { return core_->name(); }

}  // namespace fairlead::runtime
