// A child process that stays behind, to sit out what the kernel makes one wait for who removes things.
//
// RTM_DELLINK returns only after an RCU barrier (netdev_run_todo), 16 ms after the link has gone and RTNL is
// free. No process can end while one of its threads is in there; so a child is, and nobody waits for the
// child.
//
// Closing a socket of nftables waits, too, while anything that a transaction deleted has not been destroyed
// (nft_rcv_nl_event flushes the destroying, which is a grace period or two), and this holds the lock that
// every transaction in the namespace needs, and every removal of a link (nf_tables_netdev_event, with RTNL
// held). When many delete at a time there always is something to be destroyed, and each that closes its
// socket stops all others for some 20 ms. So a child keeps the socket until the next common instant, half a
// second after the one before, and whoever comes by until then leaves his own with it: all are closed at that
// instant, and one flush does for all of them.
//
// What the caller's own caller could notice of it:
// - It has closed all files that it inherited but the sockets it works with, so a pipe or a lock of ours is
//   not held for longer.
// - It is no zombie of anybody's: it outlives us, and the orphan is init's to reap. A second fork would end
//   in the same place and copy the address space twice; ignoring SIGCHLD would lose the status of the
//   programs that we run. It ends without a signal, unseen by waitpid(-1).
// - It blocks every signal: what is meant for us must not run our handlers in there. While it only keeps
//   sockets, SIGTERM ends it, so that no shut-down waits for it. Killed, it closes them at once: nothing is
//   lost but time.
// - While it keeps sockets, it has some 150 KiB of memory for itself, and listens under a name among the
//   abstract unix sockets ("fairlead-" and a digit). It accepts nobody and reads nothing: what is left in the
//   queue of a connection stays open until the listener has gone. Anybody can take such a name; a socket goes
//   only to who listens as the caller's own user.
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
  // There are no others after it: whatever was wrong would be wrong with them, too.
  void stop();
  // keep() has `socket`, which is not used any more, kept until the next common instant, so that closing it
  // here does not wait: by whoever keeps some already in the calling thread's network namespace, else by the
  // latest child, or by a new one when that has ended. Where no child can be had, or the keeper was just
  // about to end, closing waits as ever.
  void keep(int socket);
  // keepIfOthersDo() is keep() where somebody keeps sockets, and nothing otherwise. For one by which nothing
  // has been deleted: closing it waits only for what others have.
  void keepIfOthersDo(int socket);

 private:
  // Lifeline is our end and a child's; the latter is the only file of ours that every child has.
  struct Lifeline {
    Fd ours, theirs;
  };
  static Lifeline makeLifeline();
  void keepByChild(int socket);
  // fork() makes a child that sends `bytes` on `socket`, if any, and then keeps what it has been given.
  bool fork(Lifeline lifeline, int socket, std::span<const char> bytes);
  void reapEnded();

  std::vector<pid_t> children_;  // not reaped
  Fd lifeline_;
  bool stopped_ = false;
};

}  // namespace fairlead::netns
