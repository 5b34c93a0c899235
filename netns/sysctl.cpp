#include "netns/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "netns/enter.h"

namespace fairlead::netns::sysctl {

namespace {

// checkKey() refuses what would leave /proc/sys.
void checkKey(const std::string& key) {
  bool bad = key.find('\0') != key.npos;
  for (size_t start = 0; start <= key.size();) {
    const size_t end = std::min(key.find('/', start), key.size());
    const auto component = std::string_view(key).substr(start, end - start);
    bad = bad || component.empty() || component == "." || component == "..";
    start = end + 1;
  }
  if (bad) throw Error(EINVAL, "sysctl " + key);
}

std::string pathOf(const std::string& key) { return "/proc/sys/" + key; }

// value() reads a parameter from its beginning, without the newline.
std::string value(const Fd& fd, const std::string& command) {
  std::array<char, 4096> buffer;  // the kernel's values fit a page
  const ssize_t size = ::pread(fd.get(), buffer.data(), buffer.size(), 0);
  if (size < 0) throw Error(errno, command);
  std::string text(buffer.data(), size);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::optional<std::string> readKey(const std::string& key, const std::string& command) {
  const Fd fd(::open(pathOf(key).c_str(), O_RDONLY | O_CLOEXEC));
  if (fd) return value(fd, command);
  if (errno == ENOENT) return std::nullopt;
  throw Error(errno, command);
}

void setOne(const Setting& setting, const std::string& where) {
  const auto fail = [&](int code) { throw Error(code, commandIn(where, text(setting))); };
  const Fd fd(::open(pathOf(setting.key).c_str(), O_RDWR | O_CLOEXEC));
  if (!fd && errno == EROFS) {
    // Containers often have /proc/sys mounted read-only; that is fine as long as there is nothing to write.
    if (readKey(setting.key, "sysctl " + setting.key) != setting.value) fail(EROFS);
    return;
  }
  if (!fd && errno == ENOENT && setting.optional) return;
  if (!fd) fail(errno);
  if (value(fd, "sysctl " + setting.key) == setting.value) return;
  if (::pwrite(fd.get(), setting.value.data(), setting.value.size(), 0) < 0) fail(errno);
}

void setAll(std::span<const Setting> settings, const std::string& where) {
  for (const Setting& setting : settings) setOne(setting, where);
}

void checkAll(std::span<const Setting> settings) {
  for (const Setting& setting : settings) checkKey(setting.key);
}

}  // namespace

std::optional<std::string> read(const std::string& key) {
  checkKey(key);
  return readKey(key, "sysctl " + key);
}

std::optional<std::string> read(const NetNS& ns, const std::string& key) {
  checkKey(key);
  const Visit visit(ns);
  return readKey(key, commandIn(ns.path(), "sysctl " + key));
}

void set(std::span<const Setting> settings) {
  checkAll(settings);
  setAll(settings, {});
}

void set(const NetNS& ns, std::span<const Setting> settings) {
  if (settings.empty()) return;
  checkAll(settings);
  const Visit visit(ns);
  setAll(settings, ns.path());
}

std::string text(const Setting& setting) { return "sysctl -w " + setting.key + '=' + setting.value; }

}  // namespace fairlead::netns::sysctl
