// What another plugin prints: a result, or an error. The first byte says how it ends and in which version it
// was asked; then follow its standard output, up to a NUL, and its standard error.
//
// No process is started: this file has the definition of runtime::Process that is linked.
#include <csignal>

#include "plugin/delegate.h"
#include "plugin/error.h"
#include "plugin/version.h"
#include "runtime/exec.h"
#include "tests/fuzz/fuzz.h"

namespace {

fairlead::runtime::ProcessState state;  // how the next plugin ends

}  // namespace

namespace fairlead::runtime {

struct Process::Child {};
Process::Process(const Command&) {}
Process::~Process() = default;
ProcessState Process::wait() { return state; }

}  // namespace fairlead::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  using namespace plugin;
  using End = runtime::ProcessState::End;
  if (size == 0) return 0;
  constexpr End kEnds[] = {End::Exited, End::TimedOut, End::PrintedTooMuch};
  constexpr int kStatuses[] = {0, 1 << 8, SIGKILL};
  const size_t way = data[0] % 5;  // success, failure, killed, and the two limits
  std::string_view rest = fuzz::textOf(data + 1, size - 1);
  state = {.end = way < 3 ? End::Exited : kEnds[way - 2],
           .status = kStatuses[way < 3 ? way : 2],
           .out = std::string(fuzz::take(rest, '\0')),
           .err = std::string(way == 0 ? "" : rest)};  // that of a plugin that succeeds is passed on

  static const Delegate kDelegate = Delegate::find("true", "/usr/bin");
  Call call;
  call.version = kAllVersions[data[0] / 5 % kAllVersions.size()];
  const auto add = [&] {
    const Result result = kDelegate.add(call);
    fuzz::hold(way == 0, "only success has a result");
    const std::string text = result.print(call.version);
    fuzz::hold(Result::fromJson(parseJson(text), call.version).print(call.version) == text,
               "what is read again is what was written");
  };
  const auto explained = [&] {
    try {
      add();
    } catch (const CniError& error) {
      fuzz::hold(parseJson(error.document()).at("msg") == error.msg(), "an error can be passed on");
      throw;
    }
  };
  fuzz::accepted<CniError>(explained);
  return 0;
}
