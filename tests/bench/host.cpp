#include "tests/bench/host.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace fairlead::bench {
namespace {

constexpr const char* kDirectory = "/run/netns";

void must(bool ok, const std::string& what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

// Guest brings the calling thread back to the namespace that it was in.
class Guest {
 public:
  Guest() : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    must(home_ >= 0, "open ns/net");
  }
  ~Guest() {
    if (::setns(home_, CLONE_NEWNET) != 0) ::_exit(1);  // the rest would happen to the wrong host
    ::close(home_);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

 private:
  int home_;
};

void loopbackUp() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  const bool ok = ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  ::close(fd);
  must(ok, "ip link set lo up");
}

}  // namespace

void hideMachine() {
  must(::unshare(CLONE_NEWNS) == 0, "unshare (are you root?)");
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "mount --make-rprivate /");
  must(::mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0, "mount -t tmpfs tmpfs /run");
  must(::mkdir(kDirectory, 0755) == 0, "mkdir /run/netns");
}

NetworkNamespace::NetworkNamespace(const std::string& name) : path_(std::string(kDirectory) + "/" + name) {
  const int target = ::open(path_.c_str(), O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444);
  must(target >= 0, path_);
  ::close(target);
  const Guest guest;
  must(::unshare(CLONE_NEWNET) == 0, "unshare --net");
  must(::mount("/proc/thread-self/ns/net", path_.c_str(), nullptr, MS_BIND, nullptr) == 0,
       "mount --bind " + path_);
  loopbackUp();
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  must(fd_ >= 0, path_);
}

NetworkNamespace::~NetworkNamespace() {
  ::close(fd_);
  ::umount2(path_.c_str(), MNT_DETACH);
  ::unlink(path_.c_str());
}

void NetworkNamespace::within(const std::function<void()>& work) const {
  const Guest guest;
  must(::setns(fd_, CLONE_NEWNET) == 0, "setns " + path_);
  work();
}

bool NetworkNamespace::hasLink(const std::string& name) const {
  bool found = false;
  within([&] { found = ::if_nametoindex(name.c_str()) != 0; });
  return found;
}

}  // namespace fairlead::bench
