// Internal: what goexit() throws, for those who must tell it from a failure.
#pragma once

#include <atomic>
#include <exception>

#include "runtime/fatal.h"

namespace fairlead::runtime {

// Goexit unwinds the goroutine to its entry. Swallowed on the way, by a catch (...) that does not rethrow,
// the goroutine would go on as if nothing had been asked of it; the destructor notices. Goroutines that share
// the outcome of one call share the object, and all end.
class Goexit {
 public:
  Goexit() = default;
  Goexit(Goexit&&) = delete;
  ~Goexit() {
    if (!arrived_.load(std::memory_order_acquire)) {
      fatal("goexit: swallowed by a catch (...) that does not rethrow");
    }
  }
  void arrive() { arrived_.exchange(true, std::memory_order_acq_rel); }  // the last one destroys the object

 private:
  std::atomic<bool> arrived_{false};
};

// holds() is true when `error` is an E. It may be null.
template <class E>
bool holds(const std::exception_ptr& error) {
  if (error == nullptr) return false;
  try {
    std::rethrow_exception(error);
  } catch (const E&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace fairlead::runtime
