// The standard streams as file descriptors: no buffers, no streams library.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fairlead::plugin {

// readInput() reads standard input to its end. Throws CniError 5 "error reading from stdin: ..." when it
// cannot, or when there is more than `limit` bytes. Waits as long as the runtime keeps it open: how long a
// call may take is the runtime's to decide.
std::string readInput(size_t limit);

// writeAll() writes all of `text` to `fd`, in one write where the kernel takes it. Returns 0 or the errno
// that stopped it, ETIMEDOUT when nobody read for 30 seconds. SIGPIPE must be ignored, or a reader that is
// gone kills the process.
int writeAll(int fd, std::string_view text);

}  // namespace fairlead::plugin
