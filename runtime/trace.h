// Internal: FAIRLEAD_TRACE=file writes the schedule of the whole run as a Chrome trace, which Perfetto shows.
//
// Events go to chunks of memory that belong to one thread each, without locks, and are written as JSON when
// the program ends, in whatever way the runtime has a say in. Memory is bounded: what does not fit is dropped
// and counted. Switched off, an event costs one branch on a flag that never changes.
#pragma once

#include <cstdint>

namespace fairlead::runtime {

struct G;
struct TraceChunk;

enum class TraceKind : uint8_t {
  Start,         // a goroutine begins to run, or goes on
  Park,          // it waits; detail: why (WaitReason)
  Yield,         // it lets others run first
  Preempt,       // it was made to
  End,           // it is no more
  Create,        // of the goroutine given, by the one that runs
  Ready,         // likewise
  HandOff,       // a locked goroutine's thread is given a P and woken
  SyscallEnter,  // a BlockingSection begins
  SyscallExit,   // it ends, and the P was still there
  SyscallWait,   // it ends, and the goroutine has to wait for a P
  StopWorld,     // begins to stop the world
  StartWorld,
};

extern bool traceWanted;  // written before a second thread exists

// startTrace() begins if it was asked for; before a second thread exists.
void startTrace();
// writeTrace() writes what there is, once; the first call counts. Names are only readable everywhere if
// malloc may be called.
void writeTrace(bool mayAllocate);

[[gnu::cold]] void traceSlow(TraceKind kind, G* gp, uint8_t detail);

// trace() records that something happened to gp on the calling thread, which must be an M's: it is dropped
// elsewhere.
inline void trace(TraceKind kind, G* gp, uint8_t detail = 0) {
  if (traceWanted) [[unlikely]]
    traceSlow(kind, gp, detail);
}

}  // namespace fairlead::runtime
