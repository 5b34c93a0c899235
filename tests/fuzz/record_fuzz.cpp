// The text of a record: /run/fairlead is as little to be trusted as any other input.
#include "plugin/bridge_conf.h"
#include "plugin/error.h"
#include "plugin/record.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  using namespace plugin;
  Record record;
  const auto read = [&] { record = Record::fromJson(parseJson(fuzz::textOf(data, size))); };
  if (!fuzz::accepted<JsonError>(read)) return 0;
  const Json written = record.toJson();
  const Json again = Record::fromJson(parseJson(dumpCompact(written))).toJson();
  fuzz::hold(again == written, "what is read again is what was written");
  const Call call = record.call();
  fuzz::hold(call.env.command == "DEL" && call.attachment() == record.attachment,
             "it is undone as what it is");
  fuzz::accepted<CniError>([&] { BridgeConf::parse(call); });
  return 0;
}
