// Internal: memory for the records of the runtime itself. (Go: persistentalloc.)
//
// From mmap and not from malloc: a goroutine may be preempted, or a thread be interrupted, while it holds
// malloc's lock, and the scheduler that would let it go on must not need that lock. Never given back: who
// looks late at a record finds a stale one of the same type, not a hole. So those who make and end records
// keep the ended ones for the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace fairlead::runtime {

// Arena hands out zeroed memory. Fatal when the kernel has none. Who owns one guards it.
class Arena {
 public:
  void* alloc(size_t size, size_t align);

 private:
  uintptr_t at_ = 0;
  uintptr_t end_ = 0;
};

// persistentalloc() is from the arena that everybody shares, which has a lock of its own.
void* persistentalloc(size_t size, size_t align);

// newRecord() makes a T there.
template <class T>
T* newRecord() {
  return ::new (persistentalloc(sizeof(T), alignof(T))) T;
}

}  // namespace fairlead::runtime
