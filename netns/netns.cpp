#include "netns/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "netns/enter.h"

namespace fairlead::netns {

namespace {

constexpr const char* kNamedDir = "/run/netns";

std::string hex(uint32_t value) {
  std::array<char, 8> digits;
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr};
}

std::string extackOf(NetNSError::Kind kind, uint32_t fsMagic) {
  if (kind != NetNSError::Kind::NotNamespace) return {};
  return "not a network namespace, file system magic " + hex(fsMagic);
}

uint32_t magicOf(int fd, const std::string& path) {
  struct statfs info {};
  if (::fstatfs(fd, &info) != 0) throw NetNSError(NetNSError::Kind::Other, errno, "statfs " + path);
  return static_cast<uint32_t>(info.f_type);
}

NetNSError openError(const std::string& path, int code) {
  using Kind = NetNSError::Kind;
  const std::string attempted = "open " + path;
  if (code == ENOENT || code == ENOTDIR || code == ELOOP || code == ENAMETOOLONG)
    return {Kind::NotFound, code, attempted};
  if (code != ENXIO && code != ENODEV) return {Kind::Other, code, attempted};
  // A socket or a device without a driver cannot even be opened.
  struct statfs info {};
  ::statfs(path.c_str(), &info);
  return {Kind::NotNamespace, code, attempted, static_cast<uint32_t>(info.f_type)};
}

// namedPath() refuses what would leave the directory.
std::string namedPath(const std::string& name) {
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\0", 2)) != name.npos)
    throw Error(EINVAL, "ip netns add " + name);
  return kNamedDir + ('/' + name);
}

// shareNamedDir() does what `ip netns` does first: with the directory a shared mount, a name that is removed
// here disappears from every mount namespace, instead of being kept alive by the copies. The lock is the one
// of `ip netns`: of two that find no mount point there, both would make one.
void shareNamedDir() {
  if (::mkdir(kNamedDir, 0755) != 0 && errno != EEXIST) throw Error(errno, std::string("mkdir ") + kNamedDir);
  const Fd lock(::open(kNamedDir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0) throw Error(errno, std::string("lock ") + kNamedDir);
  if (::mount("", kNamedDir, "none", MS_SHARED | MS_REC, nullptr) == 0) return;
  if (errno != EINVAL || ::mount(kNamedDir, kNamedDir, "none", MS_BIND | MS_REC, nullptr) != 0 ||
      ::mount("", kNamedDir, "none", MS_SHARED | MS_REC, nullptr) != 0)
    throw Error(errno, std::string("mount --make-shared ") + kNamedDir);
}

bool isNumber(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

NetNSError::NetNSError(Kind kind, int code, std::string attempted, uint32_t fsMagic)
    : Error(code, std::move(attempted), extackOf(kind, fsMagic)), kind_(kind), fsMagic_(fsMagic) {}

// ---- opening -----------------------------------------------------------------------------------

NetNS::NetNS(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) throw Error(errno, "stat " + path_);
  identity_ = {.dev = info.st_dev, .ino = info.st_ino};
}

NetNS NetNS::open(const std::string& path) {
  if (path.find('\0') != path.npos) throw NetNSError(NetNSError::Kind::Other, EINVAL, "open " + path);
  // A pipe must not make us wait, nor a terminal become ours.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) throw openError(path, errno);
  const uint32_t magic = magicOf(fd.get(), path);
  const int type = magic == NSFS_MAGIC ? ::ioctl(fd.get(), NS_GET_NSTYPE) : 0;
  if (type < 0) throw NetNSError(NetNSError::Kind::Other, errno, "ask for the type of " + path);
  if (type != CLONE_NEWNET) throw NetNSError(NetNSError::Kind::NotNamespace, EINVAL, "open " + path, magic);
  return {std::move(fd), path};
}

NetNS NetNS::ofPid(pid_t pid) { return open("/proc/" + std::to_string(pid) + "/ns/net"); }

NetNS NetNS::current() { return {openCurrent(), {}}; }

std::string NetNS::resolve(const std::string& pathNameOrPid) {
  if (pathNameOrPid.find('/') != pathNameOrPid.npos) return pathNameOrPid;
  if (isNumber(pathNameOrPid)) return "/proc/" + pathNameOrPid + "/ns/net";
  return kNamedDir + ('/' + pathNameOrPid);
}

// ---- creating ----------------------------------------------------------------------------------

NetNS NetNS::create() {
  const WayBack back;
  if (::unshare(CLONE_NEWNET) != 0) throw Error(errno, "unshare -n");
  Fd fd = openCurrent();
  std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd.get());
  return {std::move(fd), std::move(path)};
}

NetNS NetNS::createNamed(const std::string& name) {
  const std::string path = namedPath(name);
  shareNamedDir();
  if (!Fd(::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0)))
    throw Error(errno, "ip netns add " + name);
  try {
    {
      const WayBack back;
      if (::unshare(CLONE_NEWNET) != 0 ||
          ::mount("/proc/thread-self/ns/net", path.c_str(), "none", MS_BIND, nullptr) != 0)
        throw Error(errno, "ip netns add " + name);
    }
    return open(path);
  } catch (...) {
    removeNamed(name);
    throw;
  }
}

bool NetNS::removeNamed(const std::string& name) {
  const std::string path = namedPath(name);
  // EINVAL: a plain file, left by one who was killed half-way.
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
    throw Error(errno, "ip netns del " + name);
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  throw Error(errno, "ip netns del " + name);
}

// ---- messages ----------------------------------------------------------------------------------

std::string commandIn(const std::string& path, std::string_view command) {
  if (path.empty()) return std::string(command);
  for (const std::string_view dir : {"/run/netns/", "/var/run/netns/"}) {
    if (!path.starts_with(dir) || path.find('/', dir.size()) != path.npos) continue;
    const std::string name = path.substr(dir.size());
    for (const std::string_view tool : {"ip", "bridge"})
      if (command == tool || (command.starts_with(tool) && command[tool.size()] == ' '))
        return std::string(tool) + " -n " + name + std::string(command.substr(tool.size()));
    return "ip netns exec " + name + ' ' + std::string(command);
  }
  return "nsenter --net=" + path + ' ' + std::string(command);
}

}  // namespace fairlead::netns
