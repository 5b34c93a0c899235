// Internal: FAIRLEAD_DEBUG=stall=N finds goroutines that keep a P for N milliseconds, more than the 10 of a
// time slice, while others wait for one. They compute without a poll point, or block their thread outside of
// a BlockingSection, in a system call or for a std::mutex. Each is shown on stderr with its stack, once for
// each time slice. Looking into one halts all threads for a moment: see debug.h.
#pragma once

namespace fairlead::runtime {

// startStallWatch() begins if it was asked for, on a thread of its own.
void startStallWatch();

}  // namespace fairlead::runtime
