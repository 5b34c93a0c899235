#include "netns/straggler.h"

#include <linux/close_range.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <cstring>
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

// stayBehind() is all that the child does. Other threads held locks of the allocator and of the runtime when
// it was made: nothing but system calls here. Where close_range is missing (before 5.9) our pipes stay open
// until it ends, and that is all.
[[noreturn]] void stayBehind(int lifeline, int socket, std::span<const char> bytes) {
  const auto [low, high] = std::minmax(lifeline, socket);
  const auto close = [](int first, int last) {
    if (first <= last) ::syscall(SYS_close_range, first, last, 0);
  };
  close(0, low - 1);
  close(low + 1, high - 1);
  close(high + 1, INT_MAX);
  ::send(socket, bytes.data(), bytes.size(), 0);
  ::_exit(0);
}

// forkSilently() is fork() without handlers and without SIGCHLD at the end. Not vfork: the child outlives us.
pid_t forkSilently() {
  return static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
}

}  // namespace

Straggler::~Straggler() { reapEnded(); }

bool Straggler::send(int socket, std::span<const char> bytes) {
  reapEnded();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const AllSignals blocked;
  const pid_t child = forkSilently();
  if (child == 0) stayBehind(theirs.get(), socket, bytes);
  if (child < 0) return false;
  lifeline_ = std::move(ours);
  children_.push_back(child);
  return true;
}

void Straggler::stop() {
  if (children_.empty()) return;
  const pid_t child = children_.back();
  children_.pop_back();
  ::kill(child, SIGKILL);
  const runtime::BlockingSection section;
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

void Straggler::keep(int socket) const {
  if (!lifeline_) return;
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
  // It is never received: it stays open in the queue until the child ends, and the queue with it.
  ::sendmsg(lifeline_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Straggler::reapEnded() {
  std::erase_if(children_, [](pid_t child) { return ::waitpid(child, nullptr, __WALL | WNOHANG) != 0; });
}

}  // namespace fairlead::netns
