#include "plugin/list_runner.h"

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "netns/error.h"
#include "plugin/skel.h"
#include "plugin/trace.h"
#include "plugin/version.h"

namespace fairlead::plugin {
namespace {

constexpr Version kFirstWithCheck{0, 4, 0};
constexpr Version kFirstWithGc{1, 1, 0};
constexpr Version kFirstWithStatus{1, 1, 0};

std::string describe(const std::vector<PluginFailure>& failures) {
  std::string text;
  for (const PluginFailure& failure : failures) {
    if (!text.empty()) text += '\n';
    text += "plugins[" + std::to_string(failure.index) + "] " + failure.type + ": " + failure.command + ": " +
            failure.error.what();
  }
  return text;
}

// attempt() runs one plugin's part of a verb and returns its refusal, if it refuses.
std::optional<PluginFailure> attempt(const NetworkList& list, size_t index, const std::string& command,
                                     const std::function<void()>& call) {
  const std::string& type = list.plugins[index].type;
  const std::string what = type + " " + command;
  const TraceSpan span(what);
  try {
    call();
    return std::nullopt;
  } catch (const CniError& error) {
    return PluginFailure{index, type, command, error};
  } catch (const netns::Error& error) {
    return PluginFailure{index, type, command, CniError::internal(error.what())};
  } catch (const JsonError& error) {
    return PluginFailure{index, type, command, CniError::internal(error.what())};
  }
}

void append(std::vector<PluginFailure>& failures, std::optional<PluginFailure> failure) {
  if (failure) failures.push_back(*std::move(failure));
}

void throwIfAny(std::vector<PluginFailure> failures) {
  if (!failures.empty()) throw ListError(std::move(failures));
}

}  // namespace

ListError::ListError(std::vector<PluginFailure> failures, bool rolledBack)
    : failures_(std::move(failures)), rolledBack_(rolledBack), what_(describe(failures_)) {}

ListRunner::ListRunner(const NetworkList& list, std::string cniPath, const ResultCache& cache)
    : list_(list), cniPath_(std::move(cniPath)), cache_(cache) {}

Delegate ListRunner::find(size_t index) const { return Delegate::find(list_.plugins[index].type, cniPath_); }

Environment ListRunner::environment(std::string_view command, const RuntimeConf& conf) const {
  return {.command = std::string(command),
          .containerId = conf.containerId,
          .netns = conf.netns,
          .ifname = conf.ifname,
          .args = conf.args,
          .path = cniPath_,
          .netnsOverride = {}};
}

// cachedResult() is what the ADD ended with. One that cannot be read any more is as good as none.
std::optional<Result> ListRunner::cachedResult(const RuntimeConf& conf) const {
  if (!atLeast(list_.cniVersion, kFirstWithResultInDel)) return std::nullopt;
  const auto cached = cache_.find({list_.name, conf.containerId, conf.ifname});
  if (!cached) return std::nullopt;
  try {
    return Result::fromJson(cached->result, list_.cniVersion);
  } catch (const CniError&) {
    return std::nullopt;
  } catch (const JsonError&) {
    return std::nullopt;
  }
}

Result ListRunner::add(const RuntimeConf& conf) const {
  std::optional<Result> result;
  std::set<size_t> spared;
  for (size_t i = 0; i < list_.plugins.size(); ++i) {
    bool undoesItself = true;  // a plugin that was never started has nothing to undo
    auto failure = attempt(list_, i, "ADD", [&] {
      const Delegate delegate = find(i);
      const std::string input = list_.input(i, result ? &*result : nullptr, conf.capabilityArgs);
      const Call call = makeCall(environment("ADD", conf), input);
      undoesItself = delegate.builtin() != nullptr;
      if (delegate.alreadyDone(call)) spared.insert(i);
      result = delegate.add(call);
    });
    if (!failure) continue;
    const size_t end = undoesItself ? i : i + 1;
    std::vector<PluginFailure> failures = {*std::move(failure)};
    for (PluginFailure& other : undo(end, conf, result ? &*result : nullptr, spared))
      failures.push_back(std::move(other));
    throw ListError(std::move(failures), end > 0);
  }
  try {
    cache_.write({.attachment = {list_.name, conf.containerId, conf.ifname},
                  .netns = conf.netns,
                  .config = list_.text,
                  .args = conf.args,
                  .capabilityArgs = conf.capabilityArgs,
                  .result = result->toJson(list_.cniVersion)});
  } catch (...) {  // nobody would know of the attachment, and nobody could check it
    undo(list_.plugins.size(), conf, &*result, spared);
    throw;
  }
  return *result;
}

std::vector<PluginFailure> ListRunner::undo(size_t end, const RuntimeConf& conf, const Result* result,
                                            const std::set<size_t>& spared) const {
  std::vector<PluginFailure> failures;
  for (size_t i = end; i-- > 0;) {
    if (spared.contains(i)) continue;
    append(failures, attempt(list_, i, "DEL", [&] {
             find(i).del(makeCall(environment("DEL", conf), list_.input(i, result, conf.capabilityArgs)));
           }));
  }
  return failures;
}

void ListRunner::del(const RuntimeConf& conf) const {
  const std::optional<Result> result = cachedResult(conf);
  throwIfAny(undo(list_.plugins.size(), conf, result ? &*result : nullptr));
  cache_.remove({list_.name, conf.containerId, conf.ifname});
}

void ListRunner::check(const RuntimeConf& conf) const {
  if (!atLeast(list_.cniVersion, kFirstWithCheck)) {
    throw CniError(Code::IncompatibleVersion, "configuration version " + plugin::quoted(list_.cniVersion) +
                                                  " does not support the CHECK command");
  }
  if (list_.disableCheck) return;
  const std::optional<Result> result = cachedResult(conf);
  for (size_t i = 0; i < list_.plugins.size(); ++i) {
    auto failure = attempt(list_, i, "CHECK", [&] {
      const std::string input = list_.input(i, result ? &*result : nullptr, conf.capabilityArgs);
      find(i).check(makeCall(environment("CHECK", conf), input));
    });
    if (failure) throw ListError({*std::move(failure)});
  }
}

void ListRunner::status() const {
  if (!atLeast(list_.cniVersion, kFirstWithStatus)) return;
  for (size_t i = 0; i < list_.plugins.size(); ++i) {
    auto failure = attempt(list_, i, "STATUS", [&] {
      find(i).status(makeCall(environment("STATUS", {}), list_.statusInput(i)));
    });
    if (failure) throw ListError({*std::move(failure)});
  }
}

void ListRunner::gc(const std::vector<Attachment>& valid) const {
  const bool specified = atLeast(list_.cniVersion, kFirstWithGc);
  std::vector<PluginFailure> failures;
  for (size_t i = 0; i < list_.plugins.size(); ++i) {
    append(failures, attempt(list_, i, "GC", [&] {
             const Delegate delegate = find(i);
             if (!specified && delegate.builtin() == nullptr) return;
             delegate.gc(makeCall(environment("GC", {}), list_.gcInput(i, valid)));
           }));
  }
  throwIfAny(std::move(failures));
}

Result ListRunner::explain(const RuntimeConf& conf, std::vector<PluginPlan>& plans) const {
  Result result;
  for (size_t i = 0; i < list_.plugins.size(); ++i) {
    auto failure = attempt(list_, i, "ADD", [&] {
      const Delegate delegate = find(i);
      const std::string input = list_.input(i, i == 0 ? nullptr : &result, conf.capabilityArgs);
      Explanation explanation = delegate.explain(makeCall(environment("ADD", conf), input));
      plans.push_back({list_.plugins[i].type, delegate.path(), delegate.builtin() != nullptr,
                       std::move(explanation.lines)});
      // What a foreign plugin would make of the result, it alone knows.
      if (delegate.builtin() != nullptr) result = std::move(explanation.result);
    });
    if (failure) throw ListError({*std::move(failure)});
  }
  return result;
}

}  // namespace fairlead::plugin
