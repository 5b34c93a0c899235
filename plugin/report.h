// What the command line says besides results: what went wrong, and what it took.
#pragma once

#include <exception>
#include <string_view>

namespace fairlead::plugin {

// reportUsage() tells of a command line that cannot be meant, on standard error. `verb` may be empty.
void reportUsage(std::string_view verb, std::string_view text);

// reportFailure() tells of a verb that failed: readable lines on standard error, or, as `json`, the error
// document of the CNI specification on standard output. Where several plugins failed, the document is about
// the first, and its "failures" about all: {"index", "plugin", "command", "code", "msg", "details"}.
void reportFailure(std::string_view verb, const std::exception& failure, bool json);

// reportTrace() prints the steps that were traced, what each took and the OS thread it ran on. "main" is the
// thread whose id is the process's.
void reportTrace();

}  // namespace fairlead::plugin
