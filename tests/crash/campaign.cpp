#include "tests/crash/campaign.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>

namespace fairlead::crash {
namespace {

using nlohmann::json;

bool onlyLooks(const std::string& verb) { return verb == "CHECK" || verb == "STATUS"; }

// ofAttachments() is empty when a difference is the network's own: its bridge, and the frame of its rules.
std::string ofAttachments(const std::string& difference) {
  for (const char* trace : {"@if", "masq-", "/run/", "eth0"})
    if (difference.find(trace) != std::string::npos) return difference;
  return {};
}

constexpr int kFatal = 2;  // exit status of a program that the runtime has ended

// Trial is one row. Every function returns what does not hold, or "".
class Trial {
 public:
  Trial(const Subject& subject, const Options& options, Row& row)
      : subject_(subject), options_(options), row_(row) {}

  void run() {
    for (long at = options_.point > 0 ? options_.point : 1 + options_.offset % options_.every;;
         at += options_.every) {
      if (!world_) enter();
      const Ending ending = strike(at);
      std::string problem = judge(ending);
      if (problem.empty()) problem = leaveNothing();
      if (!problem.empty()) fail(at, ending.where(), std::move(problem));
      if (!ending.struck) return;
      ++row_.points;
      if (row_.points % 20 == 0) options_.progress(row_.title() + ": " + std::to_string(row_.points));
      if (options_.point > 0) return;
    }
  }

 private:
  void enter() {
    world_ = std::make_unique<World>(subject_, options_.plugins);
    before_ = world_->state();
  }

  void fail(long at, std::string where, std::string what) {
    options_.progress(row_.title() + ", point " + std::to_string(at) + ", " + where + ": " + what);
    row_.failures.push_back({at, std::move(where), std::move(what)});
    world_.reset();
  }

  Ending strike(long at) {
    if (row_.verb != "ADD")
      if (const std::string problem = must("ADD"); !problem.empty()) throw std::runtime_error(problem);
    if (onlyLooks(row_.verb)) attached_ = world_->state();
    const auto kind = row_.pass == Pass::Errors ? Strike::Kind::Error : Strike::Kind::Kill;
    return world_->call(row_.verb, {.kind = kind, .at = at});
  }

  std::string judge(const Ending& ending) {
    if (ending.hung) return "not at its end after " + std::to_string(kLimitSeconds) + " s";
    if (!ending.struck) return ending.status == 0 ? "" : "failed unharmed: " + ending.out + ending.err;
    if (row_.pass == Pass::Errors) return judgeFailure(ending);
    switch (row_.pass) {
      case Pass::KillThenGc:
        return must("GC");
      case Pass::KillThenAgain:
        return again();
      case Pass::KillOnly:
        return unchanged();
      default:
        return "";
    }
  }

  std::string judgeFailure(const Ending& ending) {
    if (ending.beforeMain && ending.status != 0) {  // the C library failed: there was nobody to answer
      ++row_.gaveUp;
      return "";
    }
    std::string problem = judgeAnswer(ending);
    if (!problem.empty()) return problem;
    if (ending.status != kFatal) return judgeState(ending);
    ++row_.gaveUp;  // the runtime could neither go on nor undo, and said so: that is DEL's
    return "";
  }

  // judgeAnswer(): nothing but success or an error in CNI's form is an answer.
  static std::string judgeAnswer(const Ending& ending) {
    if (ending.signal != 0) return "died by signal " + std::to_string(ending.signal) + ": " + ending.err;
    if (ending.status == 0) return "";
    // What could not be written to standard output is on standard error.
    for (const std::string& text : {ending.out, ending.err}) {
      const json answer = json::parse(text, nullptr, false);
      if (answer.is_object() && answer.contains("code") && !answer.value("msg", "").empty()) return "";
    }
    return "exit status " + std::to_string(ending.status) + " without a CNI error: " + ending.out +
           ending.err;
  }

  // judgeState() looks at what the call has left, before anything is put right.
  std::string judgeState(const Ending& ending) {
    if (onlyLooks(row_.verb)) return unchanged();
    if (row_.verb == "ADD" && ending.status == 0) return has("CHECK") ? must("CHECK") : "";
    // An ADD that failed has undone what it did; a DEL or GC that failed may be called again.
    const bool undone = row_.verb == "ADD" || ending.status == 0;
    return undone && (subject_.leases || row_.verb == "DEL") ? left() : "";
  }

  // again() is what a runtime does that tries once more.
  std::string again() {
    // A runtime that has the result does not try again.
    if (row_.verb == "ADD" && !world_->result().is_null()) return has("CHECK") ? must("CHECK") : "";
    std::string problem = must(row_.verb);
    if (problem.empty() && row_.verb != "ADD") problem = must("ADD");
    if (problem.empty() && has("CHECK")) problem = must("CHECK");
    return problem;
  }

  std::string unchanged() {
    const std::string change = difference(attached_, world_->state());
    return change.empty() ? must(row_.verb) : "changed: " + change;
  }

  // leaveNothing() is the DEL that every point ends with.
  std::string leaveNothing() {
    std::string problem = must("DEL");
    if (problem.empty() && subject_.alone) {
      problem = left();
      if (problem.empty()) problem = must("GC");
    }
    return problem.empty() ? titled("left: ", difference(before_, world_->state())) : problem;
  }

  // left() is what an attachment has left. A network that was made for it stays: only GC takes it away.
  std::string left() const {
    const std::string change = difference(before_, world_->state());
    return titled("left: ", subject_.alone ? ofAttachments(change) : change);
  }

  static std::string titled(const char* title, const std::string& text) {
    return text.empty() ? "" : title + text;
  }

  std::string must(const std::string& verb) {
    const Ending ending = world_->call(verb);
    if (ending.status == 0) return "";
    return verb + (ending.hung ? " hung" : " failed: " + ending.out + ending.err);
  }

  bool has(const std::string& verb) const {
    return std::ranges::find(subject_.verbs, verb) != subject_.verbs.end();
  }

  const Subject& subject_;
  const Options& options_;
  Row& row_;
  std::unique_ptr<World> world_;
  std::string before_;    // without the container
  std::string attached_;  // with it
};

std::vector<Pass> passesOf(const Subject& subject, const std::string& verb) {
  if (onlyLooks(verb)) return {Pass::KillOnly, Pass::Errors};
  if (!subject.leases) return {Pass::KillThenDel, Pass::KillThenAgain, Pass::Errors};
  // By itself host-local refuses a second ADD, as the reference does; bridge calls its DEL first.
  if (subject.plugin == "host-local" && verb == "ADD")
    return {Pass::KillThenDel, Pass::KillThenGc, Pass::Errors};
  return {Pass::KillThenDel, Pass::KillThenGc, Pass::KillThenAgain, Pass::Errors};
}

json bridgeConf(bool masquerade) {
  return {{"bridge", "crash0"},
          {"isGateway", true},
          {"ipMasq", masquerade},
          {"ipam",
           {{"type", "host-local"},
            {"dataDir", "/run/addresses"},
            {"ranges", {{{{"subnet", "10.88.0.0/16"}}}}},
            {"routes", {{{"dst", "0.0.0.0/0"}}}}}}};
}

}  // namespace

std::string nameOf(Pass pass) {
  switch (pass) {
    case Pass::KillThenDel:
      return "killed, then DEL";
    case Pass::KillThenGc:
      return "killed, then GC";
    case Pass::KillThenAgain:
      return "killed, then again";
    case Pass::KillOnly:
      return "killed";
    case Pass::Errors:
      return "failing calls";
  }
  return {};
}

std::vector<Subject> subjects() {
  const std::vector<std::string> all = {"ADD", "CHECK", "DEL", "GC", "STATUS"};
  const std::vector<std::string> changing = {"ADD", "DEL", "GC"};
  const json hostLocal = {{"ipam",
                           {{"type", "host-local"},
                            {"dataDir", "/run/addresses"},
                            {"ranges", {{{{"subnet", "10.88.0.0/16"}}}}}}}};
  const json fixed = {{"ipam", {{"type", "static"}, {"addresses", {{{"address", "10.88.0.2/16"}}}}}}};
  return {
      {.name = "bridge", .plugin = "bridge", .conf = bridgeConf(false), .verbs = all},
      {.name = "bridge, ipMasq", .plugin = "bridge", .conf = bridgeConf(true), .verbs = all},
      {.name = "bridge, ipMasq, first on the host",
       .plugin = "bridge",
       .conf = bridgeConf(true),
       .verbs = changing,
       .alone = true},
      {.name = "bridge, host-local executed",
       .plugin = "bridge",
       .conf = bridgeConf(false),
       .verbs = changing,
       .executed = true},
      {.name = "host-local", .plugin = "host-local", .conf = hostLocal, .verbs = all},
      {.name = "static", .plugin = "static", .conf = fixed, .verbs = all, .leases = false},
      {.name = "loopback", .plugin = "loopback", .conf = json::object(), .verbs = all, .leases = false},
  };
}

std::vector<Row> conduct(const Options& options) {
  std::vector<Row> rows;
  Options shifted = options;
  const std::vector<Subject> everything = subjects();
  for (const Subject& subject : everything) {
    for (const std::string& verb : subject.verbs) {
      for (const Pass pass : passesOf(subject, verb)) {
        Row row{.subject = subject.name, .verb = verb, .pass = pass, .points = 0, .failures = {}};
        ++shifted.offset;  // rows of a sample do not all look at the same place
        if (row.title().find(options.only) == std::string::npos) continue;
        Trial(subject, shifted, row).run();
        options.progress(row.title() + ": " + std::to_string(row.points) + " points, " +
                         std::to_string(row.failures.size()) + " failed");
        rows.push_back(std::move(row));
      }
    }
  }
  return rows;
}

}  // namespace fairlead::crash
