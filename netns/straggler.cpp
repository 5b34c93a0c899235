#include "netns/straggler.h"

#include <linux/close_range.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string_view>
#include <utility>

#include "runtime/runtime.h"

namespace fairlead::netns {

namespace {

// AllSignals blocks every signal in the calling thread, and in the child that it makes meanwhile.
class AllSignals {
 public:
  AllSignals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignals(const AllSignals&) = delete;
  AllSignals& operator=(const AllSignals&) = delete;

 private:
  sigset_t before_{};
};

// The instants at which kept sockets are closed are the multiples of this, the same for all processes. Longer
// means fewer stops of all for a grace period, but more children that are there at a time.
constexpr int64_t kPeriod = 500'000'000;  // nanoseconds of CLOCK_MONOTONIC

// nextInstant() is its number.
int64_t nextInstant() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec * 1'000'000'000 + now.tv_nsec) / kPeriod + 1;
}

// Sign is the name that is taken while sockets are kept until `instant`: known to the whole network
// namespace, and gone with whoever had it. The digit tells it from that of those who are still closing
// theirs.
struct Sign {
  explicit Sign(int64_t instant) {
    constexpr std::string_view kName = "fairlead-";
    address.sun_family = AF_UNIX;
    kName.copy(address.sun_path + 1, kName.size());
    address.sun_path[1 + kName.size()] = static_cast<char>('0' + instant % 10);
    size = offsetof(sockaddr_un, sun_path) + 1 + kName.size() + 1;
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }

  sockaddr_un address{};
  socklen_t size;
};

int signSocket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

// keepUntilInstant() runs in the child. The sockets are in the lifeline's queue and stay there.
void keepUntilInstant() {
  const int64_t instant = nextInstant();
  const Sign sign(instant);
  // Taken already when two begin at a time. It stays open until the child ends.
  if (const int listener = signSocket(); ::bind(listener, sign.get(), sign.size) == 0)
    ::listen(listener, SOMAXCONN);
  sigset_t term;
  ::sigemptyset(&term);
  ::sigaddset(&term, SIGTERM);
  std::signal(SIGTERM, SIG_DFL);
  ::sigprocmask(SIG_UNBLOCK, &term, nullptr);
  const timespec until{.tv_sec = instant * kPeriod / 1'000'000'000,
                       .tv_nsec = instant * kPeriod % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

// stayBehind() is all that the child does. Other threads held locks of the allocator and of the runtime when
// it was made: nothing but system calls here. Where close_range is missing (before 5.9) our pipes would stay
// open until it ends: it keeps nothing then.
[[noreturn]] void stayBehind(int lifeline, int socket, std::span<const char> bytes) {
  const int low = std::min(lifeline, socket);
  const int high = std::max(lifeline, socket);
  const auto close = [](int first, int last) {
    return first > last || ::syscall(SYS_close_range, first, last, 0) == 0;
  };
  const bool closed = close(0, low - 1) & close(low + 1, high - 1) & close(high + 1, INT_MAX);
  if (socket >= 0) ::send(socket, bytes.data(), bytes.size(), 0);
  char byte = 0;
  if (closed && ::recv(lifeline, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1) keepUntilInstant();
  ::_exit(0);
}

// forkSilently() is fork() without handlers and without SIGCHLD at the end. Not vfork: the child outlives us.
pid_t forkSilently() {
  return static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
}

// give() puts `socket` into the queue of a lifeline, where nobody takes it out: it stays open until the queue
// has gone. False when the child has ended.
bool give(int lifeline, int socket) {
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = sizeof byte};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof socket)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof socket);
  std::memcpy(CMSG_DATA(header), &socket, sizeof socket);
  return ::sendmsg(lifeline, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

// Others is what became of a socket that others should keep.
enum class Others { KeepIt, KeepNothing, Refuse };

// leaveWithOthers() gives `socket` to who keeps sockets until the next instant. Refuse: the name is somebody
// else's (another user's, or out of our reach by a security module), too many wait there, or it has just
// ended.
Others leaveWithOthers(int socket) {
  const Fd line(signSocket());
  const Sign sign(nextInstant());
  if (::connect(line.get(), sign.get(), sign.size) != 0)
    return errno == ECONNREFUSED ? Others::KeepNothing : Others::Refuse;
  // Of when it began to listen (unix_listen).
  ucred keeper{};
  socklen_t size = sizeof keeper;
  if (::getsockopt(line.get(), SOL_SOCKET, SO_PEERCRED, &keeper, &size) != 0 || keeper.uid != ::geteuid())
    return Others::Refuse;
  return give(line.get(), socket) ? Others::KeepIt : Others::Refuse;
}

}  // namespace

Straggler::~Straggler() { reapEnded(); }

bool Straggler::send(int socket, std::span<const char> bytes) {
  reapEnded();
  return fork(makeLifeline(), socket, bytes);
}

Straggler::Lifeline Straggler::makeLifeline() {
  std::array<int, 2> ends{-1, -1};
  ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data());
  return {.ours = Fd(ends[0]), .theirs = Fd(ends[1])};
}

bool Straggler::fork(Lifeline lifeline, int socket, std::span<const char> bytes) {
  if (!lifeline.ours || stopped_) return false;
  const AllSignals blocked;
  const pid_t child = forkSilently();
  if (child == 0) stayBehind(lifeline.theirs.get(), socket, bytes);
  if (child < 0) return false;
  lifeline_ = std::move(lifeline.ours);
  children_.push_back(child);
  return true;
}

void Straggler::stop() {
  if (children_.empty()) return;
  const pid_t child = children_.back();
  children_.pop_back();
  stopped_ = true;
  ::kill(child, SIGKILL);
  const runtime::BlockingSection section;
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

void Straggler::keep(int socket) {
  if (leaveWithOthers(socket) != Others::KeepIt) keepByChild(socket);
}

void Straggler::keepIfOthersDo(int socket) {
  if (leaveWithOthers(socket) == Others::Refuse) keepByChild(socket);
}

void Straggler::keepByChild(int socket) {
  if (lifeline_ && give(lifeline_.get(), socket)) return;
  Lifeline lifeline = makeLifeline();
  if (lifeline.ours && give(lifeline.ours.get(), socket)) fork(std::move(lifeline), -1, {});
}

void Straggler::reapEnded() {
  std::erase_if(children_, [](pid_t child) { return ::waitpid(child, nullptr, __WALL | WNOHANG) != 0; });
}

}  // namespace fairlead::netns
