#include "tests/bench/bed.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace fairlead::bench {
namespace {

constexpr const char* kInterface = "eth0";
// Debian 12's reference plugins know nothing newer.
constexpr const char* kVersion = "1.0.0";
constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void expect(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error(what);
}

double now() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Bed::Bed(const std::string& directory, int number, int containers)
    : directory_(std::filesystem::absolute(directory).lexically_normal()),
      name_("bench-" + std::to_string(number)),
      host_(name_) {
  expect(std::filesystem::exists(directory_ + "/bridge"), directory_ + " has no bridge plugin");
  for (int i = 0; i < containers; ++i) {
    containers_.push_back({std::make_unique<NetworkNamespace>(name_ + "-" + std::to_string(i)), {}, {}});
  }
}

std::string Bed::bridgeOf(const Network& network) { return "bench" + std::to_string(network.number); }

std::string Bed::nameOf(const Network& network) const { return name_ + "." + std::to_string(network.number); }

Command Bed::command(const std::string& verb, const Network& network, int container) const {
  nlohmann::json conf = {
      {"cniVersion", kVersion},
      {"name", nameOf(network)},
      {"type", "bridge"},
      {"bridge", bridgeOf(network)},
      {"isGateway", true},
      {"ipMasq", network.masquerade},
      {"ipam",
       {{"type", "host-local"},
        {"dataDir", "/run/" + name_},
        {"ranges", {{{{"subnet", "10." + std::to_string(88 + network.number) + ".0.0/16"}}}}},
        {"routes", {{{"dst", "0.0.0.0/0"}}}}}},
  };
  const Container& target = containers_.at(static_cast<size_t>(container));
  if (verb != "ADD" && !target.result.is_null()) conf["prevResult"] = target.result;
  return {.path = directory_ + "/bridge",
          .env = {"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + name_ + "-" + std::to_string(container),
                  "CNI_NETNS=" + target.netns->path(), std::string("CNI_IFNAME=") + kInterface,
                  "CNI_PATH=" + directory_, kPath},
          .input = conf.dump()};
}

Batch Bed::runTogether(const std::vector<Command>& commands, int width) const {
  Batch batch;
  batch.calls.resize(commands.size());
  double began = 0;
  std::atomic<size_t> next{0};
  const auto runSome = [&] {
    for (size_t i = next++; i < commands.size(); i = next++) {
      try {
        batch.calls[i] = run(commands[i]);
      } catch (const std::exception& error) {
        batch.calls[i].status = -1;
        batch.calls[i].err = error.what();
      }
    }
  };
  host_.within([&] {
    std::barrier start(width, [&]() noexcept { began = now(); });
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<size_t>(width));
    for (int i = 0; i < width; ++i) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        runSome();
      });
    }
  });
  batch.wall = now() - began;
  batch.cpu = reapOrphans();
  batch.settled = now() - began;
  for (const Finished& finished : batch.calls) batch.cpu += finished.cpu;
  return batch;
}

Batch Bed::call(const std::string& verb, const Network& network, int first, int count, int width) {
  std::vector<Command> commands;
  commands.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) commands.push_back(command(verb, network, first + i));
  Batch batch = runTogether(commands, width);
  for (const Finished& finished : batch.calls) {
    expect(finished.ok(), directory_ + ": " + verb + " failed: " + finished.out + finished.err);
  }
  const std::string rules = network.masquerade ? this->rules() : "";
  for (int i = 0; i < count; ++i) {
    const std::string* found = network.masquerade ? &rules : nullptr;
    if (verb == "ADD") checkAdded(first + i, batch.calls[static_cast<size_t>(i)], found);
    if (verb == "DEL") checkDeleted(first + i, network, found);
  }
  return batch;
}

void Bed::checkAdded(int container, const Finished& finished, const std::string* rules) {
  Container& target = containers_.at(static_cast<size_t>(container));
  target.result = nlohmann::json::parse(finished.out);
  const std::string address = target.result.at("ips").at(0).at("address");
  target.address = address.substr(0, address.find('/'));
  expect(target.netns->hasLink(kInterface), directory_ + ": ADD made no interface");
  expect(rules == nullptr || rules->find(target.address + " ") != std::string::npos,
         directory_ + ": ADD made no rule for " + target.address);
}

void Bed::checkDeleted(int container, const Network& network, const std::string* rules) const {
  const Container& target = containers_.at(static_cast<size_t>(container));
  expect(!target.netns->hasLink(kInterface), directory_ + ": DEL left the interface");
  for (const auto& interface : target.result.at("interfaces")) {
    const std::string name = interface.at("name");
    expect(name == bridgeOf(network) || name == kInterface || !host_.hasLink(name),
           directory_ + ": DEL left " + name);
  }
  expect(!std::filesystem::exists("/run/" + name_ + "/" + nameOf(network) + "/" + target.address),
         directory_ + ": DEL left " + target.address + " reserved");
  expect(rules == nullptr || rules->find(target.address + " ") == std::string::npos,
         directory_ + ": DEL left a rule for " + target.address);
}

std::string Bed::rules() const {
  Finished finished;
  host_.within([&] { finished = run({.path = "/usr/sbin/nft", .env = {}, .args = {"list", "ruleset"}}); });
  expect(finished.ok(), "nft list ruleset: " + finished.err);
  return finished.out;
}

long Bed::memoryOfAdd(const Network& network) {
  long peak = 0;
  const Command add = command("ADD", network, 0);
  host_.within([&] { peak = peakMemory(add); });
  host_.within([&] { expect(run(command("DEL", network, 0)).ok(), directory_ + ": DEL failed"); });
  return peak;
}

Command Bed::version() const {
  return {
      .path = directory_ + "/bridge", .env = {"CNI_COMMAND=VERSION"}, .input = R"({"cniVersion":"1.0.0"})"};
}

Command Bed::incomplete() const {
  return {.path = directory_ + "/bridge",
          .env = {"CNI_COMMAND=ADD", "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_PATH=" + directory_},
          .input = R"({"cniVersion":"1.0.0","name":"incomplete","type":"bridge"})"};
}

std::string Bed::build() const {
  const std::string about = run({.path = directory_ + "/bridge", .env = {kPath}}).err;
  const std::string line = about.substr(0, about.find('\n'));
  return line.substr(line.rfind(' ') + 1);
}

}  // namespace fairlead::bench
