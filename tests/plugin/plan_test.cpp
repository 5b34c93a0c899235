#include "plugin/plan.h"

#include <gtest/gtest.h>

namespace fairlead::plugin {
namespace {

using Log = std::vector<std::string>;

// A step that writes down what is asked of it.
class Noted : public Step {
 public:
  struct Behaviour {
    bool failApply = false;
    bool failUndo = false;
  };
  Noted(Log& log, std::string name, Behaviour behaviour)
      : log_(log), name_(std::move(name)), behaviour_(behaviour) {}

  std::string_view what() const override { return name_; }
  void apply(World&) override {
    if (behaviour_.failApply) throw CniError(Code::TryAgainLater, name_ + " failed", "because");
    log_.push_back("apply " + name_);
  }
  void undo(World&) override {
    if (behaviour_.failUndo) throw CniError::internal(name_ + " stays");
    log_.push_back("undo " + name_);
  }
  void verify(World&, std::vector<Drift>& drift) const override { drift.push_back({name_, "w", "f", "m"}); }
  void explain(std::vector<std::string>& lines) const override { lines.push_back(name_); }

 private:
  Log& log_;
  std::string name_;
  Behaviour behaviour_;
};

Plan planOf(Log& log, const std::vector<std::pair<std::string, Noted::Behaviour>>& steps) {
  Plan plan;
  for (const auto& [name, behaviour] : steps) plan.add(std::make_unique<Noted>(log, name, behaviour));
  return plan;
}

TEST(Plan, AppliesInOrder) {
  Log log;
  World world(nullptr);
  planOf(log, {{"a", {}}, {"b", {}}, {"c", {}}}).apply(world);
  EXPECT_EQ(log, (Log{"apply a", "apply b", "apply c"}));
}

TEST(Plan, FailureUndoesWhatWasDoneInReverseAndKeepsItsCode) {
  Log log;
  World world(nullptr);
  Plan plan = planOf(log, {{"a", {}}, {"b", {}}, {"c", {.failApply = true}}, {"d", {}}});
  try {
    plan.apply(world);
    FAIL() << "apply() must throw";
  } catch (const CniError& error) {
    EXPECT_EQ(error.code(), Code::TryAgainLater);
    EXPECT_EQ(error.msg(), "c failed");
    EXPECT_EQ(error.details(), "because");
  }
  EXPECT_EQ(log, (Log{"apply a", "apply b", "undo b", "undo a"}));
}

TEST(Plan, WhatCannotBeUndoneIsTold) {
  Log log;
  World world(nullptr);
  Plan plan = planOf(log, {{"a", {}}, {"b", {.failUndo = true}}, {"c", {.failApply = true}}});
  try {
    plan.apply(world);
    FAIL() << "apply() must throw";
  } catch (const CniError& error) {
    EXPECT_EQ(error.details(), "because; left behind: b stays");
  }
  EXPECT_EQ(log, (Log{"apply a", "apply b", "undo a"}));
}

TEST(Plan, UndoDoesNotStopAtAnError) {
  Log log;
  World world(nullptr);
  const Log errors = planOf(log, {{"a", {}}, {"b", {.failUndo = true}}, {"c", {}}}).undo(world);
  EXPECT_EQ(errors, (Log{"b stays"}));
  EXPECT_EQ(log, (Log{"undo c", "undo a"}));
}

TEST(Plan, VerifyAsksEveryStepAndExplainTouchesNone) {
  Log log;
  World world(nullptr);
  const Plan plan = planOf(log, {{"a", {}}, {"b", {}}});
  EXPECT_EQ(plan.verify(world).size(), 2U);
  EXPECT_EQ(plan.explain(), (Log{"a", "b"}));
  EXPECT_TRUE(log.empty());
}

}  // namespace
}  // namespace fairlead::plugin
