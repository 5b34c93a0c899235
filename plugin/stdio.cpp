#include "plugin/stdio.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "netns/error.h"
#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

constexpr int kWriteTimeoutMs = 30'000;

// waitFor() waits until `fd` can be read or written. A runtime may hand us the other end of its own
// O_NONBLOCK pipe. Returns 0, or the errno that stopped it.
int waitFor(int fd, short events, int timeoutMs) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  const int ready = ::poll(&entry, 1, timeoutMs);
  if (ready < 0 && errno != EINTR) return errno;
  return ready == 0 ? ETIMEDOUT : 0;
}

}  // namespace

std::string readInput(size_t limit) {
  std::string input;
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    int error = n < 0 ? errno : 0;
    if (error == EAGAIN) error = waitFor(STDIN_FILENO, POLLIN, -1);
    if (error != 0 && error != EINTR)
      throw CniError(Code::IOFailure,
                     "error reading from stdin: read /dev/stdin: " + netns::errnoText(error));
    if (n == 0) return input;
    if (n > 0) input.append(buffer.data(), static_cast<size_t>(n));
    if (input.size() > limit)
      throw CniError(Code::IOFailure,
                     "error reading from stdin: more than " + std::to_string(limit) + " bytes");
  }
}

int writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    int error = errno;
    if (error == EAGAIN) error = waitFor(fd, POLLOUT, kWriteTimeoutMs);
    if (error != 0 && error != EINTR) return error;
  }
  return 0;
}

}  // namespace fairlead::plugin
