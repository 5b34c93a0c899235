#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "netns/error.h"
#include "plugin/delegate.h"
#include "plugin/error.h"
#include "plugin/stdio.h"
#include "plugin/text.h"
#include "runtime/exec.h"
#include "runtime/runtime.h"

namespace fairlead::plugin {
namespace {

constexpr size_t kMaxOutput = size_t{4} << 20;  // of each stream; parseJson() takes no more
constexpr size_t kMaxShown = size_t{64} << 10;  // of what a failed child printed, in an error text
constexpr int kSpawnAttempts = 6;               // while the file is "busy": somebody is just installing it

DelegateLost lost(const std::string& path, const std::string& why) {
  return {Code::Internal, "plugin " + path + " " + why};
}

std::string notRun(const runtime::ExecError& error) {
  return std::string("could not be run: ") + error.call() + ": " + netns::errnoText(error.code().value());
}

std::chrono::seconds timeout() {
  constexpr int kDefault = 120;
  constexpr int kLongest = 24 * 3600;
  const char* text = std::getenv("FAIRLEAD_EXEC_TIMEOUT");
  int seconds = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), seconds);
  return std::chrono::seconds(seconds > 0 ? std::min(seconds, kLongest) : kDefault);
}

// ---- what the child gets -----------------------------------------------------------------------

// childEnvironment() is our own environment with the CNI_* variables of `env`; what is empty there is unset.
std::vector<std::string> childEnvironment(const Environment& env) {
  const std::pair<std::string_view, const std::string&> ours[] = {{"CNI_COMMAND=", env.command},
                                                                  {"CNI_CONTAINERID=", env.containerId},
                                                                  {"CNI_NETNS=", env.netns},
                                                                  {"CNI_IFNAME=", env.ifname},
                                                                  {"CNI_ARGS=", env.args},
                                                                  {"CNI_PATH=", env.path},
                                                                  {"CNI_NETNS_OVERRIDE=", env.netnsOverride}};
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (std::ranges::none_of(ours, [&](const auto& our) { return text.starts_with(our.first); }))
      result.emplace_back(text);
  }
  for (const auto& [name, value] : ours)
    if (!value.empty()) result.push_back(std::string(name) + value);
  return result;
}

// statusText() is what Go says of a process that did not succeed.
std::string statusText(int status) {
  if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  const char* name = ::sigdescr_np(WTERMSIG(status));
  std::string text = name == nullptr ? "signal " + std::to_string(WTERMSIG(status)) : name;
  std::ranges::transform(text, text.begin(), lowerCase);
  return "signal: " + text + (WCOREDUMP(status) ? " (core dumped)" : "");
}

// pluginError() is the reference's table of what a failed plugin has to say. A failure without an error
// document has code 0.
CniError pluginError(const std::string& status, std::string_view out, std::string_view err) {
  if (out.empty() && err.empty()) return {Code::Unknown, "netplugin failed with no error message: " + status};
  if (out.empty())
    return {Code::Unknown, "netplugin failed: " + quoted(err.substr(0, kMaxShown)) + ": " + status};
  try {
    const Json document = parseJson(out);
    const Fields fields(document, "Error");
    const int64_t code = fields.integer("code");
    if (!std::in_range<uint32_t>(code))
      throw JsonError("json: cannot unmarshal number " + std::to_string(code) +
                      " into Go struct field Error.code of type uint");
    return {static_cast<Code>(code), fields.string("msg"), fields.string("details")};
  } catch (const JsonError& error) {
    return {Code::Unknown, "netplugin failed but error parsing its diagnostic message " +
                               quoted(out.substr(0, kMaxShown)) + ": " + error.what()};
  }
}

// start() starts the plugin, again after a second each time while its file is still being written.
std::unique_ptr<runtime::Process> start(const runtime::Command& command) {
  for (int attempt = 1;; ++attempt) {
    try {
      return std::make_unique<runtime::Process>(command);
    } catch (const runtime::ExecError& error) {
      const int code = error.code().value();
      if (error.call() != std::string_view("fork/exec")) throw lost(command.path, notRun(error));
      if (code != ETXTBSY || attempt == kSpawnAttempts)
        throw pluginError("fork/exec " + command.path + ": " + netns::errnoText(code), "", "");
    }
    runtime::sleep(std::chrono::seconds(1));
  }
}

// finish() waits for the plugin, which has to end by itself.
runtime::ProcessState finish(runtime::Process& process, const runtime::Command& command) try {
  runtime::ProcessState state = process.wait();
  switch (state.end) {
    case runtime::ProcessState::End::Exited:
      return state;
    case runtime::ProcessState::End::TimedOut:
      throw lost(command.path, "did not finish within " +
                                   std::to_string(command.timeout / std::chrono::seconds(1)) +
                                   " seconds and was killed");
    case runtime::ProcessState::End::PrintedTooMuch:
      throw lost(command.path,
                 "printed more than " + std::to_string(kMaxOutput >> 20) + " MiB and was killed");
  }
  return state;
} catch (const runtime::ExecError& error) {
  throw lost(command.path, notRun(error));
}

}  // namespace

std::string execPlugin(const std::string& path, const Environment& env, std::string_view input) {
  // A runtime that ignores SIGCHLD hands that down, and the kernel would reap the child without telling its
  // status.
  std::signal(SIGCHLD, SIG_DFL);
  // From this thread, so that a plugin that starts no goroutine needs no second one: it is in the host's
  // namespaces wherever a delegate is called.
  const runtime::Command command{.path = path,
                                 .environment = childEnvironment(env),
                                 .input = std::string(input),
                                 .maxOutput = kMaxOutput,
                                 .timeout = timeout(),
                                 .fromCallersThread = true};
  runtime::ProcessState state = finish(*start(command), command);
  if (state.status != 0) {
    const CniError error = pluginError(statusText(state.status), state.out, state.err);
    // Who was killed, or has no error document, has not tidied up either, for all that is known.
    if (!WIFSIGNALED(state.status) && error.code() != Code::Unknown) throw error;
    throw DelegateLost(error.code(), error.msg(), error.details());
  }
  writeAll(STDERR_FILENO, state.err);
  return std::move(state.out);
}

}  // namespace fairlead::plugin
