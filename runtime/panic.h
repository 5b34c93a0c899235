// Panic: the exception thrown where Go panics, that is, for a mistake of the caller: "send on closed
// channel".
#pragma once

#include <stdexcept>

namespace fairlead::runtime {

// Panic carries Go's text for the mistake. Left uncaught it ends the program like any other exception that
// leaves a goroutine: "panic: <text>", the goroutine's trace, exit status 2.
class Panic : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace fairlead::runtime
