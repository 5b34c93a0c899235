#include "plugin/ip_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "netns/error.h"
#include "plugin/file.h"

namespace fairlead::plugin {
namespace {

using netns::Error;
using netns::Fd;
using netns::IP;

constexpr off_t kMaxContent =
    256 << 10;  // an id comes from the environment, where a string has at most half of that
constexpr std::string_view kSeparator = "\r\n";
constexpr std::string_view kSpace = " \t\n\v\f\r";
// After a power loss a file may be as long as it was and hold zeroes.
constexpr std::string_view kAround("\0 \t\n\v\f\r", 7);
constexpr std::string_view kMemory = "last_reserved_ip.";  // and the range set's number
constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kAround);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kAround) - first + 1);
}

// Anything else in a file was not written by a plugin.
bool isContainerId(std::string_view text) {
  const auto isAlphanumeric = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !text.empty() && isAlphanumeric(text.front()) && std::ranges::all_of(text, [&](char c) {
    return isAlphanumeric(c) || c == '_' || c == '.' || c == '-';
  });
}

// addressOf() is the address that a file is named like; only the spelling that str() yields reserves
// anything.
std::optional<IP> addressOf(std::string_view name) {
  auto ip = IP::parse(name);
  if (ip && ip->str() != name) ip.reset();
  return ip;
}

std::string memoryOf(size_t set) { return std::string(kMemory) + std::to_string(set); }

// isOurs() tells the names of the other files that the directory's contract has.
bool isOurs(std::string_view name) { return name == "lock" || name.starts_with(kMemory); }

void makeDirectories(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return;
  int error = errno;
  const size_t slash = path.find_last_of('/');
  if ((error == ENOENT || error == ENOTDIR) && slash != std::string::npos && slash > 0) {
    makeDirectories(path.substr(0, slash));
    if (::mkdir(path.c_str(), 0755) == 0) return;
    error = errno;
  }
  struct stat status {};
  if (error == EEXIST && ::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return;
    error = ENOTDIR;
  }
  throw Error(error, "mkdir " + path);
}

Fd openDirectory(const std::string& path) {
  return Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool isAbsence(int error) { return error == ENOENT || error == ENOTDIR; }

// Of a file that cannot be read for good nobody knows whose it is: it reserves its address, and hinders no
// one. Other errors pass, and what was not read because of them may be the very reservation that is looked
// for.
bool isLasting(int error) { return error == EIO || error == EACCES || error == EPERM; }

// The key of an entry whose content is not known.
constexpr uint64_t kUnknown = 0;

void writeAll(const Fd& file, std::string_view text, const std::string& path) {
  const ssize_t wrote = ::pwrite(file.get(), text.data(), text.size(), 0);
  if (wrote < 0) throw Error(errno, "write " + path);
  // A disk that fills up cuts a write short without saying so.
  if (static_cast<size_t>(wrote) < text.size()) throw Error(ENOSPC, "write " + path);
}

}  // namespace

// ---- owner -------------------------------------------------------------------------------------

std::optional<IPOwner> IPOwner::parse(std::string_view content) {
  content = trimmed(content);
  const size_t end = content.find(kSeparator);
  const std::string_view id = content.substr(0, end);
  const std::string_view ifname =
      end == std::string_view::npos ? "" : content.substr(end + kSeparator.size());
  if (!isContainerId(id) || ifname.find_first_of(kSpace) != std::string_view::npos) return std::nullopt;
  return IPOwner{std::string(id), std::string(ifname)};
}

std::string IPOwner::content() const {
  return ifname.empty() ? containerId : containerId + std::string(kSeparator) + ifname;
}

// ---- opening -----------------------------------------------------------------------------------

IPStore::IPStore(std::string path, Fd directory, std::optional<FileLock> lock)
    : path_(std::move(path)), directory_(std::move(directory)), lock_(std::move(lock)) {
  auto known = lock_ ? IPIndex::load(directory_.get()) : std::nullopt;
  if (known) {
    entries_ = std::move(*known);
    firstChanged_ = entries_.size();
  } else {
    scan();
  }
}

std::optional<IPStore> IPStore::openLocked(const std::string& path) {
  Fd directory = openDirectory(path);
  if (!directory) {
    if (isAbsence(errno)) return std::nullopt;
    throw Error(errno, "open " + path);
  }
  const std::string lockPath = path + "/lock";
  Fd lock(::openat(directory.get(), "lock", kReadFlags | O_CREAT, 0750));
  if (!lock) throw Error(errno, "open " + lockPath);
  return IPStore(path, std::move(directory), FileLock(std::move(lock), lockPath));
}

IPStore IPStore::open(const std::string& directory) {
  if (auto store = openLocked(directory)) return std::move(*store);
  makeDirectories(directory);
  if (auto store = openLocked(directory)) return std::move(*store);
  throw Error(ENOENT, "open " + directory);
}

std::optional<IPStore> IPStore::openExisting(const std::string& directory) { return openLocked(directory); }

std::optional<IPStore> IPStore::glance(const std::string& directory) {
  Fd opened = openDirectory(directory);
  if (opened) return IPStore(directory, std::move(opened), std::nullopt);
  if (isAbsence(errno)) return std::nullopt;
  throw Error(errno, "open " + directory);
}

IPStore::~IPStore() {
  for (const IP& ip : reserved_) ::unlinkat(directory_.get(), ip.str().c_str(), 0);
}

// ---- looking -----------------------------------------------------------------------------------

void IPStore::scan() {
  entries_.clear();
  obstacles_.clear();
  sorted_.clear();
  firstChanged_ = 0;
  scanned_ = unsaved_ = true;
  // A stream needs a descriptor of its own, with a position of its own.
  Fd own(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(own ? ::fdopendir(own.get()) : nullptr, ::closedir);
  if (!stream) throw Error(errno, "open " + path_);
  own.release();
  for (;;) {
    errno = 0;
    const dirent* file = ::readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    if (file == nullptr && errno != 0) throw Error(errno, "read " + path_);
    if (file == nullptr) break;
    const auto ip = addressOf(file->d_name);
    const bool worthReading = file->d_type == DT_REG || file->d_type == DT_UNKNOWN;
    if (!ip && !worthReading && isOurs(file->d_name)) obstacles_.emplace_back(file->d_name);
    if (!ip) continue;
    // Opening a device could do things; whatever has an address's name reserves it all the same. Without the
    // lock a content may be another by the time that it is asked for: it is read then, and only then.
    const auto content = worthReading && lock_ ? readIfReadable(file->d_name) : std::nullopt;
    entries_.emplace_back(content ? IPIndex::keyOf(trimmed(*content)) : kUnknown, *ip);
  }
}

std::optional<std::string> IPStore::read(const std::string& name) const {
  const Fd file(::openat(directory_.get(), name.c_str(), kReadFlags));
  if (!file && (isAbsence(errno) || errno == ELOOP || errno == ENXIO)) return std::nullopt;
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) throw Error(errno, "open " + pathOf(name));
  if (!S_ISREG(status.st_mode) || status.st_size > kMaxContent) return std::nullopt;
  std::string content(static_cast<size_t>(status.st_size), '\0');
  const ssize_t got = ::pread(file.get(), content.data(), content.size(), 0);
  if (got < 0) throw Error(errno, "read " + pathOf(name));
  content.resize(static_cast<size_t>(got));
  return content;
}

std::optional<std::string> IPStore::readIfReadable(const std::string& name) const {
  try {
    return read(name);
  } catch (const Error& error) {
    if (!isLasting(error.code())) throw;
    return std::nullopt;
  }
}

IPStore::Owned IPStore::find(const IPOwner& owner) const {
  const std::string exact = owner.content();
  const uint64_t exactKey = IPIndex::keyOf(exact);
  const uint64_t legacyKey = IPIndex::keyOf(owner.containerId);
  Owned owned;
  for (const IPIndex::Entry& entry : entries_) {
    const bool unknown = entry.key() == kUnknown;
    if (!unknown && entry.key() != exactKey && entry.key() != legacyKey) continue;
    const IP ip = entry.ip();
    const auto content = unknown ? readIfReadable(ip.str()) : read(ip.str());
    if (!content) continue;
    if (trimmed(*content) == exact) {
      owned.exact.push_back(ip);
    } else if (trimmed(*content) == owner.containerId) {
      owned.legacy.push_back(ip);
    }
  }
  return owned;
}

bool IPStore::holds(const IP& ip) const {
  if (sorted_.empty()) {
    for (const IPIndex::Entry& entry : entries_) sorted_.push_back(entry.ip());
    std::ranges::sort(sorted_);
  }
  return std::ranges::binary_search(sorted_, ip);
}

bool IPStore::isAbandoned(const IP& ip) const {
  const auto content = readIfReadable(ip.str());
  return content && content->find_first_not_of('\0') == std::string::npos;
}

std::vector<IP> IPStore::abandoned() const {
  const uint64_t key = IPIndex::keyOf("");
  std::vector<IP> found;
  for (const IPIndex::Entry& entry : entries_) {
    if ((entry.key() == key || entry.key() == kUnknown) && isAbandoned(entry.ip()))
      found.push_back(entry.ip());
  }
  return found;
}

std::vector<IPStore::Reservation> IPStore::reservations() const {
  std::vector<Reservation> all;
  all.reserve(entries_.size());
  for (const IPIndex::Entry& entry : entries_) {
    const auto content = readIfReadable(entry.ip().str());
    all.push_back({entry.ip(), content ? IPOwner::parse(*content) : std::nullopt});
  }
  return all;
}

std::optional<IP> IPStore::lastReserved(size_t set) const {
  const auto text = readIfReadable(memoryOf(set));
  return text ? IP::parse(*text) : std::nullopt;
}

// ---- changing ----------------------------------------------------------------------------------

bool IPStore::reserve(const IP& ip, const IPOwner& owner, size_t set) {
  const std::string name = ip.str();
  const std::string content = owner.content();
  if (!place(name, content)) return false;
  reserved_.push_back(ip);
  entries_.emplace_back(IPIndex::keyOf(content), ip);
  sorted_.clear();
  unsaved_ = true;
  remember(set, name);
  return true;
}

// place() gives a reservation its name when it is complete, so that a crash leaves no empty one. One unnamed
// file serves for all candidates that an ADD tries.
bool IPStore::place(const std::string& name, std::string_view content) {
  if (!draft_) {
    draft_.reset(::openat(directory_.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    if (!draft_) return placeVisibly(name, content);
    writeAll(draft_, content, pathOf(name));
  }
  const int error = giveName(draft_, directory_, name);
  if (error != 0) return error != EEXIST && placeVisibly(name, content);
  draft_.reset();
  return true;
}

// placeVisibly() is for file systems that have no unnamed files, and finds out the true reason when all else
// failed.
bool IPStore::placeVisibly(const std::string& name, std::string_view content) {
  const Fd file(::openat(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file && errno == EEXIST) return false;
  if (!file) throw Error(errno, "open " + pathOf(name));
  try {
    writeAll(file, content, pathOf(name));
  } catch (const Error&) {
    ::unlinkat(directory_.get(), name.c_str(), 0);
    throw;
  }
  return true;
}

// remember() overwrites in place and then cuts off what is left of a longer address. O_TRUNC or a rename
// would be tidier but makes ext4 write the file out at once, 100 times the price. Killed in between, the
// address has a few digits too many: the next ADD starts at another place of the circle, which is all that
// this file decides.
void IPStore::remember(size_t set, const std::string& ip) {
  const std::string name = memoryOf(set);
  const Fd file(::openat(directory_.get(), name.c_str(),
                         O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!file) throw Error(errno, "open " + pathOf(name));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    throw Error(EINVAL, "write " + pathOf(name));
  writeAll(file, ip, pathOf(name));
  const auto size = static_cast<off_t>(ip.size());
  if (status.st_size > size && ::ftruncate(file.get(), size) != 0)
    throw Error(errno, "truncate " + pathOf(name));
}

void IPStore::release(const IP& ip) {
  const std::string name = ip.str();
  if (::unlinkat(directory_.get(), name.c_str(), 0) != 0 && errno != ENOENT)
    throw Error(errno, "remove " + pathOf(name));
  const auto entry = std::ranges::find_if(
      entries_,
      [wanted = IPIndex::Entry(0, ip)](const IPIndex::Entry& known) { return known.sameAddress(wanted); });
  unsaved_ = true;
  if (entry == entries_.end()) return;
  firstChanged_ = std::min(firstChanged_, static_cast<size_t>(entry - entries_.begin()));
  *entry = entries_.back();
  entries_.pop_back();
  sorted_.clear();
}

size_t IPStore::releaseUnless(const std::function<bool(const IPOwner&)>& keep) {
  std::vector<IP> unwanted;
  std::optional<Error> unread;
  for (const IPIndex::Entry& entry : entries_) {
    try {
      const auto content = read(entry.ip().str());
      const auto owner = content ? IPOwner::parse(*content) : std::nullopt;
      if (owner && !keep(*owner)) unwanted.push_back(entry.ip());
    } catch (const Error& error) {
      if (!unread) unread = error;
    }
  }
  for (const IP& ip : unwanted) release(ip);
  if (unread) throw Error(*unread);
  return unwanted.size();
}

bool IPStore::refresh() {
  if (scanned_) return false;
  scan();
  return true;
}

void IPStore::commit() {
  reserved_.clear();
  if (unsaved_) IPIndex::save(directory_.get(), entries_, firstChanged_);
  unsaved_ = false;
}

}  // namespace fairlead::plugin
