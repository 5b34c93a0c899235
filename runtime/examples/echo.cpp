// echo [PORT]: sends back what it is sent, on 127.0.0.1, until it gets SIGINT; then it accepts nobody, ends
// the connections that are waiting for more, and goes when the last is gone.
//
// What to learn from it: a goroutine per connection, written as if it blocked, while no thread does; a signal
// as a descriptor that a goroutine reads; a context that tells all of them to end; deadlines and close(),
// which release who waits for a descriptor.
#include <sys/signalfd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <span>
#include <system_error>

#include "runtime/context.h"
#include "runtime/net.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"

namespace {

using namespace fairlead::runtime;  // NOLINT(google-build-using-namespace): a program of one file

sigset_t interrupt() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

// Before goMain, and so before there is a second thread: the threads to come let through what this one does.
const Init init([] {
  const sigset_t set = interrupt();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
});

void waitForInterrupt() {
  const sigset_t set = interrupt();
  const Fd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  signalfd_siginfo which{};
  signals.read(std::as_writable_bytes(std::span(&which, 1)));
}

void echo(const Context& context, const Fd& connection) {
  // Wakes the read below; what has been read is still sent back.
  const StopFunc stop =
      afterFunc(context, [connection] { connection.setReadDeadline(std::chrono::steady_clock::now()); });
  std::array<std::byte, 4096> buffer{};
  try {
    while (const std::size_t n = connection.read(buffer)) connection.write(std::span(buffer).first(n));
  } catch (const std::system_error& e) {
    if (e.code() != IoError::Timeout) std::fprintf(stderr, "echo: %s\n", e.what());
  }
  stop();
}

void serve(const Context& context, const Fd& listener) {
  WaitGroup connections;
  try {
    for (;;) connections.go([&context, connection = listener.accept()] { echo(context, connection); });
  } catch (const std::system_error& e) {
    if (e.code() != IoError::Closed) std::fprintf(stderr, "echo: %s\n", e.what());
  }
  connections.wait();
}

}  // namespace

int fairlead::goMain(int argc, char** argv) {
  uint16_t port = 0;  // any
  if (argc > 1 && std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), port).ec != std::errc()) {
    std::fputs("usage: echo [PORT]\n", stderr);
    return 2;
  }
  const Fd listener = listen(Transport::Tcp, Address::ip("127.0.0.1", port));
  std::printf("listening on %s\n", localAddress(listener).text().c_str());
  std::fflush(stdout);

  const auto [context, cancel] = withCancel(background());
  go([listener, cancel = cancel] {
    waitForInterrupt();
    listener.close();
    cancel();
  });
  serve(context, listener);
  std::puts("done");
  return 0;
}
