#include "runtime/trace.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdlib>
#include <new>
#include <utility>

#include "runtime/gmp.h"
#include "runtime/print.h"
#include "runtime/trace_buffer.h"

namespace fairlead::runtime {

constinit bool traceWanted = false;

namespace {

constinit TraceBuffer buffer;
constinit std::atomic<bool> written{false};
int64_t begin = 0;

// A record of an M may serve another thread after the first has ended.
TraceChunk* chunkFor(M* m) {
  const pid_t thread = m->procid.load(std::memory_order_relaxed);
  TraceChunk* chunk = m->traceChunk;
  if (chunk != nullptr && chunk->thread != thread) chunk = nullptr;
  if (chunk == nullptr || chunk->count.load(std::memory_order_relaxed) == TraceChunk::kEvents) {
    chunk = buffer.take(thread, chunk);
    if (chunk != nullptr) m->traceChunk = chunk;
  }
  return chunk;
}

int64_t wakeUp(TraceKind kind, G* gp, int64_t now) {
  if (kind == TraceKind::Create || kind == TraceKind::Ready) return gp->wokenAt = now;
  return kind == TraceKind::Start ? std::exchange(gp->wokenAt, 0) : 0;
}

}  // namespace

bool TraceBuffer::map() {
  void* memory = mmap(nullptr, kMostChunks * TraceChunk::kBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  memory_ = static_cast<std::byte*>(memory);
  return true;
}

TraceChunk* TraceBuffer::take(pid_t thread, TraceChunk* before) {
  if (taken_.load(std::memory_order_relaxed) >= kMostChunks) return nullptr;
  const size_t i = taken_.fetch_add(1, std::memory_order_relaxed);
  if (i >= kMostChunks) return nullptr;
  auto* chunk = new (memory_ + i * TraceChunk::kBytes) TraceChunk;
  chunk->thread = thread;
  chunk->first = before == nullptr;
  if (before != nullptr) before->next.store(chunk, std::memory_order_release);
  return chunk;
}

size_t TraceBuffer::size() const { return std::min(taken_.load(std::memory_order_acquire), kMostChunks); }

const TraceChunk& TraceBuffer::operator[](size_t i) const {
  return *reinterpret_cast<const TraceChunk*>(memory_ + i * TraceChunk::kBytes);
}

void startTrace() {
  const char* path = std::getenv("FAIRLEAD_TRACE");
  if (path == nullptr || *path == '\0' || !buffer.map()) return;
  begin = nanotime();
  traceWanted = true;
  trace(TraceKind::Start, m0.curg);
}

void traceSlow(TraceKind kind, G* gp, uint8_t detail) {
  M* m = getmOrNull();
  if (m == nullptr) return;
  const NoPreempt noPreempt;
  const int64_t now = nanotime();
  const int64_t wokenAt = wakeUp(kind, gp, now);
  TraceChunk* chunk = chunkFor(m);
  if (chunk == nullptr) return buffer.drop();
  const uint32_t i = chunk->count.load(std::memory_order_relaxed);
  chunk->events[i] = {.time = now,
                      .goid = gp->goid.load(std::memory_order_relaxed),
                      .createdAt = gp->createdAt,
                      .wokenAt = wokenAt,
                      .p = m->p != nullptr ? static_cast<int32_t>(m->p->id) : -1,
                      .kind = kind,
                      .detail = detail};
  chunk->count.store(i + 1, std::memory_order_release);
}

void writeTrace(bool mayAllocate) {
  if (!traceWanted || written.exchange(true)) return;
  const char* path = std::getenv("FAIRLEAD_TRACE");
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return Printer()("runtime: cannot write the trace to %s\n", path);
  writeTraceFile(file, buffer, begin, mayAllocate);
  close(file);
  if (buffer.dropped() != 0)
    Printer()("runtime: %" PRIu64 " events did not fit into the trace\n", buffer.dropped());
}

}  // namespace fairlead::runtime
