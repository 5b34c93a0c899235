// Internal to the trace: what is recorded, and where it is kept until the end.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/trace.h"

namespace fairlead::runtime {

struct TraceEvent {
  int64_t time = 0;  // nanotime()
  uint64_t goid = 0;
  uintptr_t createdAt = 0;  // of that goroutine
  int64_t wokenAt = 0;  // Start, Create, Ready: nanotime() of the wake-up that leads to the start; 0: none
  int32_t p = -1;
  TraceKind kind{};
  uint8_t detail = 0;
};

// TraceChunk is written by one thread and read at the end.
struct TraceChunk {
  static constexpr size_t kBytes = 64UL * 1024;
  static constexpr size_t kEvents = (kBytes - 32) / sizeof(TraceEvent);

  pid_t thread = 0;
  bool first = false;  // of that thread
  std::atomic<uint32_t> count{0};
  std::atomic<TraceChunk*> next{nullptr};  // of that thread
  std::array<TraceEvent, kEvents> events;
};
static_assert(sizeof(TraceChunk) <= TraceChunk::kBytes);

// TraceBuffer is the memory for all of them.
class TraceBuffer {
 public:
  static constexpr size_t kMostChunks = 256;  // 16 MiB, 400,000 events

  // map() returns false when there is no memory.
  bool map();
  // take() is a new chunk for a thread whose last one was `before`; nullptr when all are taken.
  TraceChunk* take(pid_t thread, TraceChunk* before);
  void drop() { dropped_.fetch_add(1, std::memory_order_relaxed); }

  [[nodiscard]] size_t size() const;
  [[nodiscard]] const TraceChunk& operator[](size_t i) const;
  [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::byte* memory_ = nullptr;
  std::atomic<size_t> taken_{0};
  std::atomic<uint64_t> dropped_{0};
};

// writeTraceFile() writes the events as JSON to a file descriptor; `begin` is time zero.
void writeTraceFile(int file, const TraceBuffer& buffer, int64_t begin, bool mayAllocate);

}  // namespace fairlead::runtime
