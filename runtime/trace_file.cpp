// The trace as JSON, in the format that chrome://tracing has made common: a lane for each thread (M) and one
// for each P, on which goroutines are slices, and arrows from wake-ups to what they led to.
#include <unistd.h>

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "runtime/dump.h"
#include "runtime/gmp.h"
#include "runtime/trace_buffer.h"

namespace fairlead::runtime {
namespace {

// The two groups of lanes.
constexpr int kThreads = 1;
constexpr int kPs = 2;

// Json writes the elements of one array, through a buffer of its own.
class Json {
 public:
  explicit Json(int file) : file_(file) {}
  ~Json() { flush(); }
  Json(const Json&) = delete;
  Json& operator=(const Json&) = delete;

  [[gnu::format(printf, 2, 3)]] void operator()(const char* format, ...) {
    if (used_ + kMost > text_.size()) flush();
    va_list args;
    va_start(args, format);
    const int n = std::vsnprintf(text_.data() + used_, kMost, format, args);
    va_end(args);
    if (n > 0) used_ += std::min(static_cast<size_t>(n), kMost - 1);
  }

 private:
  static constexpr size_t kMost = 2048;

  void flush() {
    for (size_t at = 0; at < used_;) {
      const ssize_t n = write(file_, text_.data() + at, used_ - at);
      if (n <= 0) break;
      at += static_cast<size_t>(n);
    }
    used_ = 0;
  }

  const int file_;
  size_t used_ = 0;
  std::array<char, 16 * 1024> text_;
};

// Lane turns the events of one thread into slices. A goroutine's slice on the thread's lane ends when it
// leaves the thread, on the P's lane already when the thread goes into a system call.
class Lane {
 public:
  Lane(Json& json, Dump& dump, int64_t begin, pid_t thread)
      : json_(json), dump_(dump), begin_(begin), thread_(thread) {}

  void add(const TraceEvent& e);
  // finish() closes what was still going on.
  void finish();

 private:
  struct Slice {
    TraceEvent start;
    bool open = false;
  };

  void name(const TraceEvent& e);
  void close(Slice& slice, int group, int lane, int64_t end, const char* how);
  void leave(const TraceEvent& e, const char* how);
  void mark(const TraceEvent& e, const char* what);
  void flow(const TraceEvent& e, char phase);
  void time(const char* key, int64_t ns) {
    json_(",\"%s\":%" PRId64 ".%03d", key, ns / 1000, static_cast<int>(ns % 1000));
  }
  void place(int group, int lane) { json_(",\"pid\":%d,\"tid\":%d", group, lane); }

  Json& json_;
  Dump& dump_;
  const int64_t begin_;
  const pid_t thread_;
  Slice onThread_;
  Slice onP_;
  Slice syscall_;
  Slice world_;
  int64_t last_ = 0;
};

// name() is the goroutine's: its number and who made it. Quotes and backslashes do not occur in C++ names,
// but for literal operators.
void Lane::name(const TraceEvent& e) {
  if (e.createdAt == 0) return json_("\"name\":\"G%" PRIu64 "\"", e.goid);
  std::array<char, 256> made;
  std::snprintf(made.data(), made.size(), "%s", dump_.place({.exact = 0, .pc = e.createdAt}));
  for (char& c : made) c = c == '"' || c == '\\' ? '\'' : c;
  json_("\"name\":\"G%" PRIu64 " %s\"", e.goid, made.data());
}

void Lane::close(Slice& slice, int group, int lane, int64_t end, const char* how) {
  if (!slice.open) return;
  slice.open = false;
  json_(",\n{\"ph\":\"X\",");
  if (&slice == &syscall_) {
    json_("\"name\":\"syscall\"");
  } else if (&slice == &world_) {
    json_("\"name\":\"stop the world\"");
  } else {
    name(slice.start);
  }
  time("ts", slice.start.time - begin_);
  time("dur", end - slice.start.time);
  place(group, lane);
  json_(",\"args\":{\"goroutine\":%" PRIu64 ",\"end\":\"%s\"", slice.start.goid, how);
  if (slice.start.wokenAt != 0) time("latency_us", slice.start.time - slice.start.wokenAt);
  json_("}}");
}

void Lane::leave(const TraceEvent& e, const char* how) {
  close(syscall_, kThreads, thread_, e.time, how);
  close(onP_, kPs, onP_.start.p, e.time, how);
  close(onThread_, kThreads, thread_, e.time, how);
}

void Lane::mark(const TraceEvent& e, const char* what) {
  json_(",\n{\"ph\":\"i\",\"s\":\"t\",\"name\":\"%s G%" PRIu64 "\"", what, e.goid);
  time("ts", e.time - begin_);
  place(kThreads, thread_);
  json_("}");
}

// An arrow is known by the goroutine and the moment of the wake-up.
void Lane::flow(const TraceEvent& e, char phase) {
  if (e.wokenAt == 0) return;
  json_(",\n{\"ph\":\"%c\",\"bp\":\"e\",\"cat\":\"wake\",\"name\":\"wake\",\"id\":\"%" PRIu64 ".%" PRId64
        "\"",
        phase, e.goid, e.wokenAt);
  time("ts", e.time - begin_);
  place(kThreads, thread_);
  json_("}");
}

void Lane::add(const TraceEvent& e) {
  last_ = e.time;
  switch (e.kind) {
    case TraceKind::Start:
      onThread_ = onP_ = {.start = e, .open = true};
      return flow(e, 'f');
    case TraceKind::Park:
      return leave(e, describe(static_cast<WaitReason>(e.detail)));
    case TraceKind::Yield:
      return leave(e, "yield");
    case TraceKind::Preempt:
      return leave(e, "preempted");
    case TraceKind::SyscallWait:
      return leave(e, "waits for a P");
    case TraceKind::End:
      return leave(e, "ended");
    case TraceKind::Create:
      mark(e, "go");
      return flow(e, 's');
    case TraceKind::Ready:
      mark(e, "ready");
      return flow(e, 's');
    case TraceKind::HandOff:
      return mark(e, "hand-off to locked");
    case TraceKind::SyscallEnter:
      close(onP_, kPs, onP_.start.p, e.time, "syscall");
      syscall_ = {.start = e, .open = true};
      return;
    case TraceKind::SyscallExit:
      close(syscall_, kThreads, thread_, e.time, "P kept");
      onP_ = {.start = e, .open = true};
      return;
    case TraceKind::StopWorld:
      world_ = {.start = e, .open = true};
      return;
    case TraceKind::StartWorld:
      return close(world_, kThreads, thread_, e.time, "started");
  }
}

void Lane::finish() {
  if (last_ == 0) return;
  const TraceEvent end{.time = last_};
  close(world_, kThreads, thread_, last_, "end of the trace");
  leave(end, "end of the trace");
}

void nameLane(Json& json, int group, int lane, const char* letter) {
  json(",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":\"%s%d\"}}", group,
       lane, letter, lane);
}

void writeNames(Json& json, const TraceBuffer& buffer) {
  constexpr const char* kGroup =
      ",\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"%s\"}}";
  json(kGroup, kThreads, "threads (M)");
  json(kGroup, kPs, "processors (P)");
  for (size_t i = 0; i < buffer.size(); ++i) {
    if (buffer[i].first) nameLane(json, kThreads, buffer[i].thread, "M");
  }
  for (uint32_t i = 0; i < sched.allpcount; ++i) nameLane(json, kPs, static_cast<int>(i), "P");
}

}  // namespace

void writeTraceFile(int file, const TraceBuffer& buffer, int64_t begin, bool mayAllocate) {
  Json json(file);
  const Printer nowhere;
  Dump dump(nowhere, {.mayAllocate = mayAllocate});
  json("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"dropped\":%" PRIu64
       "},\"traceEvents\":[\n{\"ph\":\"M\",\"name\":\"fairlead\"}",
       buffer.dropped());
  writeNames(json, buffer);
  for (size_t i = 0; i < buffer.size(); ++i) {
    if (!buffer[i].first) continue;
    Lane lane(json, dump, begin, buffer[i].thread);
    for (const TraceChunk* chunk = &buffer[i]; chunk != nullptr;
         chunk = chunk->next.load(std::memory_order_acquire)) {
      const uint32_t count = chunk->count.load(std::memory_order_acquire);
      for (uint32_t k = 0; k < count; ++k) lane.add(chunk->events[k]);
    }
    lane.finish();
  }
  json("\n]}\n");
}

}  // namespace fairlead::runtime
