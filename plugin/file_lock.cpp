#include "plugin/file_lock.h"

#include <signal.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "netns/error.h"
#include "plugin/error.h"
#include "runtime/runtime.h"

namespace fairlead::plugin {
namespace {

using Clock = std::chrono::steady_clock;

// Alarm interrupts the calling thread's system call after `delay`, and again every 50 ms, in case the first
// one came before the call was entered. Leave it on the thread that made it.
class Alarm {
 public:
  explicit Alarm(std::chrono::milliseconds delay) {
    // Installed for good: a SIGALRM that comes late must find a handler. No SA_RESTART, interrupting is all
    // it is for.
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    ::sigemptyset(&unblock_);
    ::sigaddset(&unblock_, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &unblock_, &before_);

    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event._sigev_un._tid = ::gettid();
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) throw netns::Error(errno, "timer_create");
    const itimerspec when{
        .it_interval = {.tv_sec = 0, .tv_nsec = 50'000'000},
        .it_value = {.tv_sec = delay.count() / 1000, .tv_nsec = delay.count() % 1000 * 1'000'000 + 1}};
    ::timer_settime(timer_, 0, &when, nullptr);
  }
  ~Alarm() {
    ::timer_delete(timer_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

 private:
  timer_t timer_{};
  sigset_t unblock_{};
  sigset_t before_{};
};

// wait() returns 0, or the errno; EINTR means that time is up.
int wait(int file, std::chrono::milliseconds limit) {
  const runtime::BlockingSection blocking;
  const Alarm alarm(limit);
  const auto deadline = Clock::now() + limit;
  while (::flock(file, LOCK_EX) != 0) {
    if (errno != EINTR || Clock::now() >= deadline) return errno;
  }
  return 0;
}

}  // namespace

FileLock::FileLock(netns::Fd file, const std::string& path, std::chrono::milliseconds limit)
    : file_(std::move(file)) {
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno == EWOULDBLOCK || errno == EINTR ? wait(file_.get(), limit) : errno;
  if (error == EINTR) {
    throw CniError(
        Code::TryAgainLater, "timed out waiting for the lock " + path,
        "another process held it for " + std::to_string(limit.count()) + " ms; lslocks(8) shows which");
  }
  if (error != 0) throw netns::Error(error, "flock " + path);
}

}  // namespace fairlead::plugin
