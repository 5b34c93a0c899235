#include "plugin/delegate.h"

#include <sys/stat.h>

#include <utility>
#include <vector>

#include "plugin/error.h"
#include "plugin/skel.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

// split() takes the directories of a CNI_PATH. An empty one would mean the working directory, which is
// nobody's choice.
std::vector<std::string> split(std::string_view cniPath) {
  std::vector<std::string> directories;
  while (!cniPath.empty()) {
    const size_t colon = std::min(cniPath.find(':'), cniPath.size());
    if (colon > 0) directories.emplace_back(cniPath.substr(0, colon));
    cniPath.remove_prefix(std::min(colon + 1, cniPath.size()));
  }
  return directories;
}

bool isThisBinary(const struct stat& file) {
  struct stat own;
  return ::stat("/proc/self/exe", &own) == 0 && own.st_dev == file.st_dev && own.st_ino == file.st_ino;
}

Call withVerb(const Call& call, const char* verb) {
  Call copy = call;
  copy.env.command = verb;
  return copy;
}

// parseResult() reads what a foreign plugin's ADD printed.
Result parseResult(const std::string& text, const std::string& version) {
  Json document;
  try {
    document = parseJson(text);
    if (document.is_null()) document = Json::object();
    const Fields mustBeObject(document, "map[string]interface {}");
  } catch (const JsonError& error) {
    throw CniError::internal(std::string("failed to unmarshal raw result: ") + error.what());
  }
  try {
    return Result::fromJson(document, version);
  } catch (const JsonError& error) {
    throw CniError::internal(error.what());
  }
}

// resultOf() is for a plugin that has succeeded: it keeps what it did, although nobody can tell what.
Result resultOf(const std::string& text, const std::string& version) {
  try {
    return parseResult(text, version);
  } catch (const CniError& error) {
    throw DelegateLost(error.code(), error.msg(), error.details());
  }
}

}  // namespace

Delegate::Delegate(std::string type, std::string path, const Plugin* builtin)
    : type_(std::move(type)), path_(std::move(path)), builtin_(builtin) {}

Delegate Delegate::find(std::string_view type, std::string_view cniPath) {
  if (type.empty()) throw CniError::internal("no plugin name provided");
  // The name comes from JSON, which may hold a NUL: the kernel would see less of the path than we do.
  if (type.find_first_of(std::string_view("/\0", 2)) != std::string_view::npos)
    throw CniError::internal("invalid plugin name: " + std::string(type));
  const std::vector<std::string> directories = split(cniPath);
  if (directories.empty()) throw CniError::internal("no paths provided");
  for (const std::string& directory : directories) {
    std::string path = directory + (directory.ends_with('/') ? "" : "/") + std::string(type);
    struct stat file;
    if (::stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) continue;
    return {std::string(type), std::move(path), isThisBinary(file) ? findPlugin(type) : nullptr};
  }
  throw CniError::internal("failed to find plugin " + quoted(type) + " in path [" + join(directories, " ") +
                           "]");
}

std::string Delegate::execute(const Call& call) const {
  const std::string from = "from plugin " + quoted(type_) + " at " + path_;
  try {
    return execPlugin(path_, call.env, call.input);
  } catch (const DelegateLost& lost) {
    throw DelegateLost(lost.code(), lost.msg(), lost.details().empty() ? from : lost.details());
  } catch (const CniError& error) {
    if (!error.details().empty()) throw;
    throw CniError(error.code(), error.msg(), from);
  }
}

// addExecuted() takes back what a plugin may have done that did not answer. One that answers with an error
// has seen to it itself; what it calls taken may be in use.
Result Delegate::addExecuted(const Call& call) const {
  try {
    return resultOf(execute(call), call.version);
  } catch (const DelegateLost& lost) {
    try {
      del(call);
    } catch (const std::exception& error) {
      throw CniError(lost.code(), lost.msg(), std::string("undoing it failed, too: ") + error.what());
    }
    throw;
  }
}

Result Delegate::add(const Call& call) const {
  const Call own = withVerb(call, "ADD");
  if (builtin_ == nullptr) return addExecuted(own);
  Result result = dispatch(*builtin_, own).value();
  builtin_->delivered(own);
  return result;
}

void Delegate::run(const Call& call, const char* verb) const {
  const Call own = withVerb(call, verb);
  if (builtin_ != nullptr)
    dispatch(*builtin_, own);
  else
    execute(own);
}

void Delegate::del(const Call& call) const { run(call, "DEL"); }
void Delegate::check(const Call& call) const { run(call, "CHECK"); }
void Delegate::gc(const Call& call) const { run(call, "GC"); }
void Delegate::status(const Call& call) const { run(call, "STATUS"); }

bool Delegate::alreadyDone(const Call& call) const {
  try {
    return builtin_ != nullptr && builtin_->alreadyDone(call);
  } catch (const std::exception&) {
    return false;  // the ADD will meet with the same and report it
  }
}

Explanation Delegate::explain(const Call& call) const {
  if (builtin_ != nullptr) return builtin_->explain(withVerb(call, "ADD"));
  return {.result = {}, .lines = {"CNI_COMMAND=ADD " + path_ + " < configuration"}};
}

}  // namespace fairlead::plugin
