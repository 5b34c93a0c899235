// The network poller on Linux: one epoll, and an eventfd that ends its wait.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "runtime/fatal.h"
#include "runtime/gmp.h"
#include "runtime/keeper.h"
#include "runtime/netpoll.h"

namespace fairlead::runtime {
namespace {

constexpr int kBatch = 128;
constexpr int kTagShift = 48;  // user addresses have 47 bits here, and 48 on arm64

struct Epoll {
  std::atomic<int> fd{-1};
  int breakFd = -1;
  std::atomic<bool> breaking{false};  // breakFd is readable, or about to be
  std::atomic<bool> coarse{false};    // the kernel has no epoll_pwait2 (Linux 5.11)
  std::atomic<uint32_t> opened{0};  // what was written before a descriptor was added is seen with its events:
                                    // the kernel sees to it, but the language does not know
  Lock lock;
};

constinit Epoll poller;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

int add(int epoll, int fd, uint32_t events, uint64_t data) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = data;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void init() {
  getm();
  if (!sched.multi.load(std::memory_order_relaxed)) schedinit();  // who waits needs somebody to run instead
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  const int breakFd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int error = breakFd < 0 ? errno : add(epoll, breakFd, EPOLLIN, 0);
  if (error != 0) {
    if (breakFd >= 0) close(breakFd);
    close(epoll);
    throw std::system_error(error, std::generic_category(), "eventfd");
  }
  poller.lock.lock();
  const bool first = poller.fd.load(std::memory_order_relaxed) < 0;
  if (first) {
    poller.breakFd = breakFd;
    poller.fd.store(epoll, std::memory_order_release);
  }
  poller.lock.unlock();
  if (first) {
    keeper.wake();  // if it sleeps on a futex it moves over
    return;
  }
  close(breakFd);
  close(epoll);
}

int collect(int epoll, epoll_event* events, int64_t delay) {
  const timespec timeout{.tv_sec = delay / 1'000'000'000, .tv_nsec = delay % 1'000'000'000};
  if (delay > 0 && !poller.coarse.load(std::memory_order_relaxed)) {
    const int n = epoll_pwait2(epoll, events, kBatch, &timeout, nullptr);
    if (n >= 0 || errno != ENOSYS) return n;
    poller.coarse.store(true, std::memory_order_relaxed);
  }
  constexpr int64_t kMillisecond = 1'000'000;
  constexpr int64_t kLongest = 1'000'000'000;  // milliseconds
  const auto ms = static_cast<int>(std::min((delay + kMillisecond - 1) / kMillisecond, kLongest));
  return epoll_wait(epoll, events, kBatch, delay < 0 ? -1 : ms);
}

// broken() is for the wait that breakFd has ended. One that would not have blocked leaves it to the next.
void broken(bool blocking) {
  if (!blocking) return;
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = read(poller.breakFd, &count, sizeof count);
  poller.breaking.store(false, std::memory_order_seq_cst);
}

}  // namespace

bool netpollInited() { return poller.fd.load(std::memory_order_acquire) >= 0; }

int netpollOpen(int fd, PollDesc* desc, uint16_t tag) {
  if (!netpollInited()) init();
  poller.opened.fetch_add(1, std::memory_order_release);
  return add(poller.fd.load(std::memory_order_acquire), fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
             std::bit_cast<uint64_t>(desc) | uint64_t{tag} << kTagShift);
}

int netpollClose(int fd) {
  epoll_event unused{};
  const int epoll = poller.fd.load(std::memory_order_acquire);
  return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &unused) == 0 ? 0 : errno;
}

void netpoll(int64_t delay, GQueue& ready) {
  std::array<epoll_event, kBatch> events;
  const int n = collect(poller.fd.load(std::memory_order_acquire), events.data(), delay);
  if (n < 0 && errno != EINTR) fatal("runtime: netpoll failed");
  (void)poller.opened.load(std::memory_order_acquire);
  for (int i = 0; i < n; ++i) {
    const uint64_t data = events[static_cast<size_t>(i)].data.u64;
    const uint32_t what = events[static_cast<size_t>(i)].events;
    if (data == 0) {
      broken(delay != 0);
      continue;
    }
    auto* desc = std::bit_cast<PollDesc*>(data & ((uint64_t{1} << kTagShift) - 1));
    desc->event(static_cast<uint16_t>(data >> kTagShift),
                (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0,
                (what & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0,
                (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, ready);
  }
}

// Never inlined, for errno: see futex.cpp.
[[gnu::noinline]] void netpollBreak() {
  if (poller.breaking.exchange(true, std::memory_order_seq_cst)) return;
  const int error = errno;
  const uint64_t one = 1;
  while (write(poller.breakFd, &one, sizeof one) < 0 && errno == EINTR) {
  }
  errno = error;
}

}  // namespace fairlead::runtime
