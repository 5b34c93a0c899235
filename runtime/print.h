// Internal: formatted text without allocation, for reports of a program that may be broken.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <string>

namespace fairlead::runtime {

// Printer writes to stderr, piece by piece and past stdio, or appends to a string.
class Printer {
 public:
  Printer() = default;
  explicit Printer(std::string& to) : to_(&to) {}

  // What exceeds kMost bytes in one call is cut off.
  [[gnu::format(printf, 2, 3)]] void operator()(const char* format, ...) const {
    std::array<char, kMost> text;
    va_list args;
    va_start(args, format);
    const int n = std::vsnprintf(text.data(), text.size(), format, args);
    va_end(args);
    if (n <= 0) return;
    const size_t length = std::min(static_cast<size_t>(n), text.size() - 1);
    if (to_ != nullptr) {
      to_->append(text.data(), length);
      return;
    }
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, text.data(), length);
  }

 private:
  static constexpr size_t kMost = 2048;

  std::string* to_ = nullptr;
};

}  // namespace fairlead::runtime
