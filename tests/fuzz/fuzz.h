// What the harnesses share. A harness is one function, LLVMFuzzerTestOneInput, which hands bytes from outside
// to the code that reads such bytes. It ends normally whatever the bytes are: an exception that the code's
// header does not name gets through, and is a finding like a crash, a leak or a sanitizer's report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "plugin/call.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace fairlead::fuzz {

inline std::string_view textOf(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// environment() is that of a call for a container that is nowhere.
inline plugin::Environment environment(const char* command) {
  return {.command = command,
          .containerId = "abc",
          .netns = "/nowhere",
          .ifname = "eth0",
          .args = {},
          .path = "/nowhere",
          .netnsOverride = {}};
}

// take() cuts off and returns the front of `rest` up to the next `end`, which belongs to neither.
inline std::string_view take(std::string_view& rest, char end) {
  const std::string_view front = rest.substr(0, rest.find(end));
  rest.remove_prefix(front.size() < rest.size() ? front.size() + 1 : front.size());
  return front;
}

// accepted() runs `read` and tells whether it returned, rather than throw one of the types that it may.
template <class Allowed, class... More, class F>
bool accepted(const F& read) {
  try {
    if constexpr (sizeof...(More) > 0) {
      return accepted<More...>(read);
    } else {
      read();
      return true;
    }
  } catch (const Allowed&) {
    return false;
  }
}

// hold() makes a finding of a property that does not hold.
inline void hold(bool property, const char* what) {
  if (property) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace fairlead::fuzz
