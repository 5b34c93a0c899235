// The error a plugin reports, as the CNI specification has it.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace fairlead::plugin {

// Code is a CNI error code (CNI spec, "Error"). Internal is what the reference plugins use for every plain
// failure.
enum class Code : unsigned {
  Unknown = 0,
  IncompatibleVersion = 1,
  UnsupportedField = 2,
  UnknownContainer = 3,
  InvalidEnvironment = 4,
  IOFailure = 5,
  DecodingFailure = 6,
  InvalidConfig = 7,
  InvalidNetNS = 8,
  TryAgainLater = 11,
  NotAvailable = 50,
  LimitedConnectivity = 51,
  Internal = 999,
};

// CniError is a failure on its way to the runtime. `msg` is what scripts match on, `details` what helps a
// person. what() is "msg; details", the form in which one CNI error appears inside another.
class CniError : public std::exception {
 public:
  CniError(Code code, std::string msg, std::string details = {});
  // internal() is code 999.
  static CniError internal(std::string msg, std::string details = {});

  Code code() const { return code_; }
  const std::string& msg() const { return msg_; }
  const std::string& details() const { return details_; }
  const char* what() const noexcept override { return what_.c_str(); }
  // document() is the error JSON: four spaces, keys code, msg, details; details left out when empty.
  std::string document() const;

 private:
  Code code_;
  std::string msg_;
  std::string details_;
  std::string what_;
};

// quoted() renders text as Go's %q does: double quotes, backslash escapes. It is an object because a function
// of that name would compete with std::quoted, which argument-dependent lookup finds for every std::string.
struct Quoted {
  std::string operator()(std::string_view text) const;
};
inline constexpr Quoted quoted;

}  // namespace fairlead::plugin
