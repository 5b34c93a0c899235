#include "plugin/result_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/file.h"

namespace fairlead::plugin {
namespace {

using netns::Error;

constexpr std::string_view kKind = "cniCacheV1";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += i + k > bytes.size() ? '=' : kAlphabet[group >> (18 - 6 * k) & 63];
    }
  }
  return text;
}

// fromBase64() returns nullopt for anything but padded base 64.
std::optional<std::string> fromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  text.remove_suffix(padding);
  std::string bytes;
  unsigned group = 0;
  int bits = 0;
  for (const char c : text) {
    const size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    group = group << 6 | static_cast<unsigned>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(group >> bits & 0xFF);
  }
  return bytes;
}

// pairs() splits "K=V;K=V" into libcni's [["K","V"],["K","V"]].
Json pairs(std::string_view args) {
  Json list = Json::array();
  while (!args.empty()) {
    const std::string_view piece = args.substr(0, args.find(';'));
    const size_t equals = std::min(piece.find('='), piece.size());
    const std::string_view value = piece.substr(std::min(equals + 1, piece.size()));
    list.push_back(Json::array({std::string(piece.substr(0, equals)), std::string(value)}));
    args.remove_prefix(std::min(piece.size() + 1, args.size()));
  }
  return list;
}

std::string joined(const std::vector<const Json*>& list) {
  std::string args;
  for (const Json* pair : list) {
    if (!pair->is_array() || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string())
      continue;
    if (!args.empty()) args += ';';
    args += (*pair)[0].get<std::string>() + "=" + (*pair)[1].get<std::string>();
  }
  return args;
}

Json objectOf(const Fields& fields, std::string_view key) {
  const Json* value = fields.find(key);
  return value != nullptr && value->is_object() ? *value : Json::object();
}

// parseCached() returns nullopt when the text is no cached attachment. A bare result, the old kind, has no
// attachment.
std::optional<CachedAttachment> parseCached(std::string_view text) {
  try {
    Json document = parseJson(text);
    if (!document.is_object()) return std::nullopt;
    const Fields fields(document, "cachedInfo");
    CachedAttachment cached;
    if (fields.find("kind") == nullptr) {
      cached.result = std::move(document);
      return cached;
    }
    auto config = fromBase64(fields.string("config"));
    if (fields.string("kind") != kKind || !config) return std::nullopt;
    cached.attachment = {fields.string("networkName"), fields.string("containerId"), fields.string("ifName")};
    cached.netns = fields.string("netns");
    cached.config = *std::move(config);
    cached.args = joined(fields.list("cniArgs"));
    cached.capabilityArgs = objectOf(fields, "capabilityArgs");
    cached.result = objectOf(fields, "result");
    return cached;
  } catch (const JsonError&) {
    return std::nullopt;
  }
}

// readCached() takes for none, too, what cannot be a file of a runtime's: a directory, a pipe, a socket, a
// link that leads in a circle, one without end.
std::optional<CachedAttachment> readCached(const std::string& path) {
  try {
    const auto text = readFile(path);
    return text ? parseCached(*text) : std::nullopt;
  } catch (const Error& error) {
    constexpr std::array kNoFile = {EISDIR, EINVAL, ENXIO, ELOOP, EFBIG};
    if (std::ranges::find(kNoFile, error.code()) == kNoFile.end()) throw;
    return std::nullopt;
  }
}

int64_t modified(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mtim.tv_sec : 0;
}

void makeDirectories(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string step = path.substr(0, slash);
    if (::mkdir(step.c_str(), 0700) != 0 && errno != EEXIST) throw Error(errno, "mkdir " + step);
    if (slash == std::string::npos) return;
  }
}

}  // namespace

ResultCache::ResultCache(std::string directory) : directory_(std::move(directory) + "/results") {}

std::string ResultCache::file(const Attachment& attachment) const {
  const std::array parts = {&attachment.network, &attachment.containerId, &attachment.ifname};
  if (std::ranges::any_of(parts, [](const std::string* part) { return part->empty(); })) {
    throw Error(EINVAL, "cache file path requires network name (" + plugin::quoted(attachment.network) +
                            "), container ID (" + plugin::quoted(attachment.containerId) +
                            "), and interface name (" + plugin::quoted(attachment.ifname) + ")");
  }
  std::string name = attachment.network + "-" + attachment.containerId + "-" + attachment.ifname;
  // Joined by dashes, "." and ".." cannot come about: a slash is all that could lead elsewhere.
  if (name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
    throw Error(EINVAL, "use " + plugin::quoted(name) + " as a file name");
  }
  return directory_ + "/" + name;
}

void ResultCache::write(const CachedAttachment& cached) const {
  const std::string path = file(cached.attachment);
  Json document = {{"kind", kKind},
                   {"containerId", cached.attachment.containerId},
                   {"config", base64(cached.config)},
                   {"ifName", cached.attachment.ifname},
                   {"networkName", cached.attachment.network}};
  if (!cached.netns.empty()) document["netns"] = cached.netns;
  if (!cached.args.empty()) document["cniArgs"] = pairs(cached.args);
  if (!cached.capabilityArgs.empty()) document["capabilityArgs"] = cached.capabilityArgs;
  document["result"] = cached.result;
  makeDirectories(directory_);
  replaceFile(path, dumpCompact(document));
}

std::optional<CachedAttachment> ResultCache::find(const Attachment& attachment) const {
  const std::string path = file(attachment);
  auto cached = readCached(path);
  if (!cached) return std::nullopt;
  // Names that hold dashes can share a file name: what is inside decides. The old kind has no more than its
  // name.
  if (cached->attachment == Attachment{}) cached->attachment = attachment;
  if (cached->attachment != attachment) return std::nullopt;
  cached->createdAt = modified(path);
  return cached;
}

bool ResultCache::remove(const Attachment& attachment) const {
  const std::string path = file(attachment);
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == EISDIR) return false;
  throw Error(errno, "unlink " + path);
}

std::vector<CachedAttachment> ResultCache::list(std::string_view network) const {
  std::vector<CachedAttachment> all;
  for (const std::string& path : filesIn(directory_, {""})) {
    try {
      auto cached = readCached(path);
      // A file that claims to be another attachment's is none: its name is what find() and remove() go by.
      if (!cached || cached->attachment == Attachment{} || file(cached->attachment) != path) continue;
      if (!network.empty() && cached->attachment.network != network) continue;
      cached->createdAt = modified(path);
      all.push_back(*std::move(cached));
    } catch (const Error&) {  // unreadable: nobody can tell what it was
      continue;
    }
  }
  return all;
}

}  // namespace fairlead::plugin
