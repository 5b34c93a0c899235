// What a failed kernel operation says of itself.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace fairlead::netns {

// Error is a failed kernel operation: what was attempted, in words that an operator can type, and the
// kernel's answer. what() reads "ip link add cni0 type bridge: file exists (extended ack text)"; the errno's
// text is Go's lower-case form, which scripts match on.
class Error : public std::runtime_error {
 public:
  // `code` is a positive errno; `attempted` the command; `extack` the kernel's extended acknowledgement, may
  // be empty. `index` is the request's position in its batch.
  Error(int code, std::string attempted, std::string extack = {}, size_t index = 0);

  int code() const { return code_; }
  const std::string& attempted() const { return attempted_; }
  const std::string& extack() const { return extack_; }
  size_t index() const { return index_; }

 private:
  int code_;
  std::string attempted_;
  std::string extack_;
  size_t index_;
};

// NoAnswer is a request that was sent, and whose answer was not had: the kernel may have carried it out.
class NoAnswer : public Error {
 public:
  using Error::Error;
};

// errnoText() is the lower-case text that Go prints for an errno ("no such file or directory").
std::string errnoText(int code);

}  // namespace fairlead::netns
