// A child process that stays behind, to sit out what the kernel makes one wait for who removes things.
//
// RTM_DELLINK returns only after an RCU barrier (netdev_run_todo), 16 ms after the link has gone and RTNL is
// free. Closing a socket by which nftables objects were deleted waits for a grace period, too
// (nft_rcv_nl_event). No process can end while one of its threads is in there; so a child is, and nobody
// waits for the child.
//
// What the caller's own caller could notice of it:
// - It has closed all files that it inherited but the sockets it works with, so a pipe or a lock of ours is
//   not held for longer.
// - It is no zombie of anybody's: it outlives us, and the orphan is init's to reap. A second fork would end
// in
//   the same place and copy the address space twice; ignoring SIGCHLD would lose the status of the programs
//   that we run. It ends without a signal, unseen by waitpid(-1).
// - It blocks every signal: what is meant for us must not run our handlers in there.
#pragma once

#include <sys/types.h>

#include <span>
#include <vector>

#include "netns/fd.h"

namespace fairlead::netns {

// Straggler is one such child after another. Belongs to one goroutine.
class Straggler {
 public:
  Straggler() = default;
  Straggler(const Straggler&) = delete;
  Straggler& operator=(const Straggler&) = delete;
  // Children that have ended are reaped; the others stay behind.
  ~Straggler();

  // send() has a new child send `bytes` on `socket`, which it shares with us: the answers are ours to
  // receive. False where no child can be had (limits, seccomp); nothing is sent then.
  bool send(int socket, std::span<const char> bytes);
  // lifeline() hangs up when the latest child has ended; -1 before there was one.
  int lifeline() const { return lifeline_.get(); }
  // stop() kills the latest child and waits until it is gone: it has either sent by then, or never will.
  void stop();
  // keep() lets the latest child have `socket` as well, so that closing it here does not wait. Without a
  // child, or too late for it, closing waits as ever.
  void keep(int socket) const;

 private:
  void reapEnded();

  std::vector<pid_t> children_;  // not reaped
  Fd lifeline_;
};

}  // namespace fairlead::netns
