// What a test can see of goroutines that wait and of code that panics.
#pragma once

#include <string>

#include "runtime/g.h"
#include "runtime/panic.h"

namespace fairlead::runtime {

// parked() waits until exactly n goroutines, the caller aside, are parked for `reason`; false if that never
// happens.
bool parked(int n, WaitReason reason);

// panicOf() is the text that f panics with, or "no panic".
template <class F>
std::string panicOf(F&& f) {
  try {
    f();
  } catch (const Panic& panic) {
    return panic.what();
  }
  return "no panic";
}

}  // namespace fairlead::runtime
