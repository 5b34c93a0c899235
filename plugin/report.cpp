#include "plugin/report.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "netns/error.h"
#include "netns/netns.h"
#include "plugin/error.h"
#include "plugin/json.h"
#include "plugin/list_runner.h"
#include "plugin/network_list.h"
#include "plugin/table.h"
#include "plugin/trace.h"

namespace fairlead::plugin {
namespace {

void say(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

std::string prefix(std::string_view verb) {
  std::string text = paint("fairlead", Colour::Bold, stderr);
  if (!verb.empty()) text += " " + paint(verb, Colour::Bold, stderr);
  return text + ": ";
}

// asCniError() is any failure in the terms of the specification.
CniError asCniError(const std::exception& failure) {
  if (const auto* error = dynamic_cast<const CniError*>(&failure)) return *error;
  if (const auto* error = dynamic_cast<const ListError*>(&failure)) return error->failures().front().error;
  if (dynamic_cast<const ConfigError*>(&failure) != nullptr) return {Code::InvalidConfig, failure.what()};
  if (dynamic_cast<const netns::NetNSError*>(&failure) != nullptr)
    return {Code::InvalidNetNS, failure.what()};
  return CniError::internal(failure.what());
}

Json document(const CniError& error) {
  Json value = {{"code", static_cast<unsigned>(error.code())}, {"msg", error.msg()}};
  if (!error.details().empty()) value["details"] = error.details();
  return value;
}

void reportJson(const std::exception& failure) {
  Json value = document(asCniError(failure));
  if (const auto* list = dynamic_cast<const ListError*>(&failure)) {
    Json all = Json::array();
    for (const PluginFailure& one : list->failures()) {
      Json entry = {{"index", one.index}, {"plugin", one.type}, {"command", one.command}};
      entry.update(document(one.error));
      all.push_back(std::move(entry));
    }
    value["failures"] = std::move(all);
  }
  std::printf("%s\n", dumpIndented(value).c_str());
}

// advise() is for those who are refused, or shown nothing, for who they are.
void advise(const std::exception& failure) {
  const auto* error = dynamic_cast<const netns::Error*>(&failure);
  const bool refused = error != nullptr && (error->code() == EACCES || error->code() == EPERM);
  if (refused && ::geteuid() != 0) say("  only root may do this: sudo fairlead ...");
}

void explain(const CniError& error) {
  if (!error.details().empty()) say("  details: " + indented(printable(error.details()), "           "));
  if (error.code() != Code::Internal) say("  code: " + std::to_string(static_cast<unsigned>(error.code())));
}

void explain(const ListError& error, std::string_view verb) {
  for (const PluginFailure& one : error.failures()) {
    say(prefix(verb) + "plugins[" + std::to_string(one.index) + "] " + printable(one.type) + ": " +
        one.command + ": " + paint(indented(printable(one.error.msg()), "  "), Colour::Red, stderr));
    explain(one.error);
  }
  if (!error.rolledBack()) return;
  say(error.failures().size() == 1 ? "  rolled back: the plugins that had run have undone it (DEL)"
                                   : "  rolling back (DEL) failed, too: something may be left");
}

}  // namespace

void reportUsage(std::string_view verb, std::string_view text) {
  say(prefix(verb) + printable(text));
  say("Try `fairlead" + (verb.empty() ? "" : " " + std::string(verb)) + " --help`.");
}

void reportFailure(std::string_view verb, const std::exception& failure, bool json) {
  if (json) return reportJson(failure);
  if (const auto* list = dynamic_cast<const ListError*>(&failure)) return explain(*list, verb);
  const CniError error = asCniError(failure);
  say(prefix(verb) + paint(indented(printable(error.msg()), "  "), Colour::Red, stderr));
  if (dynamic_cast<const CniError*>(&failure) != nullptr) explain(error);
  advise(failure);
}

void reportTrace() {
  Table table({"MICROSECONDS", "THREAD", "STEP"});
  table.alignRight(0);
  for (const TraceEntry& entry : traceEntries()) {
    std::string thread = std::to_string(entry.tid);
    if (entry.tid == ::getpid()) thread += " (main)";
    table.row({std::to_string(entry.micros), std::move(thread), printable(entry.what)});
  }
  table.print(stderr);
}

}  // namespace fairlead::plugin
