// A lock between processes, on a file, with a bound on the wait.
#pragma once

#include <chrono>
#include <string>

#include "netns/fd.h"

namespace fairlead::plugin {

// FileLock holds an exclusive flock(2) until it is destroyed; a process that dies lets go of it. BSD locks
// and not fcntl's, which do not see each other: the reference plugins use flock.
class FileLock {
 public:
  static constexpr std::chrono::seconds kLimit{60};

  // Waits for the lock on the open `file`; the kernel queues the waiters. `path` is its name in errors.
  // Throws CniError 11 (try again later) when `limit` passes, netns::Error when the file system has no locks.
  // The wait is a blocking section; SIGALRM, which bounds it, gets a handler that stays for the life of the
  // process.
  FileLock(netns::Fd file, const std::string& path, std::chrono::milliseconds limit = kLimit);

 private:
  netns::Fd file_;
};

}  // namespace fairlead::plugin
