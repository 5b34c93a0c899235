// Census: in which namespaces and directory the threads of this process are, as the kernel tells it, against
// the list of those that are meant to be elsewhere.
#pragma once

#include <map>
#include <set>
#include <string>

#include "runtime/sync.h"

namespace fairlead::runtime {

// Whereabouts is what a thread copies from the one that makes it: net, uts and mnt name the namespaces, cwd
// is the working directory. Empty strings: the thread ended meanwhile.
struct Whereabouts {
  std::string net;
  std::string uts;
  std::string mnt;
  std::string cwd;

  bool operator==(const Whereabouts&) const = default;
  [[nodiscard]] bool known() const { return !net.empty() && !uts.empty() && !mnt.empty() && !cwd.empty(); }
};

// whereaboutsOf() reads /proc/self/task/<thread>.
Whereabouts whereaboutsOf(int thread);

// Census takes the whereabouts of the thread that makes it for those of the process. Its functions may be
// called by any goroutine; count() does not park, so that a thread cannot leave the list while it is looked
// at.
class Census {
 public:
  Census() : home_(whereaboutsOf(threadId())) {}

  [[nodiscard]] const Whereabouts& home() const { return home_; }
  // leaves() and returns(): from before `thread` changes until after it has changed back, it may be
  // elsewhere.
  void leaves(int thread);
  void returns(int thread);
  // atHome() tells whether the calling thread is where the process is.
  [[nodiscard]] bool atHome() const { return whereaboutsOf(threadId()) == home_; }
  // strays() are the threads that are elsewhere and not on the list, now.
  std::map<int, Whereabouts> strays();
  // departed() are the threads on the list that still exist.
  std::set<int> departed();

 private:
  const Whereabouts home_;
  Mutex mutex_;
  std::set<int> away_;  // under mutex_
};

}  // namespace fairlead::runtime
