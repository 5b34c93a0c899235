#include "runtime/net.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string readSome(const Fd& fd) {
  std::array<char, 4096> buffer{};
  return {buffer.data(), fd.read(std::as_writable_bytes(std::span(buffer)))};
}

std::string readAll(const Fd& fd) {
  std::string all;
  for (std::string some = readSome(fd); !some.empty(); some = readSome(fd)) all += some;
  return all;
}

std::error_code codeOf(auto&& f) {
  try {
    f();
  } catch (const std::system_error& error) {
    return error.code();
  }
  return {};
}

// A path that is nobody else's, removed at the end.
class TemporaryPath {
 public:
  explicit TemporaryPath(const char* name) : path_("/tmp/fairlead-" + std::to_string(getpid()) + name) {
    unlink(path_.c_str());
  }
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;
  ~TemporaryPath() { unlink(path_.c_str()); }
  [[nodiscard]] const std::string& text() const { return path_; }

 private:
  std::string path_;
};

// echo() serves one connection after another until the listener is closed.
void echo(const Fd& listener) {
  WaitGroup connections;
  while (codeOf([&] {
           connections.go([connection = listener.accept()] { connection.write(readAll(connection)); });
         }) != IoError::Closed) {
  }
  connections.wait();
}

void expectEcho(Transport transport, const Address& address) {
  const Fd listener = listen(transport, address);
  WaitGroup server;
  server.go([&] { echo(listener); });
  for (const std::string text : {"", "hello", "again"}) {
    const Fd connection = dial(transport, localAddress(listener), 10s);
    connection.write(text);
    connection.control([](int fd) { EXPECT_EQ(shutdown(fd, SHUT_WR), 0); });
    EXPECT_EQ(readAll(connection), text);
  }
  listener.close();
  server.wait();
}

class NetTest : public RuntimeTest {
 protected:
  void SetUp() override {
    { netlink(NETLINK_ROUTE); }  // the poller stays for good
    RuntimeTest::SetUp();
  }
};

TEST_F(NetTest, EchoesOverEachKindOfConnection) {
  const TemporaryPath path("-echo");
  expectEcho(Transport::Tcp, Address::ip("127.0.0.1", 0));
  expectEcho(Transport::UnixStream, Address::local(path.text()));
  expectEcho(Transport::UnixStream, Address::local("@fairlead-echo-" + std::to_string(getpid())));
}

TEST_F(NetTest, AConnectionKeepsItsBytesInOrder) {
  const Fd listener = listen(Transport::Tcp, Address::ip("127.0.0.1", 0));
  std::string sent;
  for (int i = 0; i < 300'000; ++i) sent += std::to_string(i);
  WaitGroup client;
  client.go([&] { dial(Transport::Tcp, localAddress(listener)).write(sent); });
  EXPECT_EQ(readAll(listener.accept()), sent);
  client.wait();
}

// The peer's end is seen although its last bytes and the end come as one event.
TEST_F(NetTest, DataAndEndThatComeTogetherAreBothSeen) {
  const Fd listener = listen(Transport::Tcp, Address::ip("127.0.0.1", 0));
  for (int i = 0; i < 100; ++i) {
    const Fd client = dial(Transport::Tcp, localAddress(listener));
    const Fd server = listener.accept();
    go([client] {
      client.write("last words");
      client.close();
    });
    if (i % 2 == 0) gosched();
    EXPECT_EQ(readAll(server), "last words");
  }
}

TEST_F(NetTest, PacketsKeepTheirBoundariesAndSender) {
  const TemporaryPath a("-a");
  const TemporaryPath b("-b");
  const std::vector<std::pair<Fd, Fd>> pairs{
      {bind(Transport::Udp, Address::ip("127.0.0.1", 0)), bind(Transport::Udp, Address::ip("127.0.0.1", 0))},
      {bind(Transport::UnixDatagram, Address::local(a.text())),
       bind(Transport::UnixDatagram, Address::local(b.text()))}};
  for (const auto& [from, to] : pairs) {
    WaitGroup sender;
    sender.go([&from = from, &to = to] {
      for (const char* text : {"first", "", "third"}) sendTo(from, bytes(text), localAddress(to));
    });
    for (const char* text : {"first", "", "third"}) {
      std::array<char, 64> buffer{};
      const auto [n, source] = receiveFrom(to, std::as_writable_bytes(std::span(buffer)));
      EXPECT_EQ(std::string(buffer.data(), n), text);
      EXPECT_EQ(source.text(), localAddress(from).text());
    }
    sender.wait();
  }
}

TEST_F(NetTest, SequencedPacketsAreConnectionsOfPackets) {
  const Address address = Address::local("@fairlead-seq-" + std::to_string(getpid()));
  const Fd listener = listen(Transport::UnixSeqpacket, address);
  const Fd client = dial(Transport::UnixSeqpacket, address);
  const Fd server = listener.accept();
  client.write("one");
  client.write("two");
  EXPECT_EQ(readSome(server), "one");
  EXPECT_EQ(readSome(server), "two");
}

TEST_F(NetTest, TheKernelAnswersOverNetlink) {
  const Fd socket = netlink(NETLINK_ROUTE);
  struct {
    nlmsghdr header;
    rtgenmsg message;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.rtgen_family = AF_UNSPEC;
  sendTo(socket, std::as_bytes(std::span(&request, 1)), Address::netlink(0));
  alignas(nlmsghdr) std::array<std::byte, 8192> answer{};
  const auto [n, sender] = receiveFrom(socket, answer);
  EXPECT_GE(n, sizeof(nlmsghdr));
  EXPECT_EQ(sender.text(), "netlink 0");
  EXPECT_EQ(reinterpret_cast<const nlmsghdr*>(answer.data())->nlmsg_type, RTM_NEWLINK);
}

TEST_F(NetTest, DialSaysWhyItFailed) {
  uint16_t port = 0;
  {
    const Fd closed = listen(Transport::Tcp, Address::ip("127.0.0.1", 0));
    port = localAddress(closed).port();
  }
  try {
    dial(Transport::Tcp, Address::ip("127.0.0.1", port), 10s);
    ADD_FAILURE() << "connected";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::connection_refused);
    EXPECT_EQ(std::string(error.what()),
              "connect tcp 127.0.0.1:" + std::to_string(port) + ": Connection refused");
  }
  EXPECT_EQ(codeOf([] { dial(Transport::UnixStream, Address::local("/nowhere/socket")); }),
            std::errc::no_such_file_or_directory);
}

// A listener whose queue is full answers no more: the kernel drops what comes, and tries again later.
TEST_F(NetTest, DialGivesUpAfterItsTimeout) {
  const Fd listener = listen(Transport::Tcp, Address::ip("127.0.0.1", 0), 0);
  std::vector<Fd> connections;
  const auto fill = [&] {
    for (int i = 0; i < 100; ++i) connections.push_back(dial(Transport::Tcp, localAddress(listener), 20ms));
  };
  EXPECT_EQ(codeOf(fill), IoError::Timeout);
}

TEST_F(NetTest, AcceptEndsWithADeadlineAndWithClose) {
  const Fd listener = listen(Transport::Tcp, Address::ip("127.0.0.1", 0));
  listener.setDeadline(std::chrono::steady_clock::now() + 1ms);
  EXPECT_EQ(codeOf([&] { static_cast<void>(listener.accept()); }), IoError::Timeout);
  listener.setDeadline(std::nullopt);
  const Chan<std::error_code> ended;
  go([&, ended] { ended.send(codeOf([&] { static_cast<void>(listener.accept()); })); });
  listener.close();
  EXPECT_EQ(*ended.receive(), IoError::Closed);
}

TEST_F(NetTest, AddressesAreReadAndPrinted) {
  EXPECT_EQ(Address::ip("127.0.0.1", 80).text(), "127.0.0.1:80");
  EXPECT_EQ(Address::ip("::1", 8080).text(), "[::1]:8080");
  EXPECT_EQ(Address::ip("::1", 8080).port(), 8080);
  EXPECT_EQ(Address::ip("fe80::1%lo", 1).family(), AF_INET6);
  EXPECT_EQ(Address::local("/run/x").text(), "/run/x");
  EXPECT_EQ(Address::local("@x").text(), "@x");
  EXPECT_EQ(Address().family(), AF_UNSPEC);
  EXPECT_EQ(Address().text(), "");
  for (const char* wrong : {"", "localhost", "1.2.3", "1.2.3.4%lo", "::g", "fe80::1%nowhere"}) {
    EXPECT_THROW(Address::ip(wrong, 1), std::invalid_argument) << wrong;
  }
  EXPECT_THROW(Address::local(""), std::invalid_argument);
  EXPECT_THROW(Address::local(std::string(108, 'x')), std::invalid_argument);
  EXPECT_EQ(Address::local("@" + std::string(107, 'x')).text().size(), 108U);
}

}  // namespace
}  // namespace fairlead::runtime
