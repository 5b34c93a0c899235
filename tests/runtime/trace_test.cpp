// FAIRLEAD_TRACE: the file that a run leaves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/runtime.h"
#include "tests/runtime/child.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

constexpr int kThreads = 1;
constexpr int kPs = 2;

// Event is one of the file's, a line each.
struct Event {
  std::string line;

  // field() is the text behind "key": without quotes; "" when there is none.
  [[nodiscard]] std::string field(const std::string& key) const {
    size_t at = line.find("\"" + key + "\":");
    if (at == std::string::npos) return "";
    at += key.size() + 3;
    const bool quoted = line[at] == '"';
    return line.substr(at + quoted, line.find_first_of(quoted ? "\"" : ",}", at + 1) - at - quoted);
  }
  [[nodiscard]] double number(const std::string& key) const { return std::stod(field(key)); }
  [[nodiscard]] bool is(const char* phase, int group) const {
    return field("ph") == phase && field("pid") == std::to_string(group);
  }
};

class TraceTest : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    std::string name = testing::TempDir() + "trace-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    file_ = directory_ / "trace.json";
  }
  void TearDown() override {
    std::filesystem::remove_all(directory_);
    RuntimeTest::TearDown();
  }

  Outcome run(const std::string& way) {
    setenv("FAIRLEAD_TRACE", file_.c_str(), 1);
    Outcome outcome = runProgram({PROGRAM, way});
    unsetenv("FAIRLEAD_TRACE");
    return outcome;
  }

  // read() checks what every file must be: one object per line within the frame of one array.
  [[nodiscard]] std::vector<Event> read() const {
    std::ifstream in(file_);
    std::vector<Event> events;
    std::string line;
    std::getline(in, line);
    EXPECT_TRUE(line.starts_with(R"({"displayTimeUnit":"ns","otherData":{"dropped":)")) << line;
    EXPECT_TRUE(line.ends_with(R"(},"traceEvents":[)")) << line;
    while (std::getline(in, line) && line != "]}") {
      if (line.ends_with(',')) line.pop_back();
      EXPECT_TRUE(line.starts_with('{') && line.ends_with('}')) << line;
      EXPECT_EQ(std::count(line.begin(), line.end(), '"') % 2, 0) << line;
      events.push_back({line});
    }
    EXPECT_EQ(line, "]}");
    return events;
  }

  static bool any(const std::vector<Event>& events, const std::string& text) {
    return std::any_of(events.begin(), events.end(),
                       [&](const Event& e) { return e.line.find(text) != std::string::npos; });
  }

  std::filesystem::path directory_;
  std::filesystem::path file_;
};

// Who made a goroutine: where nothing is inlined, it is WaitGroup::go() of its function.
#if defined(__OPTIMIZE__)
constexpr const char* kMaker = "schedule()+0x";
#else
constexpr const char* kMaker = "schedule()::{lambda()";
#endif

TEST_F(TraceTest, EverythingThatHappensIsInTheFile) {
  EXPECT_EQ(run("schedule").status, 0);
  const std::vector<Event> events = read();
  for (const char* what :
       {R"("name":"syscall")", R"("name":"stop the world")", R"("name":"hand-off to locked G)",
        R"("name":"go G)", R"("name":"ready G)", R"("end":"chan )", R"("end":"ended")", R"("end":"sleep")",
        kMaker, R"("latency_us":)", R"("name":"P0")"}) {
    EXPECT_TRUE(any(events, what)) << what;
  }
}

// On a P there is one goroutine at a time, and on a thread too, but for what it does inside.
TEST_F(TraceTest, SlicesOfALaneDoNotOverlap) {
  EXPECT_EQ(run("schedule").status, 0);
  std::map<std::string, std::vector<std::pair<double, double>>> lanes;
  for (const Event& e : read()) {
    const bool goroutine = e.field("name").starts_with("G");
    if (!goroutine || !(e.is("X", kThreads) || e.is("X", kPs))) continue;
    EXPECT_GE(e.number("dur"), 0) << e.line;
    lanes[e.field("pid") + "." + e.field("tid")].emplace_back(e.number("ts"),
                                                              e.number("ts") + e.number("dur"));
  }
  EXPECT_GE(lanes.size(), 2U);
  for (auto& [lane, slices] : lanes) {
    std::sort(slices.begin(), slices.end());
    for (size_t i = 1; i < slices.size(); ++i)
      EXPECT_LE(slices[i - 1].second, slices[i].first + 0.001) << lane;
  }
}

TEST_F(TraceTest, EveryArrowHasABeginning) {
  EXPECT_EQ(run("schedule").status, 0);
  const std::vector<Event> events = read();
  std::map<std::string, double> begun;
  for (const Event& e : events) {
    if (e.is("s", kThreads)) begun[e.field("id")] = e.number("ts");
  }
  int arrows = 0;
  for (const Event& e : events) {
    if (!e.is("f", kThreads)) continue;
    ++arrows;
    const auto from = begun.find(e.field("id"));
    ASSERT_NE(from, begun.end()) << e.line;
    EXPECT_LE(from->second, e.number("ts"));
  }
  EXPECT_GT(arrows, 10);
}

TEST_F(TraceTest, AProgramThatDiesLeavesItsTrace) {
  EXPECT_EQ(run("deadlock").status, 2);
  EXPECT_TRUE(any(read(), R"("end":"chan receive")"));
  EXPECT_EQ(run("panic").status, 2);
  EXPECT_TRUE(any(read(), R"("end":"end of the trace")"));
}

#if !defined(__SANITIZE_THREAD__)  // half a million hand-offs take it a minute
TEST_F(TraceTest, WhatDoesNotFitIsCounted) {
  const Outcome outcome = run("schedule-for-long");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err.find(" events did not fit into the trace\n"), std::string::npos) << outcome.err;
  EXPECT_LT(std::filesystem::file_size(file_), 400U << 20U);
  std::string head;
  std::getline(std::ifstream(file_), head);
  EXPECT_EQ(head.find(R"("dropped":0})"), std::string::npos) << head;
}
#endif

TEST_F(TraceTest, AFileThatCannotBeWrittenIsSaid) {
  file_ = directory_ / "no" / "trace.json";
  const Outcome outcome = run("schedule");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "runtime: cannot write the trace to " + file_.string() + "\n");
}

TEST_F(TraceTest, AProgramWithoutGoroutinesLeavesNone) {
  run("quit-alone");
  EXPECT_FALSE(std::filesystem::exists(file_));
}

}  // namespace
}  // namespace fairlead::runtime
