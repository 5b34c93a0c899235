// Internal: FAIRLEAD_DEBUG, a comma-separated list of name=value, as GODEBUG.
//
//     heldlocks=fatal   end the program when a lock is held over a park: see held_locks.h
//     shuffle           run queues change the order of goroutines, for tests
//     nosigquit         leave SIGQUIT alone
//     schedtrace=N      a line about the scheduler on stderr, every N milliseconds
//     scheddetail=1     with it a line for each P, M and G
//     stall=N           goroutines on stderr that keep a P for N milliseconds while others wait
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace fairlead::runtime {

// debugText() is the value of `name`: nothing when it is not there, empty when it has none.
inline std::optional<std::string_view> debugText(std::string_view name) {
  const char* text = std::getenv("FAIRLEAD_DEBUG");
  for (std::string_view rest = text != nullptr ? text : ""; !rest.empty();) {
    std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (!one.starts_with(name)) continue;
    one.remove_prefix(name.size());
    if (one.empty()) return one;
    if (one.front() == '=') return one.substr(1);
  }
  return std::nullopt;
}

// debugVar() is that as a number: 0 when it is not there or no number, 1 when it has none.
inline int debugVar(std::string_view name) {
  const std::optional<std::string_view> text = debugText(name);
  if (!text) return 0;
  if (text->empty()) return 1;
  int value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc{} && end == text->data() + text->size() ? value : 0;
}

}  // namespace fairlead::runtime
