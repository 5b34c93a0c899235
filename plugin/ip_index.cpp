#include "plugin/ip_index.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string>

#include "netns/fd.h"
#include "plugin/record.h"

namespace fairlead::plugin {
namespace {

using netns::Fd;

constexpr uint64_t kMagic = 0x31306d617069'6c66;  // "flipam01"; another layout gets another number

// Header precedes the entries and is of their size.
struct Header {
  uint64_t magic;
  int64_t seconds;  // the directory's modification time
  int64_t nanoseconds;
  uint64_t count;
};
static_assert(sizeof(Header) == sizeof(IPIndex::Entry));

off_t offsetOf(size_t entry) { return static_cast<off_t>((entry + 1) * sizeof(IPIndex::Entry)); }

std::string pathOf(const std::string& base, const struct stat& status) {
  return base + "/.ipam-" + std::to_string(status.st_dev) + "-" + std::to_string(status.st_ino);
}

bool writeAt(int file, std::span<const std::byte> bytes, off_t offset) {
  return ::pwrite(file, bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size());
}

// aMomentAgo() is a time that no clock will show again.
timespec aMomentAgo() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  --now.tv_sec;
  return now;
}

Fd openForWriting(const std::string& base, const std::string& path) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  Fd file(::open(path.c_str(), kFlags, 0600));
  if (!file && errno == ENOENT && ::mkdir(base.c_str(), 0700) == 0)
    file.reset(::open(path.c_str(), kFlags, 0600));
  return file;
}

}  // namespace

IPIndex::Entry::Entry(uint64_t key, const netns::IP& ip) : key_(key), v6_(ip.isV4() ? 0 : 1) {
  std::ranges::copy(ip.bytes(), bytes_);
}

netns::IP IPIndex::Entry::ip() const {
  if (v6_ == 0) return netns::IP::v4({bytes_[0], bytes_[1], bytes_[2], bytes_[3]});
  std::array<uint8_t, 16> bytes;
  std::ranges::copy(bytes_, bytes.begin());
  return netns::IP::v6(bytes);
}

bool IPIndex::Entry::sameAddress(const Entry& other) const {
  return v6_ == other.v6_ && std::ranges::equal(bytes_, other.bytes_);
}

uint64_t IPIndex::keyOf(std::string_view content) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : content) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash == 0 ? 1 : hash;
}

std::optional<std::vector<IPIndex::Entry>> IPIndex::load(int directory) {
  struct stat status {};
  if (::fstat(directory, &status) != 0) return std::nullopt;
  const Fd file(::open(pathOf(RecordStore().directory(), status).c_str(),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return std::nullopt;

  Header header{};
  struct stat own {};
  if (::pread(file.get(), &header, sizeof header, 0) != sizeof header || ::fstat(file.get(), &own) != 0)
    return std::nullopt;
  const bool current = header.magic == kMagic && header.seconds == status.st_mtim.tv_sec &&
                       header.nanoseconds == status.st_mtim.tv_nsec;
  // An entry can be missing only where the file was tampered with; no count may make us allocate without end.
  const auto size = static_cast<uint64_t>(own.st_size);
  if (!current || !S_ISREG(own.st_mode) || header.count >= size ||
      size != (header.count + 1) * sizeof(Entry)) {
    return std::nullopt;
  }
  std::vector<Entry> entries(header.count);
  const size_t bytes = entries.size() * sizeof(Entry);
  if (::pread(file.get(), entries.data(), bytes, offsetOf(0)) != static_cast<ssize_t>(bytes))
    return std::nullopt;
  return entries;
}

void IPIndex::save(int directory, const std::vector<Entry>& entries, size_t firstChanged) {
  struct stat status {};
  if (::fstat(directory, &status) != 0) return;
  const std::string base = RecordStore().directory();
  const std::string path = pathOf(base, status);
  if (entries.size() < kWorthwhile) {
    ::unlink(path.c_str());
    return;
  }
  const Fd file = openForWriting(base, path);
  if (!file) return;

  // The file is written before the time is set: cut short at any point, the two do not agree.
  const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, aMomentAgo()};
  const Header header{kMagic, times[1].tv_sec, times[1].tv_nsec, entries.size()};
  const bool written =
      writeAt(file.get(), std::as_bytes(std::span(entries).subspan(firstChanged)), offsetOf(firstChanged)) &&
      ::ftruncate(file.get(), offsetOf(entries.size())) == 0 &&
      writeAt(file.get(), std::as_bytes(std::span(&header, 1)), 0);
  if (written) ::futimens(directory, times);
}

}  // namespace fairlead::plugin
