// JSON as Go's encoding/json reads it: existing configurations rely on it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "netns/ip.h"

namespace fairlead::plugin {

// Json keeps the order of keys, so that "the last of several spellings wins" can be honoured.
using Json = nlohmann::ordered_json;

// JsonError is a document that is no JSON, or a value of the wrong type; what() is Go's text.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// parseJson() reads one document. Syntax errors carry Go's words ("unexpected end of JSON input", "invalid
// character 'x' after top-level value"). Invalid UTF-8 and lone surrogates become U+FFFD. Of several members
// with exactly the same key the last one stays. Integers within 64 bits are kept exact. Documents of more
// than 4 MiB or nested more than 128 deep are refused.
Json parseJson(std::string_view text);

// dumpCompact() and dumpIndented() print as Go does: `<`, `>`, `&`, U+2028 and U+2029 escaped; indented by
// four spaces.
std::string dumpCompact(const Json& value);
std::string dumpIndented(const Json& value);

// Fields reads the members of a JSON object as Go decodes into a struct: keys match without regard to case,
// the last match in document order wins, null means "leave the default", integers refuse fractions, and a
// wrong type throws JsonError "json: cannot unmarshal string into Go struct field NetConf.mtu of type int".
class Fields {
 public:
  // `object` must outlive this; null counts as an object without members, anything else that is no object
  // throws. `goType` is the struct's name in error texts; `path` the dotted path of the members so far
  // ("ipam"), empty at the top.
  Fields(const Json& object, std::string_view goType, std::string_view path = {});

  // find() returns the member, or null when it is absent or null.
  const Json* find(std::string_view key) const;

  std::string string(std::string_view key, std::string_view fallback = {}) const;
  bool boolean(std::string_view key, bool fallback = false) const;
  int64_t integer(std::string_view key, int64_t fallback = 0) const;  // Go: int
  std::optional<int64_t> maybeInteger(std::string_view key) const;    // Go: *int
  // maybeInt32() refuses what does not fit 32 bits, in the words in which Go refuses what does not fit 64.
  std::optional<int32_t> maybeInt32(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;
  std::optional<netns::IP> ip(std::string_view key) const;          // "" is unset; "invalid IP address: x"
  std::optional<netns::Prefix> prefix(std::string_view key) const;  // "invalid CIDR address: x"
  // list() returns the elements of an array member, none when it is absent.
  std::vector<const Json*> list(std::string_view key) const;
  // object() returns the members of an object member; empty Fields when it is absent.
  Fields object(std::string_view key) const;
  bool empty() const { return object_ == nullptr || object_->empty(); }

 private:
  // name() is a member's full name in error texts.
  std::string name(std::string_view key) const;
  template <class Int>
  std::optional<Int> number(std::string_view key) const;

  const Json* object_;
  std::string goType_;
  std::string path_;
};

}  // namespace fairlead::plugin
