// Network namespaces: open, create, compare, enter.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "netns/error.h"
#include "netns/fd.h"

namespace fairlead::netns {

// NetNSError tells why a path is not an open namespace.
class NetNSError : public Error {
 public:
  enum class Kind {
    NotFound,      // nothing at that path
    NotNamespace,  // something, but not a namespace: the plain file that a vanished bind mount leaves, for
                   // instance
    Other,         // the system refused
  };
  NetNSError(Kind kind, int code, std::string attempted, uint32_t fsMagic = 0);

  Kind kind() const { return kind_; }
  // fsMagic() is the file system that was found instead (statfs f_type), for NotNamespace.
  uint32_t fsMagic() const { return fsMagic_; }

 private:
  Kind kind_;
  uint32_t fsMagic_;
};

// NetNS is an open network namespace. It stays alive as long as this object does, whatever happens to its
// path.
class NetNS {
 public:
  // Identity names a namespace for as long as it exists (the inode of the nsfs file).
  struct Identity {
    dev_t dev = 0;
    ino_t ino = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };

  // open() opens by path. It checks what was opened, not the path, so that a path swapped in between cannot
  // mislead.
  static NetNS open(const std::string& path);
  // ofPid() opens the namespace of a process.
  static NetNS ofPid(pid_t pid);
  // current() opens the calling thread's namespace.
  static NetNS current();
  // create() makes an anonymous namespace with its loopback down. The calling thread is in its own namespace
  // again afterwards. Must run on a locked goroutine (or a thread of its own).
  static NetNS create();
  // createNamed() makes a namespace and binds it to /run/netns/NAME, where `ip netns` finds it. EEXIST when
  // taken.
  static NetNS createNamed(const std::string& name);
  // removeNamed() undoes createNamed(). Returns false when there is no such name.
  static bool removeNamed(const std::string& name);
  // resolve() turns what a person types into a path: a path as it is, digits into /proc/PID/ns/net, any other
  // word into /run/netns/NAME.
  static std::string resolve(const std::string& pathNameOrPid);

  int fd() const { return fd_.get(); }
  const Identity& identity() const { return identity_; }
  // path() is what it was opened by, for messages; empty for current(), /proc/PID/fd/N for create().
  const std::string& path() const { return path_; }

 private:
  NetNS(Fd fd, std::string path);

  Fd fd_;
  Identity identity_;
  std::string path_;
};

// doInNetNS() runs f with the calling goroutine's thread inside `ns`, and comes back. The goroutine is locked
// to its thread meanwhile. Goroutines that f starts run in the host's namespace as ever. When the way back
// fails, the goroutine stays locked, so that the thread dies with it instead of serving others, and Error is
// thrown. What f throws passes through. For a netlink socket use Socket::open(ns): it needs no stay.
void doInNetNS(const NetNS& ns, const std::function<void()>& f);

// commandIn() turns a command into one that an operator can type to run it in the namespace at `path`: "ip -n
// NAME ..." for ip and bridge below /run/netns, "ip netns exec NAME ..." for others, "nsenter --net=PATH ..."
// for any other path. An empty path means the namespace that one is in.
std::string commandIn(const std::string& path, std::string_view command);

}  // namespace fairlead::netns
