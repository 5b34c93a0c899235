// blocking(f): for calls that may keep the thread in the kernel for long and that the runtime cannot wait for
// itself: flock, getaddrinfo, a read from a slow disk.
//
//     const int error = blocking([&] { return getaddrinfo(host, nullptr, &hints, &found); });
//
// The caller's P goes to others at once, where a BlockingSection keeps it for some twenty microseconds.
// Returns what f returns, exceptions and errno come through. Nothing inside may call into the runtime, except
// for a section. Sockets and pipes need none of this: see fd.h.
#pragma once

#include <functional>
#include <utility>

namespace fairlead::runtime {

namespace detail {

class LongBlockingSection {
 public:
  LongBlockingSection();
  ~LongBlockingSection();
  LongBlockingSection(const LongBlockingSection&) = delete;
  LongBlockingSection& operator=(const LongBlockingSection&) = delete;
};

}  // namespace detail

template <class F>
decltype(auto) blocking(F&& f) {
  const detail::LongBlockingSection section;
  return std::invoke(std::forward<F>(f));
}

}  // namespace fairlead::runtime
