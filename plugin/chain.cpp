// fairlead: a list's plugins as one plugin, `{"type": "fairlead", "plugins": [...]}`.
//
// A runtime executes a binary per plugin and verb; this way it executes one. The entries are those of a
// configuration list (CNI spec, section 1) and are treated as a runtime treats them (section 4): ADD and
// CHECK in order, each ADD with the result of the one before, DEL in reverse order, and an ADD that fails in
// the middle undoes what came before. An entry that CNI_PATH resolves to another binary is executed as usual.
#include <algorithm>
#include <optional>
#include <string>
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

// kPassedOn are members that belong to the call and not to a plugin.
constexpr const char* kPassedOn[] = {"cni.dev/valid-attachments", "cni.dev/attachments"};

struct Member {
  std::string type;
  const Json* conf;
};

std::vector<Member> membersOf(const Call& call) {
  const auto fail = [](const std::string& what) -> CniError {
    return {Code::InvalidConfig, "invalid chain: " + what};
  };
  const Fields fields(call.conf, "NetConf");
  std::vector<Member> members;
  for (const Json* conf : fields.list("plugins")) {
    const std::string place = "plugins[" + std::to_string(members.size()) + "]";
    if (!conf->is_object()) throw fail(place + " must be an object");
    std::string type = Fields(*conf, "NetConf").string("type");
    if (type.empty()) throw fail(place + ".type must not be empty: it names the plugin");
    if (type == kChain) throw fail(place + R"(.type must not be "fairlead": a chain has no chains in it)");
    members.push_back({std::move(type), conf});
  }
  if (members.empty()) throw fail("plugins must have at least one entry");
  return members;
}

// granted() is what the runtime gives for the capabilities that the member asks for.
Json granted(const Json& member, const Json* runtimeConfig) {
  Json some = Json::object();
  const auto wanted = member.find("capabilities");
  if (runtimeConfig == nullptr || !runtimeConfig->is_object() || wanted == member.end() ||
      !wanted->is_object())
    return some;
  for (const auto& [key, value] : runtimeConfig->items()) {
    const auto asked = wanted->find(key);
    if (asked != wanted->end() && *asked == true) some[key] = value;
  }
  return some;
}

// memberCall() is the call as the member gets it, with prevResult where there is one.
Call memberCall(const Call& call, const Member& member, const char* verb, const Json* prevResult) {
  Call own{.env = call.env,
           .input = {},
           .conf = *member.conf,
           .name = call.name,
           .type = member.type,
           .version = call.version};
  own.env.command = verb;
  own.conf["name"] = call.name;
  own.conf["cniVersion"] = call.version;
  for (const char* key : kPassedOn)
    if (const auto found = call.conf.find(key); found != call.conf.end()) own.conf[key] = *found;
  if (prevResult != nullptr) own.conf["prevResult"] = *prevResult;
  const auto runtimeConfig = call.conf.find("runtimeConfig");
  Json capabilities = granted(*member.conf, runtimeConfig != call.conf.end() ? &*runtimeConfig : nullptr);
  if (!capabilities.empty()) own.conf["runtimeConfig"] = std::move(capabilities);
  own.input = dumpCompact(own.conf);
  return own;
}

const Json* givenResult(const Call& call) {
  const auto found = call.conf.find("prevResult");
  return found != call.conf.end() && !found->is_null() ? &*found : nullptr;
}

// undo() sends DEL to the members before `end`, last first, and returns what went wrong.
std::string undo(const Call& call, const std::vector<Member>& members, size_t end, const Json* result) {
  std::vector<std::string> errors;
  for (size_t i = end; i-- > 0;) {
    try {
      Delegate::find(members[i].type, call.env.path).del(memberCall(call, members[i], "DEL", result));
    } catch (const std::exception& error) {
      errors.push_back("undoing " + members[i].type + ": " + error.what());
    }
  }
  return join(errors, "; ");
}

// addOne() leaves a built-in plugin's record open until the chain's result is delivered. `began` says whether
// there may be something to undo when it throws.
Result addOne(const Call& call, bool& began) {
  const Delegate delegate = Delegate::find(call.type, call.env.path);
  if (delegate.builtin() != nullptr) return dispatch(*delegate.builtin(), call).value();
  began = true;
  return delegate.add(call);
}

class Chain : public Plugin {
 public:
  std::string_view type() const override { return kChain; }

  Result add(const Call& call) const override {
    const std::vector<Member> members = membersOf(call);
    std::optional<Result> result;
    Json previous = givenResult(call) != nullptr ? *givenResult(call) : Json();
    for (size_t i = 0; i < members.size(); ++i) {
      const Json* given = previous.is_null() ? nullptr : &previous;
      bool began = false;
      try {
        result = addOne(memberCall(call, members[i], "ADD", given), began);
        began = true;  // what it did is there, whether or not its result can be passed on
        previous = result->toJson(call.version);
      } catch (const CniError& error) {
        const std::string more = undo(call, members, began ? i + 1 : i, given);
        if (more.empty()) throw;
        throw CniError(error.code(), error.msg(), error.details() + "; " + more);
      }
    }
    return *std::move(result);
  }

  void delivered(const Call& call) const override {
    for (const Member& member : membersOf(call)) {
      const Delegate delegate = Delegate::find(member.type, call.env.path);
      if (delegate.builtin() != nullptr)
        delegate.builtin()->delivered(memberCall(call, member, "ADD", nullptr));
    }
  }

  void del(const Call& call) const override {
    std::vector<Member> members = membersOf(call);
    std::ranges::reverse(members);
    forAll(call, members, "DEL", &Delegate::del);
  }

  void check(const Call& call) const override {
    for (const Member& member : membersOf(call))
      Delegate::find(member.type, call.env.path).check(memberCall(call, member, "CHECK", givenResult(call)));
  }

  void gc(const Call& call) const override { forAll(call, membersOf(call), "GC", &Delegate::gc); }

  void status(const Call& call) const override {
    for (const Member& member : membersOf(call))
      Delegate::find(member.type, call.env.path).status(memberCall(call, member, "STATUS", nullptr));
  }

  Explanation explain(const Call& call) const override {
    Explanation all;
    Json previous = givenResult(call) != nullptr ? *givenResult(call) : Json();
    for (const Member& member : membersOf(call)) {
      const Delegate delegate = Delegate::find(member.type, call.env.path);
      const Json* given = previous.is_null() ? nullptr : &previous;
      Explanation one = delegate.explain(memberCall(call, member, "ADD", given));
      for (std::string& line : one.lines) all.lines.push_back(std::move(line));
      // What a foreign plugin would make of the result, it alone knows.
      if (delegate.builtin() == nullptr) continue;
      all.result = std::move(one.result);
      previous = all.result.toJson(call.version);
    }
    return all;
  }

 private:
  // forAll() goes on after a failure, and then throws the first with the others in its details.
  static void forAll(const Call& call, const std::vector<Member>& members, const char* verb,
                     void (Delegate::*carryOut)(const Call&) const) {
    std::optional<CniError> first;
    std::vector<std::string> others;
    for (const Member& member : members) {
      try {
        const Delegate delegate = Delegate::find(member.type, call.env.path);
        (delegate.*carryOut)(memberCall(call, member, verb, givenResult(call)));
      } catch (const CniError& error) {
        first ? others.push_back(member.type + ": " + error.what()) : void(first = error);
      }
    }
    if (!first) return;
    if (others.empty()) throw CniError(*first);
    others.insert(others.begin(), first->details());
    throw CniError(first->code(), first->msg(), join(others, "; "));
  }
};

}  // namespace

const Plugin& chainPlugin() {
  static const Chain kPlugin;
  return kPlugin;
}

}  // namespace fairlead::plugin
