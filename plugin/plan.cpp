#include "plugin/plan.h"

#include <algorithm>
#include <exception>
#include <mutex>

#include "plugin/record.h"
#include "plugin/trace.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"

namespace fairlead::plugin {
namespace {

// Besides is the steps that go on beside the main line, each on a goroutine of its own: on the general pool,
// whose threads are in the host's namespace.
class Besides {
 public:
  explicit Besides(World& world) : world_(world) {}
  ~Besides() { pending_.wait(); }
  Besides(const Besides&) = delete;
  Besides& operator=(const Besides&) = delete;

  void start(Step& step) {
    pending_.add(1);
    runtime::go([this, &step] {
      try {
        const TraceSpan span(step.what());
        step.apply(world_);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        failed_.push_back(&step);
      }
      pending_.done();
    });
  }
  // wait() returns the first failure, if any.
  std::exception_ptr wait() {
    pending_.wait();
    return error_;
  }
  bool failed(const Step& step) const { return std::ranges::find(failed_, &step) != failed_.end(); }

 private:
  World& world_;
  runtime::WaitGroup pending_;
  runtime::Mutex mutex_;
  std::exception_ptr error_;
  std::vector<const Step*> failed_;
};

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
  std::exception_ptr error;
  {
    Besides besides(world);
    try {
      for (const auto& step : steps_) {
        if (step->beside()) {
          besides.start(*step);
        } else {
          const TraceSpan span(step->what());
          step->apply(world);
        }
        applied.push_back(step.get());
      }
    } catch (...) {
      error = std::current_exception();
    }
    const std::exception_ptr besideError = besides.wait();
    if (!error) error = besideError;
    std::erase_if(applied, [&](Step* step) { return besides.failed(*step); });
  }
  if (!error) return;
  const std::vector<std::string> remainder = undo(world, applied);
  try {
    std::rethrow_exception(error);
  } catch (const CniError& e) {
    throw withRemainder(e, remainder);
  } catch (const netns::Error& e) {
    throw withRemainder(CniError::internal(e.what()), remainder);
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
