// Netlink: requests, batches of them, and a socket that belongs to one namespace.
//
// A socket stays bound to the namespace in which it was opened, so everything but /proc/sys and packet
// sockets is done from wherever the caller is. rtnetlink does its work inside sendmsg: when that returns, the
// answers are queued.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netns/error.h"
#include "netns/fd.h"
#include "netns/netns.h"

struct nl_msg;
struct nlmsghdr;

namespace fairlead::netns {

class Straggler;

// Request is one netlink message to be sent, with the command line that it stands for.
class Request {
 public:
  // Takes ownership of `message`. `text` is the ip, bridge or nft command that says the same.
  Request(nl_msg* message, std::string text);
  Request(Request&&) noexcept = default;
  Request& operator=(Request&&) noexcept = default;
  ~Request();

  // tolerate() makes an errno of the kernel's answer an outcome (Reply::code) and not an error.
  Request&& tolerate(int code) &&;
  bool tolerates(int code) const;
  const std::string& text() const { return text_; }
  nlmsghdr* header() const;

 private:
  struct Free {
    void operator()(nl_msg* message) const;
  };
  std::unique_ptr<nl_msg, Free> message_;
  std::string text_;
  std::vector<int> tolerated_;
};

// Reply is the kernel's answer to one request: 0 or a tolerated errno, and the object it sent, if any.
struct Reply {
  int code = 0;
  // The raw message (header included) that answers a "get"; empty otherwise.
  std::vector<char> object;
};

// Socket talks to the kernel in one namespace. Not thread-safe: one goroutine at a time.
class Socket {
 public:
  enum class Family { Route, Netfilter };

  // open() opens a socket in `ns`, or in the calling thread's namespace. Opening in another namespace enters
  // it for the time of one system call; the calling goroutine must be locked to its thread.
  static Socket open(Family family = Family::Route);
  static Socket open(const NetNS& ns, Family family = Family::Route);

  // send() sends all requests, up to 32 at once, and returns their replies in order. The first request that
  // failed with an errno it does not tolerate is thrown as Error; the kernel has processed the others all the
  // same (rtnetlink), or none (an nft transaction). Blocks in the kernel: a blocking section.
  std::vector<Reply> send(std::span<const Request> requests);
  Reply send(Request request);
  // sendAtomic() sends an nft transaction: the requests are framed as one batch; all happen or none does.
  void sendAtomic(std::span<const Request> requests);
  using Handler = std::function<bool(const nlmsghdr&)>;
  // sendBy() has a straggler send a request that the kernel would keep us waiting for, and returns when
  // `seen` recognises what the kernel announces to a multicast group, or when the kernel has answered: with
  // what it answered, as send() does. nullopt where there is no child, or it was killed, or messages got
  // lost: then nothing is under way any more, and the caller sends the request itself.
  std::optional<Reply> sendBy(Straggler& straggler, const Request& request, int group, const Handler& seen);
  // dump() sends a dump request and calls `each` for every object; repeats a dump that a change interrupted,
  // in which case `restart` runs first.
  void dump(const Request& request, const std::function<void(const nlmsghdr&)>& each,
            const std::function<void()>& restart);

  // where() is the ip command that acts in this socket's namespace, for messages: "ip" in the thread's own
  // one, "ip -n NAME" or "nsenter --net=PATH ip" elsewhere.
  std::string where() const { return commandIn(path_, "ip"); }
  // fd() is for ioctls on links; it stays the socket's.
  int fd() const { return fd_.get(); }

 private:
  Socket(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  // The first failure of a batch; `index` is the failed request's.
  struct Failure {
    size_t index;
    int code;
    std::string extack;
  };
  // sendBatch() sends the requests from number `from` on, up to `to`.
  void sendBatch(std::span<const Request> requests, size_t from, size_t to, std::span<Reply> replies,
                 std::optional<Failure>& failure);
  // number() numbers the messages in `bytes`, asks for an acknowledgement of number `acked`, and returns the
  // sequence number of the first. transmit() sends them, too.
  uint32_t number(std::vector<char>& bytes, size_t acked);
  uint32_t transmit(std::vector<char>& bytes, size_t acked, const Request& request);
  // receive() calls `handle` for every answer to the messages from `first` to `last`, until it returns true.
  void receive(uint32_t first, uint32_t last, const Request& request, const Handler& handle);
  char* buffer();
  [[noreturn]] void fail(int code, const Request& request, std::string extack = {}, size_t index = 0) const;

  Fd fd_;
  std::string path_;  // of the namespace, for messages; empty: the thread's own
  uint32_t sequence_ = 0;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace fairlead::netns
