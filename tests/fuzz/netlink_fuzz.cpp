// What the kernel answers: messages, extended acknowledgements and the objects in them. The first byte is the
// question; then follow datagrams, each behind its size in two bytes.
//
// The socket is real, but the linker leads send and recvmsg here (--wrap). A socket's first request has the
// sequence number 1.
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "netns/error.h"
#include "netns/link.h"
#include "netns/netlink.h"
#include "netns/nft.h"
#include "netns/route.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::string_view answers;  // that have not been received

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's.
extern "C" ssize_t __wrap_send(int, const void*, size_t size, int) { return static_cast<ssize_t>(size); }

extern "C" ssize_t __wrap_recvmsg(int, msghdr* header, int) {
  if (answers.size() < 2) return errno = ENOBUFS, -1;
  const size_t size = static_cast<uint8_t>(answers[0]) | static_cast<uint8_t>(answers[1]) << 8;
  const std::string_view datagram = answers.substr(2, size);
  answers.remove_prefix(2 + datagram.size());
  const iovec& part = *header->msg_iov;
  const size_t copied = std::min(datagram.size(), part.iov_len);
  std::memcpy(part.iov_base, datagram.data(), copied);
  const sockaddr_nl kernel{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  std::memcpy(header->msg_name, &kernel, sizeof kernel);
  header->msg_namelen = sizeof kernel;
  header->msg_flags = copied < datagram.size() ? MSG_TRUNC : 0;
  return static_cast<ssize_t>(copied);
}

// NOLINTEND(bugprone-reserved-identifier)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead::netns;
  if (size == 0) return 0;
  static const nft::Table kTable{.family = nft::Family::Inet, .name = "fairlead"};
  static const LinkRef kLink{.name = "eth0", .index = 2};
  struct Question {
    Socket::Family family;
    void (*ask)(Socket&);
  };
  static constexpr Question kQuestions[] = {
      {Socket::Family::Route, [](Socket& socket) { link::find(socket, kLink); }},
      {Socket::Family::Route, [](Socket& socket) { link::list(socket); }},
      {Socket::Family::Route, [](Socket& socket) { addr::list(socket, kLink, AF_UNSPEC); }},
      {Socket::Family::Route, [](Socket& socket) { route::list(socket, AF_UNSPEC, 2, 254); }},
      {Socket::Family::Route, [](Socket& socket) { socket.send(link::remove(kLink)); }},
      {Socket::Family::Netfilter, [](Socket& socket) { nft::hasTable(socket, kTable); }},
      {Socket::Family::Netfilter, [](Socket& socket) { nft::hasChain(socket, kTable, "chain"); }},
      {Socket::Family::Netfilter, [](Socket& socket) { nft::listChains(socket, kTable); }},
      {Socket::Family::Netfilter, [](Socket& socket) { nft::listRules(socket, kTable, "chain"); }},
      {Socket::Family::Netfilter, [](Socket& socket) { nft::listElements(socket, kTable, "map"); }},
      {Socket::Family::Netfilter,
       [](Socket& socket) { nft::findElement(socket, kTable, "map", *IP::parse("10.0.0.1")); }},
      {Socket::Family::Netfilter,
       [](Socket& socket) { nft::Transaction(kTable).addTable().addChain("chain").commit(socket); }},
  };
  const Question& question = kQuestions[data[0] % std::size(kQuestions)];
  answers = fairlead::fuzz::textOf(data + 1, size - 1);
  Socket socket = Socket::open(question.family);
  fairlead::fuzz::accepted<Error>([&] { question.ask(socket); });
  return 0;
}
