// prevResult: a result of any version, read under a configuration of any version (the first byte), written in
// every version and read again.
#include "plugin/error.h"
#include "plugin/result.h"
#include "plugin/version.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  using namespace plugin;
  if (size == 0) return 0;
  const auto version = kAllVersions[data[0] % kAllVersions.size()];
  Result result;
  const auto read = [&] {
    result = Result::fromPrevResult(parseJson(fuzz::textOf(data + 1, size - 1)), version);
  };
  if (!fuzz::accepted<CniError, JsonError>(read)) return 0;
  for (const std::string_view other : kAllVersions) {
    Json written;
    if (!fuzz::accepted<CniError>([&] { written = result.toJson(other); })) continue;
    const Json printed = parseJson(result.print(other));
    fuzz::hold(printed == written, "what is printed is what was meant");
    const Json again = Result::fromPrevResult(printed, other).toJson(other);
    fuzz::hold(again == written, "what is read again is what was written");
  }
  return 0;
}
