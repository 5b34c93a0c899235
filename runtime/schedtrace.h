// Internal: FAIRLEAD_DEBUG=schedtrace=N, a line about the scheduler on stderr every N milliseconds, with the
// fields of GODEBUG=schedtrace. With scheddetail=1 a line for each P, M and G follows.
#pragma once

namespace fairlead::runtime {

// startSchedtrace() begins if it was asked for, on a thread of its own: sysmon sleeps while there is nothing
// to watch.
void startSchedtrace();

}  // namespace fairlead::runtime
