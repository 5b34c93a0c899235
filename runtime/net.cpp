#include "runtime/net.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace fairlead::runtime {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

bool isIp(Transport transport) { return transport == Transport::Tcp || transport == Transport::Udp; }

int typeOf(Transport transport) {
  switch (transport) {
    case Transport::Tcp:
    case Transport::UnixStream:
      return SOCK_STREAM;
    case Transport::UnixSeqpacket:
      return SOCK_SEQPACKET;
    default:
      return SOCK_DGRAM;
  }
}

const char* nameOf(Transport transport) {
  constexpr std::array<const char*, 5> kNames{"tcp", "udp", "unix", "unixgram", "unixpacket"};
  return kNames[static_cast<std::size_t>(transport)];
}

Fd::Kind kindOf(Transport transport) {
  return transport == Transport::Tcp ? Fd::Kind::Stream : Fd::Kind::Socket;
}

std::string label(Transport transport, const Address& address) {
  return std::string(nameOf(transport)) + " " + address.text();
}

// Socket closes what has not become a Fd.
class Socket {
 public:
  Socket(const char* what, std::string name, int family, int type, int protocol)
      : name_(std::move(name)), fd_(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)) {
    check(what, fd_);
  }
  Socket(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }
  void check(const char* what, int result) const {
    if (result < 0) fail(errno, std::string(what) + " " + name_);
  }
  void set(const char* what, int level, int option, int value) const {
    check(what, setsockopt(fd_, level, option, &value, sizeof value));
  }
  Fd adopt(Fd::Kind kind) && { return {std::exchange(fd_, -1), std::move(name_), kind}; }

 private:
  std::string name_;
  int fd_;
};

Socket makeSocket(const char* what, Transport transport, const Address& address) {
  if (isIp(transport) != (address.family() != AF_UNIX))
    fail(EAFNOSUPPORT, std::string(what) + " " + label(transport, address));
  return {what, label(transport, address), address.family(), typeOf(transport), 0};
}

template <class Ask>
Address ask(const Fd& socket, Ask call) {
  return socket.control([&](int fd) {
    Address address;
    socklen_t length = Address::capacity();
    if (call(fd, address.receive(), &length) != 0) fail(errno, "address of " + socket.name());
    address.received(length);
    return address;
  });
}

}  // namespace

Address Address::ip(std::string_view digits, uint16_t port) {
  Address address;
  const std::string whole(digits.substr(0, digits.find('%')));
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  if (inet_pton(AF_INET, whole.c_str(), &v4->sin_addr) == 1 && whole.size() == digits.size()) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length_ = sizeof *v4;
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
  if (inet_pton(AF_INET6, whole.c_str(), &v6->sin6_addr) != 1) {
    throw std::invalid_argument("not an IP address: " + std::string(digits));
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  if (whole.size() < digits.size()) {
    v6->sin6_scope_id = if_nametoindex(std::string(digits.substr(whole.size() + 1)).c_str());
    if (v6->sin6_scope_id == 0) throw std::invalid_argument("no such interface: " + std::string(digits));
  }
  address.length_ = sizeof *v6;
  return address;
}

Address Address::local(std::string_view path) {
  Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage_);
  const bool abstract = path.starts_with('@');
  // A path ends with a zero byte; an abstract name begins with one, and ends where the address does.
  if (path.empty() || path.size() + (abstract ? 0 : 1) > sizeof un->sun_path) {
    throw std::invalid_argument("not a path for a socket: " + std::string(path));
  }
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.data(), path.size());
  if (abstract) un->sun_path[0] = '\0';
  address.length_ =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  return address;
}

Address Address::netlink(uint32_t port, uint32_t groups) {
  Address address;
  auto* nl = reinterpret_cast<sockaddr_nl*>(&address.storage_);
  nl->nl_family = AF_NETLINK;
  nl->nl_pid = port;
  nl->nl_groups = groups;
  address.length_ = sizeof *nl;
  return address;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  return 0;
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> digits{};
  switch (family()) {
    case AF_INET:
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, digits.data(),
                digits.size());
      return std::string(digits.data()) + ":" + std::to_string(port());
    case AF_INET6:
      inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, digits.data(),
                digits.size());
      return "[" + std::string(digits.data()) + "]:" + std::to_string(port());
    case AF_UNIX: {
      const auto* un = reinterpret_cast<const sockaddr_un*>(&storage_);
      const std::size_t size = length_ - offsetof(sockaddr_un, sun_path);
      if (size == 0) return "";
      if (un->sun_path[0] == '\0') return "@" + std::string(un->sun_path + 1, size - 1);
      return {un->sun_path, strnlen(un->sun_path, size)};
    }
    case AF_NETLINK:
      return "netlink " + std::to_string(reinterpret_cast<const sockaddr_nl*>(&storage_)->nl_pid);
    default:
      return "";
  }
}

Fd listen(Transport transport, const Address& address, int backlog) {
  Socket socket = makeSocket("listen", transport, address);
  if (transport == Transport::Tcp) {
    socket.set("listen", SOL_SOCKET, SO_REUSEADDR, 1);
    socket.set("listen", IPPROTO_TCP, TCP_NODELAY, 1);  // connections inherit it
  }
  socket.check("listen", ::bind(socket.fd(), address.data(), address.length()));
  socket.check("listen", ::listen(socket.fd(), backlog));
  return std::move(socket).adopt(kindOf(transport));
}

Fd dial(Transport transport, const Address& address, std::optional<std::chrono::nanoseconds> timeout) {
  Socket socket = makeSocket("dial", transport, address);
  if (transport == Transport::Tcp) socket.set("dial", IPPROTO_TCP, TCP_NODELAY, 1);
  // Begun before the poller knows of it: a socket that is not yet connecting looks hung up to epoll.
  if (::connect(socket.fd(), address.data(), address.length()) < 0 && errno != EINPROGRESS) {
    socket.check("dial", -1);
  }
  const Fd connection = std::move(socket).adopt(kindOf(transport));
  if (typeOf(transport) != SOCK_STREAM || !isIp(transport)) return connection;
  if (timeout.has_value()) connection.setWriteDeadline(std::chrono::steady_clock::now() + *timeout);
  connection.connect(address.data(), address.length());
  if (timeout.has_value()) connection.setWriteDeadline(std::nullopt);
  return connection;
}

Fd bind(Transport transport, const Address& address) {
  Socket socket = makeSocket("bind", transport, address);
  socket.check("bind", ::bind(socket.fd(), address.data(), address.length()));
  return std::move(socket).adopt(kindOf(transport));
}

Fd netlink(int protocol, uint32_t groups) {
  const Address any = Address::netlink(0, groups);
  Socket socket("open", "netlink " + std::to_string(protocol), AF_NETLINK, SOCK_RAW, protocol);
  socket.check("bind", ::bind(socket.fd(), any.data(), any.length()));
  return std::move(socket).adopt(Fd::Kind::Socket);
}

void sendTo(const Fd& socket, std::span<const std::byte> packet, const Address& to) {
  iovec whole{.iov_base = const_cast<std::byte*>(packet.data()), .iov_len = packet.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to.data());
  message.msg_namelen = to.length();
  message.msg_iov = &whole;
  message.msg_iovlen = 1;
  socket.sendmsg(message);
}

std::pair<std::size_t, Address> receiveFrom(const Fd& socket, std::span<std::byte> into) {
  std::pair<std::size_t, Address> result;
  iovec whole{.iov_base = into.data(), .iov_len = into.size()};
  msghdr message{};
  message.msg_name = result.second.receive();
  message.msg_namelen = Address::capacity();
  message.msg_iov = &whole;
  message.msg_iovlen = 1;
  result.first = socket.recvmsg(message);
  result.second.received(message.msg_namelen);
  return result;
}

Address localAddress(const Fd& socket) { return ask(socket, getsockname); }
Address peerAddress(const Fd& socket) { return ask(socket, getpeername); }

}  // namespace fairlead::runtime
