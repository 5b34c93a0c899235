#include <cstdio>
#include <ctime>
#include <string>

#include "plugin/commands.h"
#include "plugin/known.h"
#include "plugin/table.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

constexpr size_t kLongId = 24;  // longer ones are cut for the table, as container tools do
constexpr size_t kShortId = 12;
constexpr int64_t kTwoDays = 172800;  // seconds

std::string shortened(const std::string& id) { return id.size() > kLongId ? id.substr(0, kShortId) : id; }

std::string age(int64_t seconds) {
  if (seconds < 0) return "0s";  // the clock was set back
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return std::to_string(seconds / 60) + "m";
  if (seconds < kTwoDays) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

std::string painted(KnownAttachment::State state) {
  using State = KnownAttachment::State;
  const Colour colour = state == State::Live     ? Colour::Green
                        : state == State::Adding ? Colour::Yellow
                                                 : Colour::Red;
  return paint(stateWord(state), colour, stdout);
}

Json asJson(const KnownAttachment& known, int64_t now) {
  return {{"network", known.attachment.network},
          {"containerID", known.attachment.containerId},
          {"ifname", known.attachment.ifname},
          {"addresses", known.addresses},
          {"netns", known.lastNetns},
          {"plugin", known.type},
          {"hostInterface", known.hostInterface},
          {"createdAt", known.createdAt},
          {"ageSeconds", now - known.createdAt},
          {"state", stateWord(known.state)}};
}

}  // namespace

void lsCommand(const Options& options) {
  const auto all = knownAttachments(RecordStore(), ResultCache(options.cacheDir), options.network);
  const int64_t now = std::time(nullptr);
  if (options.json) {
    Json list = Json::array();
    for (const KnownAttachment& known : all) list.push_back(asJson(known, now));
    std::printf("%s\n", dumpIndented(list).c_str());
    return;
  }
  Table table({"NETWORK", "CONTAINER", "INTERFACE", "ADDRESSES", "NAMESPACE", "AGE", "STATE"});
  for (const KnownAttachment& known : all) {
    const std::string id =
        options.verbose ? known.attachment.containerId : shortened(known.attachment.containerId);
    table.row({printable(known.attachment.network), printable(id), printable(known.attachment.ifname),
               known.addresses.empty() ? "-" : join(known.addresses, " "),
               known.lastNetns.empty() ? "-" : printable(known.lastNetns), age(now - known.createdAt),
               painted(known.state)});
  }
  table.print(stdout);
}

}  // namespace fairlead::plugin
