#include "runtime/arena.h"

#include <sys/mman.h>

#include <cstdint>
#include <mutex>

#include "runtime/fatal.h"
#include "runtime/lock.h"

namespace fairlead::runtime {
namespace {

constexpr size_t kChunk = 64UL * 1024;
constexpr size_t kOwnMapping = kChunk / 4;  // from this size on

struct Arena {
  Lock lock;
  uintptr_t at = 0;
  uintptr_t end = 0;
};

constinit Arena arena;

uintptr_t map(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fatal("out of memory", "runtime: cannot map memory for the scheduler\n");
  return reinterpret_cast<uintptr_t>(memory);
}

}  // namespace

void* persistentalloc(size_t size, size_t align) {
  if (size >= kOwnMapping) return reinterpret_cast<void*>(map(size));
  const std::lock_guard guard(arena.lock);
  uintptr_t at = (arena.at + align - 1) & ~(uintptr_t{align} - 1);
  if (arena.end == 0 || at + size > arena.end) {
    at = map(kChunk);
    arena.end = at + kChunk;
  }
  arena.at = at + size;
  return reinterpret_cast<void*>(at);
}

}  // namespace fairlead::runtime
