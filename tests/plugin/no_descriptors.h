// NoDescriptors has every call of this process that would make a descriptor fail with EMFILE.
//
// UndefinedBehaviorSanitizer looks at an object through a pipe, and takes what it cannot look at for none:
// tests that have an exception thrown under this are left out of its builds
// (FAIRLEAD_CAN_DO_WITHOUT_DESCRIPTORS).
#pragma once

#include <sys/resource.h>

#if !defined(__SANITIZE_ADDRESS__)
#define FAIRLEAD_CAN_DO_WITHOUT_DESCRIPTORS
#endif

namespace fairlead::plugin::test {

class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace fairlead::plugin::test
