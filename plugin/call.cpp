#include "plugin/call.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "plugin/error.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

// parseBool() accepts what CNI_ARGS accepts for a boolean.
bool parseBool(const std::string& pair, std::string_view value) {
  std::string lower(value);
  std::ranges::transform(lower, lower.begin(), lowerCase);
  if (lower == "1" || lower == "true") return true;
  if (lower == "0" || lower == "false") return false;
  throw CniError::internal("ARGS: error parsing value of pair " + quoted(pair) +
                           ": boolean unmarshal error: invalid input " + lower);
}

}  // namespace

Environment Environment::fromProcess() {
  const auto get = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  return {.command = get("CNI_COMMAND"),
          .containerId = get("CNI_CONTAINERID"),
          .netns = get("CNI_NETNS"),
          .ifname = get("CNI_IFNAME"),
          .args = get("CNI_ARGS"),
          .path = get("CNI_PATH"),
          .netnsOverride = get("CNI_NETNS_OVERRIDE")};
}

CniArgs::CniArgs(std::string_view text, std::vector<std::string_view> known) {
  std::vector<std::string> unknown;
  bool ignoreUnknown = false;
  for (bool more = !text.empty(); more;) {
    const size_t end = text.find(';');
    const std::string pair(text.substr(0, end));
    more = end != std::string_view::npos;
    if (more) text.remove_prefix(end + 1);

    const size_t equals = pair.find('=');
    if (equals == std::string::npos || pair.find('=', equals + 1) != std::string::npos)
      throw CniError::internal("ARGS: invalid pair " + quoted(pair));
    std::string key = pair.substr(0, equals);
    std::string value = pair.substr(equals + 1);
    if (key == "IgnoreUnknown")
      ignoreUnknown = parseBool(pair, value);
    else if (std::ranges::find(known, key) != known.end())
      values_[std::move(key)] = std::move(value);
    else
      unknown.push_back(quoted(pair));
  }
  if (!unknown.empty() && !ignoreUnknown)
    throw CniError::internal("ARGS: unknown args [" + join(unknown, " ") + "]");
}

std::optional<std::string> CniArgs::get(std::string_view key) const {
  const auto value = values_.find(key);
  if (value == values_.end()) return std::nullopt;
  return value->second;
}

std::optional<Result> Call::prevResult() const {
  const Json* value = Fields(conf, "NetConf").find("prevResult");
  if (value == nullptr) return std::nullopt;
  return Result::fromPrevResult(*value, version);
}

std::vector<Attachment> Call::validAttachments() const {
  const Fields fields(conf, "NetConf");
  const auto& members = conf.get_ref<const Json::object_t&>();
  const auto isList = [](const auto& member) {
    return member.first == "cni.dev/valid-attachments" || member.first == "cni.dev/attachments";
  };
  if (std::ranges::none_of(members, isList))
    throw CniError(Code::InvalidConfig, "missing cni.dev/valid-attachments",
                   "without it, garbage collection would take every attachment for stale");
  const char* key =
      fields.find("cni.dev/valid-attachments") ? "cni.dev/valid-attachments" : "cni.dev/attachments";
  std::vector<Attachment> result;
  for (const Json* element : fields.list(key)) {
    const Fields entry(*element, "GCAttachment");
    result.push_back({name, entry.string("containerID"), entry.string("ifname")});
  }
  return result;
}

}  // namespace fairlead::plugin
