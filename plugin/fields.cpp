#include <algorithm>
#include <utility>

#include "plugin/json.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

bool sameKey(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lowerCase, lowerCase);
}

// kind() is Go's word for what a JSON value is.
std::string kind(const Json& value) {
  if (value.is_boolean()) return "bool";
  return value.is_null() ? "null" : value.type_name();
}

[[noreturn]] void wrongType(const std::string& found, const std::string& field, std::string_view wanted) {
  throw JsonError("json: cannot unmarshal " + found + " into Go struct field " + field + " of type " +
                  std::string(wanted));
}

}  // namespace

Fields::Fields(const Json& object, std::string_view goType, std::string_view path)
    : object_(&object), goType_(goType), path_(path) {
  if (object.is_null()) {
    object_ = nullptr;
  } else if (!object.is_object()) {
    if (!path_.empty()) wrongType(kind(object), goType_ + "." + path_, "object");
    throw JsonError("json: cannot unmarshal " + kind(object) + " into Go value of type " + goType_);
  }
}

std::string Fields::name(std::string_view key) const {
  std::string name = goType_ + ".";
  if (!path_.empty()) name += path_ + ".";
  return name.append(key);
}

const Json* Fields::find(std::string_view key) const {
  if (object_ == nullptr) return nullptr;
  const auto& members = object_->get_ref<const Json::object_t&>();
  for (auto member = members.rbegin(); member != members.rend(); ++member)
    if (!member->second.is_null() && sameKey(member->first, key)) return &member->second;
  return nullptr;
}

std::string Fields::string(std::string_view key, std::string_view fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) wrongType(kind(*value), name(key), "string");
  return value->get_ref<const std::string&>();
}

bool Fields::boolean(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) wrongType(kind(*value), name(key), "bool");
  return value->get<bool>();
}

int64_t Fields::integer(std::string_view key, int64_t fallback) const {
  return maybeInteger(key).value_or(fallback);
}

std::optional<int64_t> Fields::maybeInteger(std::string_view key) const { return number<int64_t>(key); }

std::optional<int32_t> Fields::maybeInt32(std::string_view key) const { return number<int32_t>(key); }

template <class Int>
std::optional<Int> Fields::number(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) wrongType(kind(*value), name(key), "int");
  const bool fits = value->is_number_unsigned()  ? std::in_range<Int>(value->get<uint64_t>())
                    : value->is_number_integer() ? std::in_range<Int>(value->get<int64_t>())
                                                 : false;
  if (!fits) wrongType("number " + value->dump(), name(key), "int");
  return value->get<Int>();
}

std::vector<std::string> Fields::strings(std::string_view key) const {
  std::vector<std::string> result;
  for (const Json* element : list(key)) {
    if (!element->is_string() && !element->is_null()) wrongType(kind(*element), name(key), "string");
    result.push_back(element->is_null() ? std::string() : element->get<std::string>());
  }
  return result;
}

std::optional<netns::IP> Fields::ip(std::string_view key) const {
  const std::string text = string(key);
  if (text.empty()) return std::nullopt;
  auto ip = netns::IP::parse(text);
  if (!ip) throw JsonError("invalid IP address: " + text);
  return ip;
}

std::optional<netns::Prefix> Fields::prefix(std::string_view key) const {
  if (find(key) == nullptr) return std::nullopt;
  const std::string text = string(key);
  auto prefix = netns::Prefix::parse(text);
  if (!prefix) throw JsonError("invalid CIDR address: " + text);
  return prefix;
}

std::vector<const Json*> Fields::list(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) wrongType(kind(*value), name(key), "array");
  std::vector<const Json*> elements;
  elements.reserve(value->size());
  for (const Json& element : *value) elements.push_back(&element);
  return elements;
}

Fields Fields::object(std::string_view key) const {
  static const Json kAbsent;
  const Json* value = find(key);
  std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  return Fields(value == nullptr ? kAbsent : *value, goType_, path);
}

}  // namespace fairlead::plugin
