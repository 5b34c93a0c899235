// Semaphore: Go's x/sync semaphore.Weighted, a number of units of which goroutines hold some.
//
// First come, first served: one that wants many is not overtaken by those behind it that would be content
// with what there is. For goroutines only.
#pragma once

#include <cstdint>
#include <list>

#include "runtime/context.h"
#include "runtime/mutex.h"

namespace fairlead::runtime {

class Semaphore {
 public:
  explicit Semaphore(int64_t size) : size_(size) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // acquire() waits until it has n units. When the context is done, even if there are units, it throws what
  // context.err() is. More units than there are is a wait for that alone.
  void acquire(const Context& context, int64_t n = 1);
  void acquire(int64_t n = 1) { acquire(background(), n); }
  // tryAcquire() takes n units if they are there and nobody waits.
  [[nodiscard]] bool tryAcquire(int64_t n = 1);
  // release() throws Panic, "semaphore: released more than held", when fewer than n are held.
  void release(int64_t n = 1);

 private:
  struct Request {
    int64_t n;
    Chan<Nothing> granted;
  };

  void wait(const Context& context, const Chan<Nothing>& done, const Request& request,
            std::list<Request>::iterator at);
  void grant();

  const int64_t size_;
  Mutex mutex_;  // guards what follows
  int64_t held_ = 0;
  std::list<Request> requests_;
};

}  // namespace fairlead::runtime
