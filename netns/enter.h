// Internal: entering a network namespace and coming back.
#pragma once

#include "netns/fd.h"
#include "netns/netns.h"

namespace fairlead::netns {

// openCurrent() opens the calling thread's namespace.
Fd openCurrent();

// WayBack brings the calling thread back to the network namespace it was in. Meanwhile nothing may call into
// the runtime, which could start a thread (born in the wrong namespace) or switch to another goroutine: this
// is for single system calls. When the way back fails the process is stopped, for the thread would do other
// work in the wrong place. It costs an open of /proc/thread-self/ns/net, 2.5 us; a remembered descriptor
// would be wrong inside doInNetNS.
class WayBack {
 public:
  WayBack() : home_(openCurrent()) {}
  WayBack(const WayBack&) = delete;
  WayBack& operator=(const WayBack&) = delete;
  ~WayBack();

 private:
  Fd home_;
};

// Visit has the calling thread in `ns` for as long as it exists.
class Visit {
 public:
  explicit Visit(const NetNS& ns);

 private:
  WayBack back_;
};

}  // namespace fairlead::netns
