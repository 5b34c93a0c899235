// Every sentence of Go's package context.
#include "runtime/context.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/select.h"
#include "runtime/waitgroup.h"
#include "tests/runtime/fixture.h"
#include "tests/runtime/observe.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

using ContextTest = RuntimeTest;

constexpr ContextKey<std::string> kName;
constexpr ContextKey<std::string> kOther;
constexpr ContextKey<int> kNumber;

// textOf() is what the error says, or "none".
std::string textOf(const std::exception_ptr& error) {
  if (error == nullptr) return "none";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

bool isDone(const Context& context) { return context.done().tryReceive().ready; }

TEST_F(ContextTest, TheBackgroundIsNeverDone) {
  const Context root = background();
  EXPECT_TRUE(root.done() == nullptr);
  EXPECT_EQ(root.err(), nullptr);
  EXPECT_EQ(root.cause(), nullptr);
  EXPECT_EQ(root.deadline(), std::nullopt);
  EXPECT_EQ(root.value(kName), nullptr);
  EXPECT_EQ(root, background());
}

TEST_F(ContextTest, CancellingClosesDone) {
  const auto [context, cancel] = withCancel(background());
  EXPECT_FALSE(isDone(context));
  EXPECT_EQ(context.err(), nullptr);
  EXPECT_TRUE(context.done() == context.done());
  cancel();
  EXPECT_TRUE(isDone(context));
  EXPECT_EQ(textOf(context.err()), "context canceled");
  EXPECT_EQ(textOf(context.cause()), "context canceled");
  EXPECT_THROW(std::rethrow_exception(context.err()), Canceled);
}

TEST_F(ContextTest, DoneMayBeAskedForWhenItIsLate) {
  const auto [context, cancel] = withCancel(background());
  cancel();
  EXPECT_TRUE(isDone(context));
}

TEST_F(ContextTest, DoneWakesThoseWhoWait) {
  const auto [context, cancel] = withCancel(background());
  WaitGroup group;
  std::atomic<int> awake{0};
  for (int i = 0; i < 3; ++i) {
    group.go([&, context = context] {
      context.done().receive();
      ++awake;
    });
  }
  ASSERT_TRUE(parked(3, WaitReason::ChanReceive));
  cancel();
  group.wait();
  EXPECT_EQ(awake, 3);
}

TEST_F(ContextTest, TheFirstCancellationWins) {
  const auto [context, cancel] = withCancel(background());
  cancel(std::runtime_error("first"));
  cancel(std::runtime_error("second"));
  cancel();
  EXPECT_EQ(textOf(context.err()), "context canceled");
  EXPECT_EQ(textOf(context.cause()), "first");
}

TEST_F(ContextTest, DescendantsAreCancelledAndParentsAreNot) {
  const auto [top, cancelTop] = withCancel(background());
  const auto [middle, cancelMiddle] = withCancel(withValue(top, kNumber, 1));
  const auto [bottom, cancelBottom] = withCancel(middle);
  const auto [sibling, cancelSibling] = withCancel(top);
  cancelMiddle(std::runtime_error("why"));
  EXPECT_FALSE(isDone(top));
  EXPECT_FALSE(isDone(sibling));
  EXPECT_TRUE(isDone(middle));
  EXPECT_TRUE(isDone(bottom));
  EXPECT_EQ(textOf(bottom.err()), "context canceled");
  EXPECT_EQ(textOf(bottom.cause()), "why");
  EXPECT_EQ(top.cause(), nullptr);
}

TEST_F(ContextTest, AChildOfOneThatIsDoneIsDone) {
  const auto [parent, cancel] = withCancel(background());
  cancel(std::runtime_error("before"));
  const auto [child, cancelChild] = withCancel(parent);
  EXPECT_TRUE(isDone(child));
  EXPECT_EQ(textOf(child.cause()), "before");
}

TEST_F(ContextTest, TheLastCancelFuncCancels) {
  Context context;
  {
    CancelFunc copy;
    {
      auto made = withCancel(background());
      context = made.context;
      copy = made.cancel;
    }
    EXPECT_FALSE(isDone(context));
  }
  EXPECT_TRUE(isDone(context));
}

TEST_F(ContextTest, ADeadlinePasses) {
  const auto [context, cancel] = withTimeout(background(), 1ms);
  EXPECT_TRUE(context.deadline().has_value());
  context.done().receive();
  EXPECT_EQ(textOf(context.err()), "context deadline exceeded");
  EXPECT_EQ(textOf(context.cause()), "context deadline exceeded");
  try {
    std::rethrow_exception(context.err());
  } catch (const ContextError& error) {
    EXPECT_TRUE(error.timeout());
  }
  cancel();
  EXPECT_EQ(textOf(context.err()), "context deadline exceeded");
  EXPECT_FALSE(Canceled().timeout());
}

TEST_F(ContextTest, ADeadlineIsThatOfTheDescendantsToo) {
  const auto [parent, cancelParent] = withTimeout(background(), 1ms);
  const auto [child, cancelChild] = withCancel(parent);
  child.done().receive();
  EXPECT_EQ(textOf(child.err()), "context deadline exceeded");
}

TEST_F(ContextTest, ADeadlineMayHaveACause) {
  const auto [context, cancel] =
      withTimeout(background(), 1ms, std::make_exception_ptr(std::runtime_error("too slow")));
  context.done().receive();
  EXPECT_EQ(textOf(context.err()), "context deadline exceeded");
  EXPECT_EQ(textOf(context.cause()), "too slow");
}

TEST_F(ContextTest, ADeadlineThatHasPassedCancelsAtOnce) {
  const auto [context, cancel] = withTimeout(background(), -1s);
  EXPECT_TRUE(isDone(context));
  EXPECT_EQ(textOf(context.err()), "context deadline exceeded");
}

TEST_F(ContextTest, CancellingComesBeforeTheDeadline) {
  const auto [context, cancel] = withTimeout(background(), 1h);
  cancel();
  EXPECT_EQ(textOf(context.err()), "context canceled");
}

TEST_F(ContextTest, ALaterDeadlineThanTheParentsIsIgnored) {
  const auto [parent, cancelParent] = withTimeout(background(), 1h);
  const auto [later, cancelLater] = withTimeout(parent, 2h);
  EXPECT_EQ(later.deadline(), parent.deadline());
  const auto [earlier, cancelEarlier] = withTimeout(parent, 1min);
  EXPECT_LT(earlier.deadline(), parent.deadline());
  const auto [plain, cancelPlain] = withCancel(earlier);
  EXPECT_EQ(plain.deadline(), earlier.deadline());
}

TEST_F(ContextTest, ValuesAreFoundUpTheTree) {
  const Context root = withValue(background(), kName, std::string("root"));
  const auto [middle, cancel] = withCancel(withValue(root, kNumber, 7));
  const Context leaf = withValue(middle, kName, std::string("leaf"));
  EXPECT_EQ(*leaf.value(kName), "leaf");
  EXPECT_EQ(*middle.value(kName), "root");
  EXPECT_EQ(*leaf.value(kNumber), 7);
  EXPECT_EQ(leaf.value(kOther), nullptr);
}

TEST_F(ContextTest, WithoutCancelKeepsOnlyTheValues) {
  const auto [parent, cancel] = withTimeout(withValue(background(), kNumber, 3), 1h);
  const Context detached = withoutCancel(parent);
  cancel();
  EXPECT_TRUE(detached.done() == nullptr);
  EXPECT_EQ(detached.err(), nullptr);
  EXPECT_EQ(detached.cause(), nullptr);
  EXPECT_EQ(detached.deadline(), std::nullopt);
  EXPECT_EQ(*detached.value(kNumber), 3);
  const auto [child, cancelChild] = withCancel(detached);
  EXPECT_FALSE(isDone(child));
}

TEST_F(ContextTest, AfterFuncRunsOnceWhenDone) {
  const auto [context, cancel] = withCancel(background());
  const Chan<int> ran(2);
  const StopFunc stop = afterFunc(context, [ran] { ran.send(1); });
  EXPECT_EQ(ran.len(), 0U);
  cancel();
  EXPECT_EQ(ran.receive(), 1);
  EXPECT_FALSE(stop());
  EXPECT_EQ(ran.len(), 0U);
}

TEST_F(ContextTest, AfterFuncStaysThoughNobodyHoldsItsStop) {
  const Chan<int> ran;
  {
    const auto [context, cancel] = withCancel(background());
    afterFunc(context, [ran] { ran.send(1); });
  }
  EXPECT_EQ(ran.receive(), 1);
}

TEST_F(ContextTest, AfterFuncRunsAtOnceIfAlreadyDone) {
  const auto [context, cancel] = withCancel(background());
  cancel();
  const Chan<int> ran;
  afterFunc(context, [ran] { ran.send(1); });
  EXPECT_EQ(ran.receive(), 1);
}

TEST_F(ContextTest, AnAfterFuncThatIsStoppedNeverRuns) {
  const auto held = std::make_shared<int>(0);
  {
    const auto [context, cancel] = withCancel(background());
    const StopFunc stop = afterFunc(context, [held] { ++*held; });
    EXPECT_TRUE(stop());
    EXPECT_FALSE(stop());
    cancel();
  }
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(ContextTest, AfterFuncsAreIndependent) {
  const auto [context, cancel] = withCancel(background());
  const Chan<int> ran(2);
  const StopFunc first = afterFunc(context, [ran] { ran.send(1); });
  const StopFunc second = afterFunc(context, [ran] { ran.send(2); });
  EXPECT_TRUE(first());
  cancel();
  EXPECT_EQ(ran.receive(), 2);
  EXPECT_FALSE(second());
  EXPECT_EQ(ran.len(), 0U);
}

TEST_F(ContextTest, ThereMustBeAParent) {
  const char* text = "cannot create context from nil parent";
  EXPECT_EQ(panicOf([] { static_cast<void>(withCancel(Context())); }), text);
  EXPECT_EQ(panicOf([] { static_cast<void>(withTimeout(Context(), 1s)); }), text);
  EXPECT_EQ(panicOf([] { static_cast<void>(withoutCancel(Context())); }), text);
  EXPECT_EQ(panicOf([] { static_cast<void>(withValue(Context(), kNumber, 1)); }), text);
  EXPECT_EQ(panicOf([] { afterFunc(Context(), [] {}); }), text);
}

// A child leaves its parent when it is done: a long-lived parent does not collect the dead.
TEST_F(ContextTest, AParentForgetsChildrenThatAreDone) {
  const auto [parent, cancel] = withCancel(background());
  const auto held = std::make_shared<int>(0);
  for (int i = 0; i < 10; ++i) {
    const auto [child, cancelChild] = withCancel(withValue(parent, ContextKey<std::shared_ptr<int>>(), held));
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(ContextTest, ManyCancelAndDeriveAtOnce) {
  for (int round = 0; round < 50; ++round) {
    const auto [top, cancel] = withCancel(background());
    WaitGroup group;
    std::atomic<int> done{0};
    for (int i = 0; i < 10; ++i) {
      group.go([&, top = top] {
        for (int depth = 0; depth < 5; ++depth) {
          const auto [child, cancelChild] = withTimeout(top, 1h);
          const auto [grandchild, cancelGrandchild] = withCancel(child);
          if (depth % 2 == 0) cancelChild();
          if (depth == 4) grandchild.done().receive();
          if (depth == 3) cancelGrandchild();
        }
        top.done().receive();
        ++done;
      });
    }
    group.go([cancel = cancel] { cancel(); });
    group.wait();
    EXPECT_EQ(done, 10);
  }
}

}  // namespace
}  // namespace fairlead::runtime
