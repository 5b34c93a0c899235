// Keeper stands in for a process that keeps sockets until the next common instant (netns/straggler.h),
// whichever instant that is: it listens under each of the names, and shows what has been left with it.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "netns/fd.h"

namespace fairlead::netns::test {

class Keeper {
 public:
  // Listens as `uid`, for at most `backlog` + 1 at a time (unix_recvq_full) under a name.
  explicit Keeper(uid_t uid = 0, int backlog = SOMAXCONN) {
    as(uid);
    for (char digit = '0'; digit <= '9'; ++digit) {
      const Fd& name = names_.emplace_back(newSocket());
      const sockaddr_un address = addressOf(digit);
      EXPECT_EQ(::bind(name.get(), reinterpret_cast<const sockaddr*>(&address), kSize), 0);
      EXPECT_EQ(::listen(name.get(), backlog), 0);
    }
    as(0);
  }

  // take() returns what has been left by now.
  std::vector<Fd> take() {
    std::vector<Fd> taken;
    for (const Fd& name : names_)
      while (const Fd line{::accept4(name.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)})
        if (Fd left = receive(line)) taken.push_back(std::move(left));
    return taken;
  }

  // fill() leaves no room under any of the names.
  void fill() {
    for (char digit = '0'; digit <= '9'; ++digit) {
      const sockaddr_un address = addressOf(digit);
      const auto connects = [&](const Fd& line) {
        return ::connect(line.get(), reinterpret_cast<const sockaddr*>(&address), kSize) == 0;
      };
      while (connects(guests_.emplace_back(newSocket()))) {
      }
    }
  }

 private:
  static constexpr socklen_t kSize = offsetof(sockaddr_un, sun_path) + 11;

  static Fd newSocket() { return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }
  static sockaddr_un addressOf(char digit) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "\0fairlead-"};
    address.sun_path[10] = digit;
    return address;
  }
  // as() is of this thread alone.
  static void as(uid_t uid) { EXPECT_EQ(::syscall(SYS_setresuid, -1, uid, -1), 0); }

  static Fd receive(const Fd& line) {
    char byte = 0;
    iovec part{.iov_base = &byte, .iov_len = sizeof byte};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(line.get(), &message, MSG_CMSG_CLOEXEC) <= 0) return {};
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return {};
    int left = -1;
    std::memcpy(&left, CMSG_DATA(header), sizeof left);
    return Fd(left);
  }

  std::vector<Fd> names_, guests_;
};

}  // namespace fairlead::netns::test
