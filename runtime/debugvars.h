// Internal: FAIRLEAD_DEBUG, a comma-separated list of name=value, as GODEBUG.
//
//     shuffle           run queues change the order of goroutines, for tests
//     nosigquit         leave SIGQUIT alone
//     schedtrace=N      a line about the scheduler on stderr, every N milliseconds
//     scheddetail=1     with it a line for each P, M and G
#pragma once

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace fairlead::runtime {

// debugVar() is the value of `name`: 0 when it is not there or no number, 1 when it has none.
inline int debugVar(std::string_view name) {
  const char* text = std::getenv("FAIRLEAD_DEBUG");
  for (std::string_view rest = text != nullptr ? text : ""; !rest.empty();) {
    std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (!one.starts_with(name)) continue;
    one.remove_prefix(name.size());
    if (one.empty()) return 1;
    if (one.front() != '=') continue;
    int value = 0;
    const auto [end, error] = std::from_chars(one.data() + 1, one.data() + one.size(), value);
    return error == std::errc{} && end == one.data() + one.size() ? value : 0;
  }
  return 0;
}

}  // namespace fairlead::runtime
