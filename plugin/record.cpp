#include "plugin/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "netns/error.h"
#include "plugin/file.h"
#include "plugin/names.h"
#include "runtime/runtime.h"

namespace fairlead::plugin {
namespace {

using netns::Error;
using netns::Fd;

constexpr std::string_view kComplete = ".json";
constexpr std::string_view kAdding = ".adding";
constexpr size_t kMaxRecord = size_t{8} << 20;  // the configuration is bounded to half of that

std::string stemOf(const Attachment& attachment) {
  // A NUL keeps the parts apart: neither can contain one.
  return names::sha512Hex(attachment.containerId + '\0' + attachment.ifname, 32);
}

// isFileOf() tells whether find() and remove() would look for the attachment's record in a file.
bool isFileOf(std::string_view file, const Attachment& attachment) {
  const std::string stem = stemOf(attachment);
  return file.starts_with(stem) &&
         (file.substr(stem.size()) == kComplete || file.substr(stem.size()) == kAdding);
}

Fd openDirectory(const std::string& path, int flags = 0) {
  return Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
}

// openNetwork() opens DIR/NETWORK. A link in its place leads to no directory of ours.
Fd openNetwork(const std::string& path) { return openDirectory(path, O_NOFOLLOW); }

// holdsNoRecord() tells the errors that say what is at a path, and that it is none of ours: nothing any more
// (ENOENT), a file where a directory would be (ENOTDIR), a symbolic link (ELOOP), a socket or a device
// without a driver (ENXIO, ENODEV). Any other says nothing: a record may be there, and could not be looked
// at.
bool holdsNoRecord(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO || error == ENODEV;
}

// ifAny() is empty when what could not be opened at `path` is no directory.
Fd ifAny(Fd directory, const std::string& path) {
  if (!directory && !holdsNoRecord(errno)) throw Error(errno, "open " + path);
  return directory;
}

// makeDirectory() opens DIR/NETWORK, making both on the first ADD after a boot.
Fd makeDirectory(const std::string& base, const std::string& path) {
  for (int attempt = 0;; ++attempt) {
    Fd directory = openNetwork(path);
    if (directory) return directory;
    if (errno != ENOENT || attempt == 2) throw Error(errno, "open " + path);
    for (const std::string& step : {base, path}) {
      if (::mkdir(step.c_str(), 0700) != 0 && errno != EEXIST) throw Error(errno, "mkdir " + step);
    }
  }
}

// place() puts a locked file with `text` under `name`; empty when the name is taken. The file has its content
// and its lock before it has a name, so no reader sees half of it or takes it for an interrupted one.
Fd place(const Fd& directory, const std::string& name, std::string_view text) {
  Fd file(::openat(directory.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file) throw Error(errno, "create " + name);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) throw Error(errno, "flock " + name);
  writeWhole(file.get(), text, name);
  const int error = giveName(file, directory, name);
  if (error == EEXIST) return {};
  if (error != 0) throw Error(error, "link " + name);
  return file;
}

// removeEntry() takes a record away, or what has its name and can be none; a link, not what it leads to.
// False when there is none, or a directory that is not ours to remove: it is not empty, or something is
// mounted on it.
bool removeEntry(const Fd& directory, const std::string& name, const std::string& path) {
  if (::unlinkat(directory.get(), name.c_str(), 0) == 0) return true;
  const bool isDirectory = errno == EISDIR;
  if (isDirectory && ::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) == 0) return true;
  if (errno == ENOENT) return false;
  if (isDirectory && (errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY)) return false;
  throw Error(errno, std::string("remove ").append(path).append("/").append(name));
}

// requireFree() throws when what has a record's name stays there whatever remove() does.
void requireFree(const Fd& directory, const std::string& name, const std::string& path) {
  struct stat status {};
  const bool blocked = ::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                       S_ISDIR(status.st_mode) && !removeEntry(directory, name, path);
  if (blocked) throw Error(EISDIR, std::string("create ").append(path).append("/").append(name));
}

// readBounded() is nullopt for what no plugin has written: no file, or one that is too long or cut short.
std::optional<std::string> readBounded(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw Error(errno, "stat " + path);
  if (!S_ISREG(status.st_mode) || static_cast<size_t>(status.st_size) > kMaxRecord) return std::nullopt;
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd, text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(errno, "read " + path);
    if (got == 0) return std::nullopt;
    have += static_cast<size_t>(got);
  }
  return text;
}

bool isLocked(int fd, const std::string& path) {
  if (::flock(fd, LOCK_SH | LOCK_NB) == 0) return false;
  if (errno != EWOULDBLOCK) throw Error(errno, "flock " + path);
  return true;
}

// load() reads the record file `name` in the directory `path`; nullopt when it is gone or no record.
std::optional<Record> load(const Fd& directory, const std::string& path, const std::string& name) {
  const std::string whole = std::string(path).append("/").append(name);
  const Fd file(::openat(directory.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file && holdsNoRecord(errno)) return std::nullopt;
  if (!file) throw Error(errno, "open " + whole);
  const std::optional<std::string> text = readBounded(file.get(), whole);
  if (!text) return std::nullopt;
  try {
    Record record = Record::fromJson(parseJson(*text));
    if (name.ends_with(kComplete)) {
      record.state = Record::State::Complete;
    } else {
      record.state = isLocked(file.get(), whole) ? Record::State::Adding : Record::State::Interrupted;
    }
    return record;
  } catch (const JsonError&) {
    return std::nullopt;
  }
}

// entries() are the names in an open directory.
std::vector<std::string> entries(const Fd& directory, const std::string& path) {
  // A stream needs a descriptor of its own, with a position of its own.
  Fd own(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own && errno == ENOENT) return {};  // removed meanwhile: it was empty
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(own ? ::fdopendir(own.get()) : nullptr, ::closedir);
  if (!stream) throw Error(errno, "open " + path);
  own.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    if (entry == nullptr && errno != 0) throw Error(errno, "read " + path);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

// The lock of the ADD that this process has done and whose result is on its way. Main's goroutine only.
Fd held;

std::string callerName() {
  const pid_t parent = ::getppid();
  char comm[32];
  const Fd file(::open(("/proc/" + std::to_string(parent) + "/comm").c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t got = file ? ::read(file.get(), comm, sizeof comm) : 0;
  std::string name(comm, got > 0 ? static_cast<size_t>(got) : 0);
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name + " (" + std::to_string(parent) + ")";
}

}  // namespace

Record Record::ofCall(const Call& call, const netns::NetNS& ns) {
  return {.attachment = call.attachment(),
          .type = call.type,
          .netns = call.env.netns,
          .netnsIdentity = ns.identity(),
          .bootId = names::bootId(),
          .createdAt = std::time(nullptr),
          .caller = callerName(),
          .args = call.env.args,
          .path = call.env.path,
          .hostInterface = {},
          .bridge = {},
          .conf = call.conf,
          .state = State::Adding};
}

Json Record::toJson() const {
  return {{"network", attachment.network},
          {"containerId", attachment.containerId},
          {"ifname", attachment.ifname},
          {"type", type},
          {"netns", netns},
          {"netnsDev", netnsIdentity.dev},
          {"netnsIno", netnsIdentity.ino},
          {"bootId", bootId},
          {"createdAt", createdAt},
          {"caller", caller},
          {"args", args},
          {"path", path},
          {"hostInterface", hostInterface},
          {"bridge", bridge},
          {"conf", conf}};
}

Record Record::fromJson(const Json& value) {
  if (!value.is_object()) throw JsonError("a record is an object");
  const Fields fields(value, "Record");
  Record record;
  record.attachment = {fields.string("network"), fields.string("containerId"), fields.string("ifname")};
  record.type = fields.string("type");
  record.netns = fields.string("netns");
  const int64_t dev = fields.integer("netnsDev");
  const int64_t ino = fields.integer("netnsIno");
  if (dev < 0 || ino < 0) throw JsonError("a namespace's device and inode are numbers from 0 on");
  record.netnsIdentity = {.dev = static_cast<dev_t>(dev), .ino = static_cast<ino_t>(ino)};
  record.bootId = fields.string("bootId");
  record.createdAt = fields.integer("createdAt");
  record.caller = fields.string("caller");
  record.args = fields.string("args");
  record.path = fields.string("path");
  record.hostInterface = fields.string("hostInterface");
  record.bridge = fields.string("bridge");
  const Json* conf = fields.find("conf");
  if (record.attachment.network.empty() || record.attachment.containerId.empty() || conf == nullptr ||
      !conf->is_object()) {
    throw JsonError("a record names its network and container, and has a configuration");
  }
  Fields(*conf, "NetConf").string("cniVersion");  // call() reads it, and must be able to
  record.conf = *conf;
  return record;
}

Call Record::call() const {
  const Fields fields(conf, "NetConf");
  Call call;
  call.env = {.command = "DEL",
              .containerId = attachment.containerId,
              .netns = alive() ? netns : "",  // the path may have become a later namespace's
              .ifname = attachment.ifname,
              .args = args,
              .path = path,
              .netnsOverride = {}};
  call.input = dumpCompact(conf);
  call.conf = conf;
  call.name = attachment.network;
  call.type = type;
  call.version = fields.string("cniVersion", "0.1.0");
  return call;
}

bool Record::alive() const {
  if (bootId != names::bootId()) return false;
  try {
    return netns::NetNS::open(netns).identity() == netnsIdentity;
  } catch (const Error&) {
    return false;
  }
}

RecordStore::RecordStore() {
  const char* directory = std::getenv("FAIRLEAD_RUN_DIR");
  directory_ = directory != nullptr && *directory != '\0' ? directory : "/run/fairlead";
}

RecordStore::RecordStore(std::string directory) : directory_(std::move(directory)) {}

RecordStore::Pending::Pending(Fd directory, Fd file, std::string stem)
    : directory_(std::move(directory)), file_(std::move(file)), stem_(std::move(stem)) {}

RecordStore::Pending::~Pending() {
  if (file_) ::unlinkat(directory_.get(), (stem_ + std::string(kAdding)).c_str(), 0);
}

void RecordStore::Pending::keep() { held = std::move(file_); }

void RecordStore::complete(const Attachment& attachment) const {
  const std::string path = directory_ + "/" + attachment.network + "/" + stemOf(attachment);
  const std::string from = path + std::string(kAdding);
  const std::string to = path + std::string(kComplete);
  // ENOENT: no record could be kept.
  if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) throw Error(errno, "rename " + to);
  held.reset();
}

std::optional<RecordStore::Pending> RecordStore::begin(const Record& record) const {
  constexpr int kAttempts = 8;
  const std::string text = dumpCompact(record.toJson());
  for (int attempt = 1;; ++attempt) {
    const std::string path = directory_ + "/" + record.attachment.network;
    Fd directory = makeDirectory(directory_, path);
    std::string stem = stemOf(record.attachment);
    const std::string complete = stem + std::string(kComplete);
    if (::faccessat(directory.get(), complete.c_str(), F_OK, 0) == 0) {
      requireFree(directory, complete, path);
      return std::nullopt;
    }
    const std::string adding = stem + std::string(kAdding);
    try {
      Fd file = place(directory, adding, text);
      if (!file) {
        requireFree(directory, adding, path);
        return std::nullopt;
      }
      return Pending(std::move(directory), std::move(file), std::move(stem));
    } catch (const Error& error) {
      // The network's last DEL may have removed the directory under us.
      if (error.code() != ENOENT || attempt == kAttempts) throw;
    }
  }
}

std::optional<Record> RecordStore::find(const Attachment& attachment) const {
  const std::string path = directory_ + "/" + attachment.network;
  const Fd directory = ifAny(openNetwork(path), path);
  if (!directory) return std::nullopt;
  for (const std::string_view ending : {kComplete, kAdding}) {
    auto record = load(directory, path, stemOf(attachment) + std::string(ending));
    if (record && record->attachment == attachment) return record;
  }
  return std::nullopt;
}

bool RecordStore::remove(const Attachment& attachment) const {
  const std::string path = directory_ + "/" + attachment.network;
  const Fd directory = ifAny(openNetwork(path), path);
  if (!directory) return false;
  bool removed = false;
  for (const std::string_view ending : {kComplete, kAdding})
    removed |= removeEntry(directory, stemOf(attachment) + std::string(ending), path);
  // The last one takes the directory along; it stays when another attachment is in it.
  if (removed) ::rmdir(path.c_str());
  return removed;
}

std::vector<std::string> RecordStore::networks() const {
  const Fd directory = ifAny(openDirectory(directory_), directory_);
  return directory ? entries(directory, directory_) : std::vector<std::string>{};
}

std::vector<Record> RecordStore::list(std::string_view network, std::vector<std::string>* strange) const {
  std::vector<Record> records;
  const auto note = [&](const std::string& path) {
    if (strange != nullptr) strange->push_back(path);
  };
  for (const std::string& name : network.empty() ? networks() : std::vector{std::string(network)}) {
    const std::string path = directory_ + "/" + name;
    const Fd directory = ifAny(openNetwork(path), path);
    if (!directory) {
      if (network.empty() && !name.starts_with('.')) note(path);  // no network is called .x: an index is
      continue;
    }
    for (const std::string& file : entries(directory, path)) {
      std::optional<Record> record = load(directory, path, file);
      if (record && record->attachment.network == name && isFileOf(file, record->attachment))
        records.push_back(std::move(*record));
      else
        note(std::string(path).append("/").append(file));
    }
  }
  return records;
}

Fd RecordStore::shareLock() const {
  constexpr int kAttempts = 2000;  // of a millisecond: whoever is alone removes one link
  ::mkdir(directory_.c_str(), 0700);
  Fd directory = openDirectory(directory_);
  for (int attempt = 1; directory && ::flock(directory.get(), LOCK_SH | LOCK_NB) != 0; ++attempt) {
    if (attempt == kAttempts) directory.reset();
    runtime::sleep(std::chrono::milliseconds(1));
  }
  return directory;
}

bool RecordStore::alone(const Fd& lock) { return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0; }

}  // namespace fairlead::plugin
