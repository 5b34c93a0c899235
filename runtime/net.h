// Sockets for goroutines: TCP, UDP, Unix and netlink, as Fds.
//
//     const Fd listener = listen(Transport::Tcp, Address::ip("::1", 8080));
//     go([listener] { for (;;) serve(listener.accept()); });
//     const Fd connection = dial(Transport::Tcp, localAddress(listener), 5s);
//
// Names are not resolved here: blocking([&] { return getaddrinfo(...); }). All functions throw
// std::system_error that says what was attempted with which address, as Fd's do.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/fd.h"

namespace fairlead::runtime {

enum class Transport : uint8_t { Tcp, Udp, UnixStream, UnixDatagram, UnixSeqpacket };

// Address is a socket address of any family; empty when the socket has none.
class Address {
 public:
  Address() = default;
  // ip() takes an IPv4 or IPv6 address in digits: "127.0.0.1", "::", "fe80::1%eth0". Throws
  // std::invalid_argument.
  static Address ip(std::string_view digits, uint16_t port);
  // local() is a Unix socket: a path, or with '@' in front a name in the abstract namespace. Throws
  // std::invalid_argument when it is too long.
  static Address local(std::string_view path);
  // netlink() is a netlink port; 0 is the kernel, or when binding any that is free. `groups` is a bit mask.
  static Address netlink(uint32_t port, uint32_t groups = 0);

  [[nodiscard]] const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t length() const { return length_; }
  [[nodiscard]] int family() const { return length_ == 0 ? AF_UNSPEC : storage_.ss_family; }
  // port() is that of an IP address, else 0.
  [[nodiscard]] uint16_t port() const;
  // text() is "127.0.0.1:80", "[::1]:80", "/run/socket", "@name", "netlink 7".
  [[nodiscard]] std::string text() const;

  // receive() is where the kernel shall write an address of up to capacity() bytes; received() says how many
  // it wrote.
  sockaddr* receive() { return reinterpret_cast<sockaddr*>(&storage_); }
  static constexpr socklen_t capacity() { return sizeof(sockaddr_storage); }
  void received(socklen_t length) { length_ = length; }

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

// listen() makes a socket that accepts connections. The file of a Unix socket stays when it is closed.
Fd listen(Transport transport, const Address& address, int backlog = SOMAXCONN);

// dial() connects, within `timeout` if there is one, and then throws IoError::Timeout. For the transports of
// packets it says where they go.
Fd dial(Transport transport, const Address& address,
        std::optional<std::chrono::nanoseconds> timeout = std::nullopt);

// bind() makes a socket that packets can be sent to.
Fd bind(Transport transport, const Address& address);

// netlink() makes a netlink socket (NETLINK_ROUTE, ...) that hears of `groups`, a bit mask.
Fd netlink(int protocol, uint32_t groups = 0);

// sendTo() sends one packet. receiveFrom() returns the length of the next one, cut to `into`, and its sender.
void sendTo(const Fd& socket, std::span<const std::byte> packet, const Address& to);
std::pair<std::size_t, Address> receiveFrom(const Fd& socket, std::span<std::byte> into);

Address localAddress(const Fd& socket);
Address peerAddress(const Fd& socket);

}  // namespace fairlead::runtime
