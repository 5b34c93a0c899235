#include "plugin/plan.h"

#include <exception>

#include "plugin/record.h"
#include "plugin/trace.h"

namespace fairlead::plugin {
namespace {

std::string words(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown failure";
  }
}

// withRemainder() adds to a failure what could not be undone after it.
CniError withRemainder(const CniError& error, const std::vector<std::string>& remainder) {
  std::string details = error.details();
  for (const std::string& line : remainder)
    details += (details.empty() ? "" : "; ") + ("left behind: " + line);
  return {error.code(), error.msg(), details};
}

}  // namespace

netns::Socket& World::host() {
  if (!hostSocket_) hostSocket_ = netns::Socket::open();
  return *hostSocket_;
}

netns::Socket& World::container() {
  if (!containerSocket_) containerSocket_ = netns::Socket::open(*container_);
  return *containerSocket_;
}

const netns::Link* World::find(const std::string& name, bool fresh) {
  if (const auto known = links_.find(name); known != links_.end() && !fresh) return &known->second;
  std::optional<netns::Link> link = netns::link::find(host(), {.name = name});
  if (!link) {
    links_.erase(name);
    return nullptr;
  }
  return &learn(std::move(*link));
}

bool World::alone() const { return RecordStore::alone(share_); }

const netns::Link& World::learn(netns::Link link) {
  std::string name = link.name;
  return links_.insert_or_assign(std::move(name), std::move(link)).first->second;
}

void Plan::apply(World& world) {
  std::vector<Step*> applied;
  applied.reserve(steps_.size());  // what has been applied must not fail to be noted
  try {
    for (const auto& step : steps_) {
      const TraceSpan span(step->what());
      step->apply(world);
      applied.push_back(step.get());
    }
  } catch (const CniError& error) {
    throw withRemainder(error, undo(world, applied));
  } catch (const netns::Error& error) {
    throw withRemainder(CniError::internal(error.what()), undo(world, applied));
  } catch (...) {
    undo(world, applied);
    throw;
  }
}

std::vector<std::string> Plan::undo(World& world) {
  std::vector<Step*> all;
  for (const auto& step : steps_) all.push_back(step.get());
  return undo(world, all);
}

std::vector<std::string> Plan::undo(World& world, const std::vector<Step*>& steps) {
  std::vector<std::string> errors;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    try {
      const TraceSpan span((*step)->what());
      (*step)->undo(world);
    } catch (...) {
      errors.push_back(words(std::current_exception()));
    }
  }
  return errors;
}

std::vector<Drift> Plan::verify(World& world) const {
  std::vector<Drift> drift;
  for (const auto& step : steps_) step->verify(world, drift);
  return drift;
}

std::vector<std::string> Plan::explain() const {
  std::vector<std::string> lines;
  for (const auto& step : steps_) step->explain(lines);
  return lines;
}

CniError failure(std::string_view prefix, const netns::Error& error) {
  return CniError::internal(std::string(prefix) + ": " + netns::errnoText(error.code()), error.what());
}

}  // namespace fairlead::plugin
