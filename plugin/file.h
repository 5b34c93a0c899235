// Whole small files: configurations, cached results, records.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/fd.h"

namespace fairlead::plugin {

inline constexpr size_t kMaxFile = size_t{8} << 20;

// readFile() returns what a regular file of at most kMaxFile bytes holds, or nullopt when nothing has that
// name. Anything else throws netns::Error: a FIFO (which could block for ever) or a device among them.
std::optional<std::string> readFile(const std::string& path);

// replaceFile() writes a file of mode 0600 under a temporary name and renames it over `path`, so that no
// reader sees half of it. Throws netns::Error.
void replaceFile(const std::string& path, std::string_view text);

// writeWhole() writes all of `text` at the descriptor's position. Throws netns::Error "write NAME".
void writeWhole(int fd, std::string_view text, const std::string& name);

// giveName() links an unnamed file (O_TMPFILE) as `name` in `directory`: nobody sees it before it is
// complete, and a crash leaves nothing of it. Returns 0 or the errno; EEXIST when the name is taken.
int giveName(const netns::Fd& file, const netns::Fd& directory, const std::string& name);

// filesIn() are the paths of a directory's entries whose names end in one of `endings`, sorted by name; none
// when there is no such directory. Throws netns::Error when it cannot be read.
std::vector<std::string> filesIn(const std::string& directory, const std::vector<std::string_view>& endings);

}  // namespace fairlead::plugin
