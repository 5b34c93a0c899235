#include "runtime/arena.h"

#include <sys/mman.h>

#include <mutex>

#include "runtime/fatal.h"
#include "runtime/lock.h"

namespace fairlead::runtime {
namespace {

constexpr size_t kChunk = 64UL * 1024;
constexpr size_t kOwnMapping = kChunk / 4;  // from this size on

constinit Lock lock;
constinit Arena shared;  // under lock

uintptr_t map(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fatal("out of memory", "runtime: cannot map memory for the scheduler\n");
  return reinterpret_cast<uintptr_t>(memory);
}

}  // namespace

void* Arena::alloc(size_t size, size_t align) {
  if (size >= kOwnMapping) return reinterpret_cast<void*>(map(size));
  uintptr_t at = (at_ + align - 1) & ~(uintptr_t{align} - 1);
  if (end_ == 0 || at + size > end_) {
    at = map(kChunk);
    end_ = at + kChunk;
  }
  at_ = at + size;
  return reinterpret_cast<void*>(at);
}

void* persistentalloc(size_t size, size_t align) {
  const std::lock_guard guard(lock);
  return shared.alloc(size, align);
}

}  // namespace fairlead::runtime
