#include "netns/netlink.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>

#include "netns/enter.h"
#include "netns/libnl.h"
#include "netns/straggler.h"
#include "runtime/runtime.h"

// How a batch is answered. The kernel works on the messages of one send in order and queues its answers in
// order, all before send returns. It always reports a failure, but a success only when asked for an
// acknowledgement. So just the last message asks: once that is answered, every earlier one has either been
// reported or succeeded, and mostly one receive does for the whole batch.

namespace fairlead::netns {

namespace {

using Clock = std::chrono::steady_clock;

// The kernel sends at most this much of a dump in one datagram.
constexpr size_t kBufferSize = 32768;
// Answers are there when send returns. If one is not, something is broken, and waiting longer would not mend
// it.
constexpr std::chrono::seconds kAnswerLimit{10};
// A straggler takes what one turn at RTNL takes. The limit is for one that somebody has stopped.
constexpr std::chrono::seconds kStragglerLimit{2};
// A dump is repeated while others change what it lists; a namespace that never rests is reported.
constexpr int kDumpAttempts = 20;
// A batch whose answers the receive queue holds with certainty, be they links or failures all.
constexpr size_t kBatch = 32;
// What the default send buffer holds with certainty.
constexpr size_t kUsualSend = 65536;

void append(std::vector<char>& out, const Request& request) {
  const auto* start = reinterpret_cast<const char*>(request.header());
  out.insert(out.end(), start, start + request.header()->nlmsg_len);
  out.resize(NLMSG_ALIGN(out.size()));
}

// forEachMessage() walks over the messages in `size` bytes and stops at the first whose length is not
// possible.
template <class F>
void forEachMessage(char* start, size_t size, const F& f) {
  while (size >= NLMSG_HDRLEN) {
    auto* message = reinterpret_cast<nlmsghdr*>(start);
    if (message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > size) return;
    f(*message);
    const size_t step = std::min<size_t>(NLMSG_ALIGN(message->nlmsg_len), size);
    start += step;
    size -= step;
  }
}

// errorOf() reads the negative errno with which NLMSG_ERROR and NLMSG_DONE begin, as a positive one; 0 is
// success.
int errorOf(const nlmsghdr& message) {
  const auto* code = payload<int>(message);
  if (code == nullptr) return message.nlmsg_type == NLMSG_DONE ? 0 : EBADMSG;
  return *code > INT_MIN && *code <= 0 ? -*code : EBADMSG;
}

// extackOf() reads the kernel's explanation, which follows the error and, unless capped, the echoed request.
std::string extackOf(const nlmsghdr& message) {
  if ((message.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  size_t skip = NLMSG_LENGTH(sizeof(int));
  if (message.nlmsg_type == NLMSG_ERROR) {
    const auto* error = payload<nlmsgerr>(message);
    if (error == nullptr) return {};
    skip = NLMSG_LENGTH(sizeof *error);
    if ((message.nlmsg_flags & NLM_F_CAPPED) == 0 && error->msg.nlmsg_len > NLMSG_HDRLEN)
      skip += NLMSG_ALIGN(error->msg.nlmsg_len - NLMSG_HDRLEN);
  }
  if (skip >= message.nlmsg_len) return {};
  const Attributes<NLMSGERR_ATTR_MAX> found(reinterpret_cast<const char*>(&message) + skip,
                                            message.nlmsg_len - skip);
  return found.str(NLMSGERR_ATTR_MSG);
}

// What one receive yielded: a datagram, or the errno of not getting any.
struct Datagram {
  int code = 0;
  size_t size = 0;
  bool fromKernel = false;
  bool announced = false;  // to a multicast group: no answer, whatever its sequence number
  bool cut = false;
};

// receiveDatagram() waits until `deadline` at most, and until `lifeline` (if any) has hung up and nothing is
// left. Receiving goes on with a dump in the kernel, so it blocks too.
Datagram receiveDatagram(int fd, char* buffer, Clock::time_point deadline, int lifeline = -1) {
  const runtime::BlockingSection section;
  for (bool last = false;;) {
    sockaddr_nl sender{};
    iovec part{.iov_base = buffer, .iov_len = kBufferSize};
    msghdr header{};
    header.msg_name = &sender;
    header.msg_namelen = sizeof sender;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    const ssize_t size = ::recvmsg(fd, &header, MSG_DONTWAIT);
    if (size >= 0) {
      // Any process may send to a netlink socket; the kernel is port 0.
      const bool fromKernel = header.msg_namelen == sizeof sender && sender.nl_pid == 0;
      return {.size = static_cast<size_t>(size),
              .fromKernel = fromKernel,
              .announced = sender.nl_groups != 0,
              .cut = (header.msg_flags & MSG_TRUNC) != 0};
    }
    if (errno != EAGAIN && errno != EINTR) return {.code = errno};
    if (last) return {.code = EPIPE};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return {.code = ETIMEDOUT};
    std::array<pollfd, 2> wanted{
        {{.fd = fd, .events = POLLIN, .revents = 0}, {.fd = lifeline, .events = 0, .revents = 0}}};
    ::poll(wanted.data(), wanted.size(), static_cast<int>(left));
    last = wanted[1].revents != 0;
  }
}

// Membership is a socket's in a multicast group.
class Membership {
 public:
  Membership(int fd, int group) : fd_(fd), group_(group) { joined_ = set(NETLINK_ADD_MEMBERSHIP); }
  ~Membership() { set(NETLINK_DROP_MEMBERSHIP); }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  bool joined() const { return joined_; }

 private:
  bool set(int option) const { return ::setsockopt(fd_, SOL_NETLINK, option, &group_, sizeof group_) == 0; }

  int fd_;
  int group_;
  bool joined_;
};

// typeable() quotes what a shell would take apart: the braces and semicolons of nft.
std::string typeable(const std::string& text) {
  constexpr std::string_view kNft = "nft ";
  if (!text.starts_with(kNft) || text.find_first_of("{;\"") == text.npos) return text;
  return "nft '" + text.substr(kNft.size()) + '\'';
}

Fd openSocket(Socket::Family family) {
  const int protocol = family == Socket::Family::Route ? NETLINK_ROUTE : NETLINK_NETFILTER;
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) throw Error(errno, "netlink socket");
  // EXT_ACK: explanations. CAP_ACK: errors do not echo the request. STRICT_CHK: dumps are filtered in the
  // kernel. A kernel that lacks one answers ENOPROTOOPT, and everything here works without.
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    const int on = 1;
    ::setsockopt(fd.get(), SOL_NETLINK, option, &on, sizeof on);
  }
  return fd;
}

}  // namespace

// ---- Request -----------------------------------------------------------------------------------

Request::Request(nl_msg* message, std::string text) : message_(message), text_(std::move(text)) {}
Request::~Request() = default;

void Request::Free::operator()(nl_msg* message) const { nlmsg_free(message); }

Request&& Request::tolerate(int code) && {
  tolerated_.push_back(code);
  return std::move(*this);
}

bool Request::tolerates(int code) const { return std::ranges::find(tolerated_, code) != tolerated_.end(); }

nlmsghdr* Request::header() const { return nlmsg_hdr(message_.get()); }

// ---- Socket ------------------------------------------------------------------------------------

Socket Socket::open(Family family) { return {openSocket(family), {}}; }

Socket Socket::open(const NetNS& ns, Family family) {
  const Visit visit(ns);
  return {openSocket(family), ns.path()};
}

std::vector<Reply> Socket::send(std::span<const Request> requests) {
  std::vector<Reply> replies(requests.size());
  std::optional<Failure> failure;
  for (size_t from = 0; from < requests.size(); from += kBatch)
    sendBatch(requests, from, std::min(from + kBatch, requests.size()), replies, failure);
  if (failure) fail(failure->code, requests[failure->index], failure->extack, failure->index);
  return replies;
}

void Socket::sendBatch(std::span<const Request> requests, size_t from, size_t to, std::span<Reply> replies,
                       std::optional<Failure>& failure) {
  std::vector<char> bytes;
  for (const Request& request : requests.subspan(from, to - from)) append(bytes, request);
  const uint32_t first = transmit(bytes, to - from - 1, requests[from]);

  receive(first, first + (to - from) - 1, requests[from], [&](const nlmsghdr& message) {
    const size_t index = from + (message.nlmsg_seq - first);
    Reply& reply = replies[index];
    if (message.nlmsg_type != NLMSG_ERROR) {
      const auto* start = reinterpret_cast<const char*>(&message);
      if (reply.object.empty()) reply.object.assign(start, start + message.nlmsg_len);
      return false;
    }
    reply.code = errorOf(message);
    if (reply.code != 0 && !requests[index].tolerates(reply.code) && !failure)
      failure = {index, reply.code, extackOf(message)};
    return index + 1 == to;
  });
}

Reply Socket::send(Request request) { return std::move(send(std::span(&request, 1)).front()); }

void Socket::sendAtomic(std::span<const Request> requests) {
  if (requests.empty()) return;
  const auto frame = [](int type) {
    Message message(type, 0);
    message.append(
        nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)});
    return message.finish({});
  };
  std::vector<char> bytes;
  append(bytes, frame(NFNL_MSG_BATCH_BEGIN));
  for (const Request& request : requests) append(bytes, request);
  append(bytes, frame(NFNL_MSG_BATCH_END));
  // The last request is the one that is acknowledged: the kernel does that for the end of a batch only since
  // 6.10.
  const uint32_t begin = transmit(bytes, requests.size(), requests.front());

  std::optional<Failure> failure;
  receive(begin, begin + requests.size(), requests.front(), [&](const nlmsghdr& message) {
    if (message.nlmsg_type != NLMSG_ERROR) return false;
    // Number 0 is the frame: the transaction as a whole was refused, and all earlier reports are void.
    const uint32_t index = message.nlmsg_seq - begin;
    const int code = errorOf(message);
    if (code != 0 && (index == 0 || !failure))
      failure = {index == 0 ? 0 : index - 1, code, extackOf(message)};
    return (index == 0 && code != 0) || index == requests.size();
  });
  if (failure) fail(failure->code, requests[failure->index], failure->extack, failure->index);
}

void Socket::dump(const Request& request, const std::function<void(const nlmsghdr&)>& each,
                  const std::function<void()>& restart) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    if (attempt > 0) restart();
    std::vector<char> bytes;
    append(bytes, request);
    const uint32_t number = transmit(bytes, 0, request);

    bool interrupted = false;
    std::optional<Failure> failure;
    // A dump is read to its end in any case: the kernel accepts no other request meanwhile.
    receive(number, number, request, [&](const nlmsghdr& message) {
      interrupted = interrupted || (message.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (message.nlmsg_type == NLMSG_ERROR || message.nlmsg_type == NLMSG_DONE) {
        const int code = errorOf(message);
        if (code != 0 && !request.tolerates(code)) failure = {0, code, extackOf(message)};
        return true;
      }
      if (!interrupted) each(message);
      return false;
    });
    if (failure) fail(failure->code, request, failure->extack);
    if (!interrupted) return;
  }
  fail(EAGAIN, request, "the list changed under every one of " + std::to_string(kDumpAttempts) + " readings");
}

std::optional<Reply> Socket::sendBy(Straggler& straggler, const Request& request, int group,
                                    const Handler& seen) {
  {
    const Membership membership(fd_.get(), group);
    std::vector<char> bytes;
    append(bytes, request);
    const uint32_t ours = number(bytes, 0);
    if (!membership.joined() || !straggler.send(fd_.get(), bytes)) return std::nullopt;
    const auto deadline = Clock::now() + kStragglerLimit;
    for (;;) {
      const Datagram datagram = receiveDatagram(fd_.get(), buffer(), deadline, straggler.lifeline());
      if (datagram.code != 0) break;
      if (!datagram.fromKernel || datagram.cut) continue;
      std::optional<Reply> reply;
      forEachMessage(buffer(), datagram.size, [&](const nlmsghdr& message) {
        const bool answer = !datagram.announced && message.nlmsg_seq == ours;
        if (answer && message.nlmsg_type == NLMSG_ERROR) {
          reply = Reply{.code = errorOf(message), .object = {}};
          if (reply->code != 0 && !request.tolerates(reply->code))
            fail(reply->code, request, extackOf(message));
        } else if (datagram.announced && seen(message)) {
          reply = Reply{};
        }
      });
      if (reply) return reply;
    }
    // A child that has been stopped must not wake up later and repeat what was done without it.
    straggler.stop();
  }
  // A queue that has overflowed takes no answers until it has been emptied.
  for (Datagram rest; rest.code == 0 || rest.code == ENOBUFS;)
    rest = receiveDatagram(fd_.get(), buffer(), Clock::now());
  return std::nullopt;
}

void Socket::fail(int code, const Request& request, std::string extack, size_t index) const {
  throw Error(code, commandIn(path_, typeable(request.text())), std::move(extack), index);
}

uint32_t Socket::number(std::vector<char>& bytes, size_t acked) {
  const uint32_t first = sequence_ + 1;
  forEachMessage(bytes.data(), bytes.size(), [&](nlmsghdr& message) {
    message.nlmsg_seq = ++sequence_;
    if (message.nlmsg_seq - first == acked) message.nlmsg_flags |= NLM_F_ACK;
  });
  return first;
}

uint32_t Socket::transmit(std::vector<char>& bytes, size_t acked, const Request& request) {
  const uint32_t first = number(bytes, acked);
  if (bytes.size() > kUsualSend) {
    const int size = static_cast<int>(std::min<size_t>(bytes.size() * 2, INT_MAX / 2));
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);  // refused: send tells
  }
  int code = 0;
  {
    const runtime::BlockingSection section;
    while (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0 && (code = errno) == EINTR) code = 0;
  }
  if (code != 0) fail(code, request);
  return first;
}

void Socket::receive(uint32_t first, uint32_t last, const Request& request, const Handler& handle) {
  const auto deadline = Clock::now() + kAnswerLimit;
  for (bool done = false; !done;) {
    const Datagram datagram = receiveDatagram(fd_.get(), buffer(), deadline);
    if (datagram.code != 0) throw NoAnswer(datagram.code, commandIn(path_, typeable(request.text())));
    if (!datagram.fromKernel || datagram.announced) continue;
    if (datagram.cut) fail(EMSGSIZE, request, "the answer exceeds " + std::to_string(kBufferSize) + " bytes");
    forEachMessage(buffer(), datagram.size, [&](const nlmsghdr& message) {
      const bool ours = message.nlmsg_seq - first <= last - first;
      if (!done && ours && message.nlmsg_type != NLMSG_NOOP) done = handle(message);
    });
  }
}

char* Socket::buffer() {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kBufferSize);
  return buffer_.get();
}

}  // namespace fairlead::netns
