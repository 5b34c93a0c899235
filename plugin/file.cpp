#include "plugin/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "netns/error.h"

namespace fairlead::plugin {

using netns::Error;
using netns::Fd;

std::optional<std::string> readFile(const std::string& path) {
  // O_NONBLOCK: opening a FIFO without a writer must not hang; it means nothing for a regular file.
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    throw Error(errno, "open " + path);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw Error(errno, "stat " + path);
  if (S_ISDIR(status.st_mode)) throw Error(EISDIR, "read " + path);
  if (!S_ISREG(status.st_mode)) throw Error(EINVAL, "read " + path, "not a regular file");
  std::string text;
  char chunk[16384];
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(errno, "read " + path);
    if (got == 0) return text;
    text.append(chunk, static_cast<size_t>(got));
    if (text.size() > kMaxFile) throw Error(EFBIG, "read " + path);
  }
}

void replaceFile(const std::string& path, std::string_view text) {
  // The process id keeps two writers apart; a name that a killed one left behind is simply taken over.
  const std::string temporary = path + ".tmp" + std::to_string(::getpid());
  Fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) throw Error(errno, "create " + temporary);
  try {
    writeWhole(file.get(), text, temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw Error(errno, "rename " + temporary);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

void writeWhole(int fd, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) throw Error(wrote < 0 ? errno : ENOSPC, "write " + name);
    text.remove_prefix(static_cast<size_t>(wrote));
  }
}

int giveName(const Fd& file, const Fd& directory, const std::string& name) {
  if (::linkat(file.get(), "", directory.get(), name.c_str(), AT_EMPTY_PATH) == 0) return 0;
  // Root of a user namespace may not link by descriptor (CAP_DAC_READ_SEARCH); the way through /proc needs no
  // capability.
  if (errno != ENOENT) return errno;
  const std::string self = "/proc/self/fd/" + std::to_string(file.get());
  return ::linkat(AT_FDCWD, self.c_str(), directory.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

std::vector<std::string> filesIn(const std::string& directory, const std::vector<std::string_view>& endings) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    throw Error(errno, "open " + directory);
  }
  std::vector<std::string> paths;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    if (entry == nullptr && errno != 0) throw Error(errno, "read " + directory);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    const auto fits = [name](std::string_view ending) { return name.ends_with(ending); };
    if (entry->d_type != DT_DIR && std::ranges::any_of(endings, fits))
      paths.push_back(directory + "/" + std::string(name));
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace fairlead::plugin
