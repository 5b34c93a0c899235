#include "runtime/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chan.h"
#include "runtime/netpoll.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::pair<Fd, Fd> socketPair(int type = SOCK_STREAM) {
  std::array<int, 2> ends{};
  EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Fd(ends[0], "left", Fd::Kind::Socket), Fd(ends[1], "right", Fd::Kind::Socket)};
}

std::pair<Fd, Fd> pipePair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  return {Fd(ends[0], "pipe"), Fd(ends[1], "pipe")};
}

std::string readSome(const Fd& fd, std::size_t most = 4096) {
  std::vector<char> buffer(most);
  return {buffer.data(), fd.read(std::as_writable_bytes(std::span(buffer)))};
}

// errorOf() is the code and the text of what f throws.
std::pair<std::error_code, std::string> errorOf(auto&& f) {
  try {
    f();
  } catch (const std::system_error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

class FdTest : public RuntimeTest {
 protected:
  void SetUp() override {
    { socketPair(); }  // the poller stays for good
    RuntimeTest::SetUp();
  }
};

TEST_F(FdTest, ReadsWhatIsThereAndSeesTheEnd) {
  auto [in, out] = pipePair();
  go([out = std::move(out)] {
    out.write("one");
    out.write("");
    out.close();
  });
  EXPECT_EQ(readSome(in), "one");
  EXPECT_EQ(readSome(in), "");
  EXPECT_EQ(in.read({}), 0U);
}

TEST_F(FdTest, WritesWholeHoweverLittleThereIsRoomFor) {
  const auto [in, out] = pipePair();
  const std::string sent(1'000'000, 'x');
  WaitGroup writer;
  writer.go([&] { out.write(sent); });
  std::string got;
  while (got.size() < sent.size()) got += readSome(in, 1 << 16);
  writer.wait();
  EXPECT_EQ(got, sent);
}

TEST_F(FdTest, ScattersAndGathers) {
  const auto [left, right] = socketPair();
  std::vector<std::string> parts;
  std::vector<iovec> pieces;
  for (int i = 0; i < 200; ++i) parts.push_back(std::to_string(i) + std::string(i % 3 == 0 ? 0 : 2000, '.'));
  parts[7] = "";
  std::string sent;
  for (std::string& part : parts) {
    pieces.push_back({part.data(), part.size()});
    sent += part;
  }
  WaitGroup writer;
  writer.go([&] { right.writev(pieces); });
  std::string got;
  while (got.size() < sent.size()) {
    std::array<char, 100> a{};
    std::array<char, 5000> b{};
    const std::array<iovec, 2> into{{{a.data(), a.size()}, {b.data(), b.size()}}};
    const std::size_t n = left.readv(into);
    got += std::string(a.data(), std::min(n, a.size()));
    if (n > a.size()) got += std::string(b.data(), n - a.size());
  }
  writer.wait();
  EXPECT_EQ(got, sent);
}

TEST_F(FdTest, ConcurrentWritesDoNotMix) {
  const auto [in, out] = pipePair();
  constexpr std::size_t kSize = 200'000;
  WaitGroup writers;
  for (const char c : {'a', 'b', 'c', 'd'}) writers.go([&out = out, c] { out.write(std::string(kSize, c)); });
  std::string got;
  while (got.size() < 4 * kSize) got += readSome(in, 1 << 16);
  writers.wait();
  for (std::size_t i = 0; i < got.size(); i += kSize) {
    EXPECT_EQ(got.substr(i, kSize), std::string(kSize, got[i]));
  }
}

TEST_F(FdTest, CloseReleasesAllWhoWait) {
  const auto [left, right] = socketPair();
  const Chan<std::error_code> ended;
  for (int i = 0; i < 3; ++i) {
    go([left = left, ended] { ended.send(errorOf([&] { readSome(left); }).first); });
  }
  EXPECT_TRUE(eventually([] { return netpollWaiters() == 1; }));  // the others wait for their turn
  left.close();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*ended.receive(), IoError::Closed);
  left.close();
  const auto [code, text] = errorOf([&] { left.write("x"); });
  EXPECT_EQ(code, std::errc::bad_file_descriptor);
  EXPECT_EQ(text, "write left: use of closed file descriptor");
  EXPECT_EQ(errorOf([&] { left.setDeadline(Clock::now()); }).first, IoError::Closed);
}

TEST_F(FdTest, TheNumberOutlivesCloseWhileACallUsesIt) {
  const auto [left, right] = socketPair();
  left.control([&](int fd) {
    left.close();
    EXPECT_GE(fcntl(fd, F_GETFD), 0);
  });
  EXPECT_EQ(readSome(right), "");
}

TEST_F(FdTest, TheLastCopyCloses) {
  auto [in, out] = pipePair();
  {
    const Fd copy = out;
    const Fd last = std::move(out);
    last.write("x");
  }
  EXPECT_EQ(readSome(in), "x");
  EXPECT_EQ(readSome(in), "");
}

TEST_F(FdTest, ADeadlineEndsAReadAndTheNextOnes) {
  const auto [left, right] = socketPair();
  const auto start = Clock::now();
  left.setReadDeadline(start + 2ms);
  const auto [code, text] = errorOf([&] { readSome(left); });
  EXPECT_EQ(code, IoError::Timeout);
  EXPECT_EQ(code, std::errc::timed_out);
  EXPECT_EQ(text, "read left: i/o timeout");
  EXPECT_GE(Clock::now() - start, 2ms);
  right.write("late");
  EXPECT_EQ(errorOf([&] { readSome(left); }).first, IoError::Timeout);
  left.write("not concerned");
  left.setReadDeadline(std::nullopt);
  EXPECT_EQ(readSome(left), "late");
}

TEST_F(FdTest, APastDeadlineReleasesWhoWaits) {
  const auto [empty, writer] = pipePair();
  const auto [reader, full] = pipePair();
  const Chan<std::error_code> ended;
  go([&, ended] { ended.send(errorOf([&] { readSome(empty); }).first); });
  go([&, ended] { ended.send(errorOf([&] { full.write(std::string(1'000'000, 'x')); }).first); });
  EXPECT_TRUE(eventually([] { return netpollWaiters() == 2; }));
  empty.setReadDeadline(Clock::time_point());
  full.setWriteDeadline(Clock::now() - 1h);
  EXPECT_EQ(*ended.receive(), IoError::Timeout);
  EXPECT_EQ(*ended.receive(), IoError::Timeout);
}

TEST_F(FdTest, ADeadlineThatIsMovedOnDoesNotEndTheWait) {
  const auto [left, right] = socketPair();
  for (int i = 0; i < 100; ++i) {
    left.setDeadline(Clock::now() + std::chrono::microseconds(i % 10));
    gosched();
    left.setDeadline(Clock::now() + 1h);
    right.write("x");
    EXPECT_EQ(readSome(left), "x");
  }
}

TEST_F(FdTest, MessagesCarryDescriptors) {
  const auto [left, right] = socketPair(SOCK_SEQPACKET);
  std::array<char, 1> byte{'x'};
  iovec piece{byte.data(), byte.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int root = open("/", O_RDONLY | O_CLOEXEC);
  std::memcpy(CMSG_DATA(header), &root, sizeof root);
  WaitGroup sender;
  sender.go([&] { EXPECT_EQ(left.sendmsg(message), 1U); });

  std::array<char, 8> into{};
  iovec place{into.data(), into.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr received{};
  received.msg_iov = &place;
  received.msg_iovlen = 1;
  received.msg_control = space.data();
  received.msg_controllen = space.size();
  EXPECT_EQ(right.recvmsg(received, MSG_CMSG_CLOEXEC), 1U);
  sender.wait();
  int copy = -1;
  std::memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&received)), sizeof copy);
  EXPECT_GE(fcntl(copy, F_GETFD), 0);
  close(copy);
  close(root);
}

TEST_F(FdTest, ARegularFileIsReadWithoutThePoller) {
  const Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "exe");
  file.setDeadline(Clock::now() - 1s);
  EXPECT_EQ(readSome(file, 4),
            "\x7f"
            "ELF");
}

TEST_F(FdTest, FailuresSayWhatWasAttempted) {
  EXPECT_EQ(errorOf([] { Fd(-1, "nothing"); }).second, "open nothing: Bad file descriptor");
  const Fd directory(open("/", O_RDONLY | O_CLOEXEC), "/");
  EXPECT_EQ(errorOf([&] { readSome(directory); }).second, "read /: Is a directory");
  const auto [left, right] = socketPair();
  right.close();
  EXPECT_EQ(errorOf([&] { left.write("x"); }).second, "write left: Broken pipe");  // and no signal
}

TEST_F(FdTest, ThousandsOfReadersHoldNoThreads) {
  constexpr int kPairs = 200;
  std::vector<std::pair<Fd, Fd>> pairs;
  for (int i = 0; i < kPairs; ++i) pairs.push_back(socketPair());
  const std::size_t before = osThreads().size();
  std::atomic<int> echoed{0};
  WaitGroup group;
  for (const auto& [left, right] : pairs) {
    group.go([&right = right] {
      for (;;) {
        const std::string text = readSome(right);
        if (text.empty()) return;
        right.write(text);
      }
    });
    group.go([&left = left, &echoed] {
      for (int i = 0; i < 20; ++i) {
        left.write(std::to_string(i));
        if (readSome(left) == std::to_string(i)) ++echoed;
      }
      left.close();
    });
  }
  group.wait();
  EXPECT_EQ(echoed, kPairs * 20);
  EXPECT_LE(osThreads().size(), before + static_cast<std::size_t>(maxProcs()) + 2);
}

TEST_F(FdTest, CloseRacesWithEverything) {
  for (int i = 0; i < 300; ++i) {
    const auto [left, right] = socketPair();
    WaitGroup group;
    group.go([&left = left] { errorOf([&] { readSome(left); }); });
    group.go([&left = left] { errorOf([&] { left.write("x"); }); });
    group.go([&left = left, i] {
      errorOf([&] { left.setDeadline(Clock::now() + std::chrono::microseconds(i % 50)); });
    });
    group.go([&left = left] { left.close(); });
    group.wait();
  }
}

}  // namespace
}  // namespace fairlead::runtime
