#include "netns/enter.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>

#include "runtime/lastwords.h"
#include "runtime/runtime.h"

namespace fairlead::netns {

namespace {

void enter(const NetNS& ns) {
  if (::setns(ns.fd(), CLONE_NEWNET) != 0) throw Error(errno, "setns " + ns.path());
}

// Stay is the part of doInNetNS that must be undone on every way out: the lock, and being in the namespace.
class Stay {
 public:
  explicit Stay(const NetNS& ns) {
    runtime::lockOSThread();
    try {
      home_ = openCurrent();
      // Threads started from now on must not be born in `ns`.
      runtime::startTemplateThread();
      enter(ns);
    } catch (...) {
      runtime::unlockOSThread();
      throw;
    }
  }
  Stay(const Stay&) = delete;
  Stay& operator=(const Stay&) = delete;
  ~Stay() { leave(); }

  // leave() returns an errno. After a failure the goroutine stays locked: the thread must serve nobody else.
  int leave() {
    if (!home_) return 0;
    const Fd home = std::move(home_);
    if (::setns(home.get(), CLONE_NEWNET) != 0) return errno;
    runtime::unlockOSThread();
    return 0;
  }

 private:
  Fd home_;
};

}  // namespace

Fd openCurrent() {
  Fd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) throw Error(errno, "open /proc/thread-self/ns/net");
  return fd;
}

WayBack::~WayBack() {
  if (::setns(home_.get(), CLONE_NEWNET) == 0) return;
  runtime::fatalError(("cannot return from a network namespace: setns: " + errnoText(errno)).c_str());
}

Visit::Visit(const NetNS& ns) { enter(ns); }

void doInNetNS(const NetNS& ns, const std::function<void()>& f) {
  Stay stay(ns);
  f();
  if (const int code = stay.leave(); code != 0) throw Error(code, "setns back from " + ns.path());
}

}  // namespace fairlead::netns
