// A node that can be cancelled is known to the nearest such node above it, which holds it until one of the
// two is done. The cycle of references this makes is broken at the latest when the CancelFunc goes.
#include "runtime/context.h"

#include <atomic>
#include <mutex>
#include <set>

#include "runtime/mutex.h"
#include "runtime/runtime.h"

namespace fairlead::runtime {
namespace detail {

class CancelNode : public ContextNode {
 public:
  explicit CancelNode(const std::shared_ptr<ContextNode>& parent)
      : ContextNode(parent), up_(parent->canceler()) {}

  CancelNode* canceler() override { return this; }

  // attach() is called once there is a reference to the node.
  void attach() {
    if (up_ != nullptr && !up_->add(self())) cancel(up_->err(), up_->cause());
  }

  Chan<Nothing> done() {
    const std::lock_guard lock(mutex_);
    if (done_ == nullptr) {
      done_ = Chan<Nothing>();
      if (err_ != nullptr) done_.close();
    }
    return done_;
  }

  std::exception_ptr err() {
    const std::lock_guard lock(mutex_);
    return err_;
  }

  std::exception_ptr cause() {
    const std::lock_guard lock(mutex_);
    return cause_;
  }

  void cancel(const std::exception_ptr& err, const std::exception_ptr& cause) {
    std::set<std::shared_ptr<CancelNode>> children;
    {
      const std::lock_guard lock(mutex_);
      if (err_ != nullptr) return;
      err_ = err;
      cause_ = cause != nullptr ? cause : err;
      if (done_ != nullptr) done_.close();
      children.swap(children_);
    }
    const auto keep = self();  // the parent's may have been the last reference
    if (up_ != nullptr) up_->remove(keep);
    whenDone();
    for (const auto& child : children) child->cancel(err, cause);
  }

 protected:
  std::shared_ptr<CancelNode> self() { return std::static_pointer_cast<CancelNode>(shared_from_this()); }

  virtual void whenDone() {}

  Mutex mutex_;
  std::exception_ptr err_;  // under mutex_, as are the following

 private:
  // add() returns false when this node is done already.
  bool add(std::shared_ptr<CancelNode> child) {
    const std::lock_guard lock(mutex_);
    if (err_ == nullptr) children_.insert(std::move(child));
    return err_ == nullptr;
  }

  void remove(const std::shared_ptr<CancelNode>& child) {
    const std::lock_guard lock(mutex_);
    children_.erase(child);
  }

  std::exception_ptr cause_;
  Chan<Nothing> done_{nullptr};  // made when first asked for
  std::set<std::shared_ptr<CancelNode>> children_;
  CancelNode* const up_;  // kept alive by the chain of parents
};

struct CancelWhenGone {
  explicit CancelWhenGone(std::shared_ptr<CancelNode> target) : node(std::move(target)) {}
  CancelWhenGone(const CancelWhenGone&) = delete;
  CancelWhenGone& operator=(const CancelWhenGone&) = delete;
  ~CancelWhenGone() { cancel(nullptr); }

  void cancel(const std::exception_ptr& cause) const {
    static const std::exception_ptr canceled = std::make_exception_ptr(Canceled());
    node->cancel(canceled, cause);
  }

  std::shared_ptr<CancelNode> node;
};

namespace {

const std::exception_ptr& deadlineExceeded() {
  static const std::exception_ptr exceeded = std::make_exception_ptr(DeadlineExceeded());
  return exceeded;
}

class WithoutCancelNode : public ContextNode {
 public:
  using ContextNode::ContextNode;
  CancelNode* canceler() override { return nullptr; }
  [[nodiscard]] std::optional<Time> deadline() const override { return std::nullopt; }
};

class DeadlineNode : public CancelNode {
 public:
  DeadlineNode(const std::shared_ptr<ContextNode>& parent, Time deadline, std::exception_ptr cause)
      : CancelNode(parent), deadline_(deadline), cause_(std::move(cause)) {}

  [[nodiscard]] std::optional<Time> deadline() const override { return deadline_; }

  void arm() {
    const auto left = deadline_ - std::chrono::steady_clock::now();
    if (left.count() <= 0) return cancel(deadlineExceeded(), cause_);
    const std::lock_guard lock(mutex_);
    if (err_ != nullptr) return;
    timer_ = runtime::afterFunc(left, [weak = weak_from_this()] {
      const auto node = std::static_pointer_cast<DeadlineNode>(weak.lock());
      if (node != nullptr) node->cancel(deadlineExceeded(), node->cause_);
    });
  }

 private:
  void whenDone() override {
    std::optional<Timer> timer;
    {
      const std::lock_guard lock(mutex_);
      timer.swap(timer_);
    }
    if (timer) timer->stop();
  }

  const Time deadline_;
  const std::exception_ptr cause_;
  std::optional<Timer> timer_;  // under mutex_
};

Cancelable cancelable(std::shared_ptr<CancelNode> node) {
  node->attach();
  return {node->handle(), CancelFunc(std::make_shared<CancelWhenGone>(node))};
}

}  // namespace

class AfterFuncNode : public CancelNode {
 public:
  AfterFuncNode(const std::shared_ptr<ContextNode>& parent, std::move_only_function<void()> f)
      : CancelNode(parent), f_(std::move(f)) {}

  bool stop() {
    const bool stopped = !settled_.exchange(true, std::memory_order_acq_rel);
    if (stopped) CancelWhenGone(self()).cancel(nullptr);
    return stopped;
  }

 private:
  void whenDone() override {
    if (!settled_.exchange(true, std::memory_order_acq_rel)) go(std::move(f_));
  }

  std::move_only_function<void()> f_;
  std::atomic<bool> settled_{false};  // started or stopped
};

}  // namespace detail

using detail::CancelNode;
using detail::ContextNode;

Chan<Nothing> Context::done() const {
  CancelNode* node = node_->canceler();
  return node != nullptr ? node->done() : Chan<Nothing>(nullptr);
}

std::exception_ptr Context::err() const {
  CancelNode* node = node_->canceler();
  return node != nullptr ? node->err() : nullptr;
}

std::exception_ptr Context::cause() const {
  CancelNode* node = node_->canceler();
  return node != nullptr ? node->cause() : nullptr;
}

std::optional<Time> Context::deadline() const { return node_->deadline(); }

const void* Context::find(const void* key) const { return node_->find(key); }

void CancelFunc::operator()(const std::exception_ptr& cause) const {
  if (target_ != nullptr) target_->cancel(cause);
}

bool StopFunc::operator()() const { return node_->stop(); }

Context background() {
  static const auto root = std::make_shared<ContextNode>(nullptr);
  return root->handle();
}

Cancelable withCancel(const Context& parent) {
  return detail::cancelable(std::make_shared<CancelNode>(ContextNode::of(parent)));
}

Cancelable withDeadline(const Context& parent, Time deadline, const std::exception_ptr& cause) {
  const auto& above = ContextNode::of(parent);
  const auto earlier = above->deadline();
  if (earlier && *earlier <= deadline) return withCancel(parent);
  const auto node = std::make_shared<detail::DeadlineNode>(above, deadline, cause);
  Cancelable result = detail::cancelable(node);
  node->arm();
  return result;
}

Cancelable withTimeout(const Context& parent, std::chrono::nanoseconds timeout,
                       const std::exception_ptr& cause) {
  const Time now = std::chrono::steady_clock::now();
  const Time deadline = timeout > Time::max() - now ? Time::max() : now + timeout;
  return withDeadline(parent, deadline, cause);
}

Context withoutCancel(const Context& parent) {
  return std::make_shared<detail::WithoutCancelNode>(ContextNode::of(parent))->handle();
}

StopFunc afterFunc(const Context& context, std::move_only_function<void()> f) {
  const auto node = std::make_shared<detail::AfterFuncNode>(ContextNode::of(context), std::move(f));
  node->attach();
  return StopFunc(node);
}

}  // namespace fairlead::runtime
