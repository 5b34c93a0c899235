// fairlead: a list's plugins as one plugin, `{"type": "fairlead", "plugins": [...]}`.
//
// A runtime executes a binary per plugin and verb; this way it executes one. The entries are those of a
// configuration list (CNI spec, section 1) and are treated as a runtime treats them (section 4): ADD and
// CHECK in order, each ADD with the result of the one before, DEL in reverse order, and an ADD that fails in
// the middle undoes what it has done before. An entry that CNI_PATH resolves to another binary is executed as
// usual.
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin/delegate.h"
#include "plugin/error.h"
#include "plugin/network_list.h"
#include "plugin/registry.h"
#include "plugin/skel.h"
#include "plugin/text.h"

namespace fairlead::plugin {
namespace {

NetworkList listOf(const Call& call) {
  try {
    return NetworkList::ofChain(call);
  } catch (const ConfigError& error) {
    throw CniError(Code::InvalidConfig, error.what());
  }
}

// capabilityArgsOf() is what the runtime gave the chain. Each member gets of it what it asks for.
Json capabilityArgsOf(const Call& call) {
  const auto given = call.conf.find("runtimeConfig");
  return given != call.conf.end() && given->is_object() ? *given : Json::object();
}

// Members are the plugins of a chain, and the calls that they get.
class Members {
 public:
  explicit Members(const Call& call)
      : list_(listOf(call)), env_(call.env), capabilityArgs_(capabilityArgsOf(call)) {}

  size_t size() const { return list_.plugins.size(); }
  const std::string& type(size_t i) const { return list_.plugins[i].type; }
  Delegate find(size_t i) const { return Delegate::find(type(i), env_.path); }

  Call call(size_t i, std::string_view verb, const std::optional<Result>& previous) const {
    return with(verb, list_.input(i, previous ? &*previous : nullptr, capabilityArgs_));
  }
  Call statusCall(size_t i) const { return with("STATUS", list_.statusInput(i)); }
  Call gcCall(size_t i, const std::vector<Attachment>& valid) const {
    return with("GC", list_.gcInput(i, valid));
  }

 private:
  Call with(std::string_view verb, std::string input) const {
    Environment env = env_;
    env.command = verb;
    return makeCall(env, std::move(input));
  }

  NetworkList list_;
  Environment env_;
  Json capabilityArgs_;
};

// Failures collects what goes wrong in a verb that does not stop at the first error.
class Failures {
 public:
  template <class F>
  void attempt(const std::string& what, const F& action) {
    try {
      action();
    } catch (const CniError& error) {
      add(what, error);
    }
  }
  void add(const std::string& what, const CniError& error) {
    if (!first_)
      first_ = error;
    else
      others_.push_back(what + ": " + error.what());
  }
  // throwIfAny() throws the first, with the others in its details.
  void throwIfAny() const {
    if (!first_) return;
    std::vector<std::string> details = others_;
    if (!first_->details().empty()) details.insert(details.begin(), first_->details());
    throw CniError(first_->code(), first_->msg(), join(details, "; "));
  }

 private:
  std::optional<CniError> first_;
  std::vector<std::string> others_;
};

// undo() sends DEL to the members before `end`, last first, but not to those in `spared`.
void undo(const Members& members, size_t end, const std::optional<Result>& result, Failures& failures,
          const std::set<size_t>& spared = {}) {
  for (size_t i = end; i-- > 0;) {
    if (spared.contains(i)) continue;
    failures.attempt("undoing " + members.type(i),
                     [&] { members.find(i).del(members.call(i, "DEL", result)); });
  }
}

// lastResult() is what the ADD ended with, for a DEL: a runtime gives it from 0.4.0 on, and one that cannot
// be read counts as none.
std::optional<Result> lastResult(const Call& call) {
  if (!atLeast(call.version, kFirstWithResultInDel)) return std::nullopt;
  try {
    return call.prevResult();
  } catch (const CniError&) {
    return std::nullopt;
  }
}

// addOne() leaves a built-in plugin's record open until the chain's result is delivered. `began` says whether
// there may be something to undo when it throws.
Result addOne(const Delegate& delegate, const Call& call, bool& began) {
  began = delegate.builtin() == nullptr;  // ours undo themselves
  Result result = began ? delegate.add(call) : dispatch(*delegate.builtin(), call).value();
  began = true;
  static_cast<void>(result.toJson(call.version));  // it is there, whether or not it can be passed on
  return result;
}

class Chain : public Plugin {
 public:
  std::string_view type() const override { return kChain; }

  Result add(const Call& call) const override {
    const Members members(call);
    std::optional<Result> result = call.prevResult();
    std::set<size_t> spared;  // an ADD that is refused because there was one before must not harm that one
    for (size_t i = 0; i < members.size(); ++i) {
      bool began = false;
      try {
        const Delegate delegate = members.find(i);
        const Call own = members.call(i, "ADD", result);
        if (delegate.alreadyDone(own)) spared.insert(i);
        result = addOne(delegate, own, began);
      } catch (const CniError& error) {
        Failures failures;
        failures.add(members.type(i), error);
        undo(members, began ? i + 1 : i, result, failures, spared);
        failures.throwIfAny();
      }
    }
    return *std::move(result);
  }

  void delivered(const Call& call) const override {
    const Members members(call);
    for (size_t i = 0; i < members.size(); ++i) {
      const Delegate delegate = members.find(i);
      if (delegate.builtin() != nullptr) delegate.builtin()->delivered(members.call(i, "ADD", {}));
    }
  }

  void del(const Call& call) const override {
    const Members members(call);
    Failures failures;
    undo(members, members.size(), lastResult(call), failures);
    failures.throwIfAny();
  }

  void check(const Call& call) const override {
    const Members members(call);
    const std::optional<Result> result = call.prevResult();
    for (size_t i = 0; i < members.size(); ++i) members.find(i).check(members.call(i, "CHECK", result));
  }

  void gc(const Call& call) const override {
    const Members members(call);
    const std::vector<Attachment> valid = call.validAttachments();
    Failures failures;
    for (size_t i = 0; i < members.size(); ++i)
      failures.attempt(members.type(i), [&] { members.find(i).gc(members.gcCall(i, valid)); });
    failures.throwIfAny();
  }

  void status(const Call& call) const override {
    const Members members(call);
    for (size_t i = 0; i < members.size(); ++i) members.find(i).status(members.statusCall(i));
  }

  Explanation explain(const Call& call) const override {
    const Members members(call);
    Explanation all;
    std::optional<Result> result = call.prevResult();
    for (size_t i = 0; i < members.size(); ++i) {
      const Delegate delegate = members.find(i);
      Explanation one = delegate.explain(members.call(i, "ADD", result));
      for (std::string& line : one.lines) all.lines.push_back(std::move(line));
      // What a foreign plugin would make of the result, it alone knows.
      if (delegate.builtin() != nullptr) result = all.result = std::move(one.result);
    }
    return all;
  }
};

}  // namespace

const Plugin& chainPlugin() {
  static const Chain kPlugin;
  return kPlugin;
}

}  // namespace fairlead::plugin
