// Internal: G, a goroutine. See gmp.h for the two other letters and the lock order.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/gobuf.h"

namespace fairlead::runtime {

struct M;

enum class GStatus : uint8_t {
  Dead,      // on a free list, or being made or buried; has a stack, no life
  Runnable,  // on exactly one run queue, in a P's runnext, or handed to an M as M::nextg or through its
             // locked pair
  Running,   // owned by G::m, which holds a P
  Syscall,   // owned by G::m, inside a BlockingSection; the P it had may be taken away at any moment
  Waiting,   // on no queue; what will make it ready is said by waitReason
};

enum class WaitReason : uint8_t {
  None,
  ChanReceive,
  ChanReceiveNil,
  ChanSend,
  ChanSendNil,
  Select,
  SelectNoCases,
  MutexLock,
  RWMutexRLock,
  RWMutexLock,
  CondWait,
  WaitGroupWait,
  Semacquire,
  Sleep,
  IOWait,
  Preempted  // Runnable: interrupted by a signal, its thread sleeps in the handler
};

// describe() is what a trace says, in Go's words.
constexpr const char* describe(WaitReason reason) {
  switch (reason) {
    case WaitReason::None:
      return "waiting";
    case WaitReason::ChanReceive:
      return "chan receive";
    case WaitReason::ChanReceiveNil:
      return "chan receive (nil chan)";
    case WaitReason::ChanSend:
      return "chan send";
    case WaitReason::ChanSendNil:
      return "chan send (nil chan)";
    case WaitReason::Select:
      return "select";
    case WaitReason::SelectNoCases:
      return "select (no cases)";
    case WaitReason::MutexLock:
      return "sync.Mutex.Lock";
    case WaitReason::RWMutexRLock:
      return "sync.RWMutex.RLock";
    case WaitReason::RWMutexLock:
      return "sync.RWMutex.Lock";
    case WaitReason::CondWait:
      return "sync.Cond.Wait";
    case WaitReason::Semacquire:
      return "semacquire";
    case WaitReason::WaitGroupWait:
      return "sync.WaitGroup.Wait";
    case WaitReason::Sleep:
      return "sleep";
    case WaitReason::IOWait:
      return "IO wait";
    case WaitReason::Preempted:
      return "preempted";
  }
  return "waiting";
}

// G lives at the top of the stack that belongs to it for good: one page holds the record, the closure and the
// first frames. Records are reused and never unmapped, so a late reader finds a stale goroutine, not a hole.
//
// Written by the one who owns the goroutine, as its status says: its M while Running or in Syscall; the waker
// once it has taken it off its wait list; the one who took it off a run queue. Atomics are those that a dump
// may read meanwhile.
//
// The first cache line is what parking, waking and switching touch, the second what is written once per life.
struct alignas(64) G {
  Gobuf gobuf;
  std::atomic<GStatus> status{GStatus::Dead};
  std::atomic<WaitReason> waitReason{WaitReason::None};
  uint32_t parks = 0;                 // how often it has parked
  M* m = nullptr;                     // Running, Syscall: who runs it
  std::atomic<M*> lockedm{nullptr};   // wired to that M by lockOSThread, or while preempted
  std::atomic<int64_t> waitsince{0};  // Waiting: nanotime() of the park, exact to a time slice

  void (*entry)(void*) = nullptr;  // what go() was given: runs and destroys the closure
  void* closure = nullptr;
  std::atomic<uint64_t> goid{0};
  uint64_t parent = 0;              // goid of the one that called go()
  uintptr_t createdAt = 0;          // where in the code that was: the address that go() returns to
  char* stackLow = nullptr;         // lowest usable address, above the guard; nullptr: main, on the OS stack
  G* schedlink = nullptr;           // in the GQueue that holds it
  uint32_t parksWhenPreempted = 0;  // `parks` when its slice last ended
  int64_t wokenAt = 0;              // trace.cpp's: when it was made ready, until it runs

  // stackHigh() is where the closure ends, below which the first frame begins; not main's.
  [[nodiscard]] char* stackHigh() const { return const_cast<char*>(reinterpret_cast<const char*>(this)); }
};

// prefetch() is for a goroutine that will be run, or used for a new one, soon: its record and the top of its
// stack.
inline void prefetch(const G* gp) {
  constexpr int kForWriting = 1;
  constexpr ptrdiff_t kLine = 64;
  const char* record = reinterpret_cast<const char*>(gp);
  __builtin_prefetch(record, kForWriting);
  __builtin_prefetch(record + kLine, kForWriting);
  __builtin_prefetch(record - kLine, kForWriting);
}

}  // namespace fairlead::runtime
