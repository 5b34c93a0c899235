#include "netns/fd.h"

#include <unistd.h>

namespace fairlead::netns {

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);  // not repeated on EINTR: Linux has released the number by then
  fd_ = fd;
}

}  // namespace fairlead::netns
