// Internal: std::mutex held over a park, which C++ forbids and nothing else notices.
//
// A mutex belongs to the thread that locked it. A goroutine that parks may come back on another one, and its
// unlock is then undefined; and whoever runs here next and wants the mutex blocks the thread that would have
// to let the holder run. Built with FAIRLEAD_DEBUG_LOCKS, the linker gives us the program's calls of
// pthread_mutex_* and pthread_rwlock_*, which are what std::mutex and its kin consist of; those inside shared
// libraries are not seen. Locked goroutines may hold what they like: their thread is theirs.
#pragma once

#include "runtime/g.h"

namespace fairlead::runtime {

#if defined(FAIRLEAD_DEBUG_LOCKS)
// reportHeldLocks() is called when gp is about to leave its stack, on its thread: once for each place that
// does so with a lock held it says so on stderr, with the lock and a backtrace.
// FAIRLEAD_DEBUG=heldlocks=fatal makes that the end of the program.
void reportHeldLocks(const G& gp);
#else
inline void reportHeldLocks(const G& /*gp*/) {}
#endif

}  // namespace fairlead::runtime
