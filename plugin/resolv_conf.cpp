#include "plugin/resolv_conf.h"

#include <cerrno>
#include <vector>

#include "netns/error.h"
#include "plugin/file.h"

namespace fairlead::plugin {
namespace {

// next() cuts the next word off the front of a line; empty at its end.
std::string next(std::string_view& line) {
  constexpr std::string_view kSpace = " \t\v\f\r";
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  const size_t end = std::min(line.find_first_of(kSpace), line.size());
  std::string word(line.substr(0, end));
  line.remove_prefix(end);
  return word;
}

void parseLine(std::string_view line, DNS& dns) {
  const std::string keyword = next(line);
  if (keyword.starts_with('#') || keyword.starts_with(';')) return;
  std::string value = next(line);
  if (value.empty()) return;
  if (keyword == "nameserver") {
    dns.nameservers.push_back(std::move(value));
  } else if (keyword == "domain") {
    dns.domain = std::move(value);
  } else if (keyword == "search" || keyword == "options") {
    auto& list = keyword == "search" ? dns.search : dns.options;
    for (; !value.empty(); value = next(line)) list.push_back(std::move(value));
  }
}

}  // namespace

DNS parseResolvConf(std::string_view text) {
  DNS dns;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    parseLine(text.substr(0, end), dns);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return dns;
}

DNS readResolvConf(const std::string& path) {
  const auto text = readFile(path);
  if (!text) throw netns::Error(ENOENT, "open " + path);
  return parseResolvConf(*text);
}

}  // namespace fairlead::plugin
