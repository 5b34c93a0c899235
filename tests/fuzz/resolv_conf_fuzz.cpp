// A resolv.conf, which host-local makes a result's DNS settings of.
#include "plugin/resolv_conf.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  using namespace plugin;
  Result result;
  result.dns = parseResolvConf(fuzz::textOf(data, size));
  for (const auto& list : {result.dns.nameservers, result.dns.search, result.dns.options}) {
    for (const std::string& word : list)
      fuzz::hold(!word.empty() && word.find_first_of(" \t\n\v\f\r") == std::string::npos, "a word is one");
  }
  const Json printed = parseJson(result.print("1.1.0"));
  fuzz::hold(Result::fromJson(printed, "1.1.0").toJson("1.1.0") == printed,
             "what is read again is what was written");
  return 0;
}
