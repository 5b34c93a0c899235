#include "tests/runtime/census.h"

#include <unistd.h>

#include <array>
#include <mutex>

#include "runtime/runtime.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

std::string linkText(const std::string& path) {
  std::array<char, 256> text;
  const ssize_t n = readlink(path.c_str(), text.data(), text.size());
  return n > 0 ? std::string(text.data(), static_cast<size_t>(n)) : std::string();
}

}  // namespace

Whereabouts whereaboutsOf(int thread) {
  const std::string task = "/proc/self/task/" + std::to_string(thread);
  return {.net = linkText(task + "/ns/net"),
          .uts = linkText(task + "/ns/uts"),
          .mnt = linkText(task + "/ns/mnt"),
          .cwd = linkText(task + "/cwd")};
}

void Census::leaves(int thread) {
  const std::lock_guard guard(mutex_);
  away_.insert(thread);
}

void Census::returns(int thread) {
  const std::lock_guard guard(mutex_);
  away_.erase(thread);
}

std::map<int, Whereabouts> Census::strays() {
  std::map<int, Whereabouts> found;
  for (const int thread : osThreads()) {
    // Held from the look until the list has been asked: nobody can come home in between.
    const std::lock_guard guard(mutex_);
    if (Whereabouts at = whereaboutsOf(thread); at.known() && at != home_ && !away_.contains(thread))
      found.emplace(thread, std::move(at));
  }
  return found;
}

std::set<int> Census::departed() {
  const std::set<int> alive = osThreads();
  const std::lock_guard guard(mutex_);
  std::set<int> found;
  for (const int thread : away_)
    if (alive.contains(thread)) found.insert(thread);
  return found;
}

}  // namespace fairlead::runtime
