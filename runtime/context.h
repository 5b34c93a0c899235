// Context: Go's package context. It tells goroutines that work for the same purpose when to stop, and carries
// values along.
//
//     auto [context, cancel] = withTimeout(parent, 5s);
//     select(receive(answers, [&](auto answer) { ... }),
//            receive(context.done(), [&] { std::rethrow_exception(context.err()); }));
//
// Contexts form a tree. Cancelling one cancels all that were derived from it, never its parent; the first
// cancellation wins, later ones do nothing. A Context is a reference, and never changes but by being done.
//
// Differs from Go: when the last copy of a CancelFunc is destroyed the context is cancelled, so what Go does
// with `defer cancel()` cannot be forgotten. Errors are exceptions: Canceled, DeadlineExceeded, or the cause
// that cancel() was given. Values have typed keys. For goroutines only.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "runtime/chan.h"
#include "runtime/panic.h"
#include "runtime/time.h"

namespace fairlead::runtime {

namespace detail {
class ContextNode;
class CancelNode;
class AfterFuncNode;
struct CancelWhenGone;
}  // namespace detail

// ContextError is why a context is done.
class ContextError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  [[nodiscard]] virtual bool timeout() const { return false; }
};

class Canceled : public ContextError {
 public:
  Canceled() : ContextError("context canceled") {}
};

class DeadlineExceeded : public ContextError {
 public:
  DeadlineExceeded() : ContextError("context deadline exceeded") {}
  [[nodiscard]] bool timeout() const override { return true; }
};

// ContextKey names a value of type T in contexts. It is told from others by its address: make it a constant
// of namespace scope.
template <class T>
class ContextKey {
 public:
  constexpr ContextKey() = default;
  ContextKey(const ContextKey&) = delete;
  ContextKey& operator=(const ContextKey&) = delete;
};

class Context {
 public:
  Context() = default;  // Go's nil context: good for nothing but to be assigned to

  // done() is closed when the context is cancelled or its deadline has come; nil if that can never be.
  [[nodiscard]] Chan<Nothing> done() const;
  // err() is null while done() is open, then a Canceled or a DeadlineExceeded.
  [[nodiscard]] std::exception_ptr err() const;
  // cause() is what the first cancellation was given, else err().
  [[nodiscard]] std::exception_ptr cause() const;
  // deadline() is when the context will be done at the latest, if there is such a time.
  [[nodiscard]] std::optional<Time> deadline() const;
  // value() is the value of the nearest context up the tree that has one for the key, else nullptr. It lives
  // as long as the context.
  template <class T>
  [[nodiscard]] const T* value(const ContextKey<T>& key) const {
    return static_cast<const T*>(find(&key));
  }

  friend bool operator==(const Context&, const Context&) = default;
  friend bool operator==(const Context& c, std::nullptr_t) { return c.node_ == nullptr; }

 private:
  friend class detail::ContextNode;
  explicit Context(std::shared_ptr<detail::ContextNode> node) : node_(std::move(node)) {}
  [[nodiscard]] const void* find(const void* key) const;

  std::shared_ptr<detail::ContextNode> node_;
};

// CancelFunc cancels one context, with a cause if it is given one. Copies do the same.
class CancelFunc {
 public:
  CancelFunc() = default;
  explicit CancelFunc(std::shared_ptr<detail::CancelWhenGone> target) : target_(std::move(target)) {}

  void operator()(const std::exception_ptr& cause = nullptr) const;
  template <class E>
  requires std::derived_from<E, std::exception>
  void operator()(E cause) const { (*this)(std::make_exception_ptr(std::move(cause))); }

 private:
  std::shared_ptr<detail::CancelWhenGone> target_;
};

struct Cancelable {
  Context context;
  CancelFunc cancel;
};

// background() is the root of every tree: never cancelled, no deadline, no values.
Context background();

// The with...() functions derive a context. They throw Panic, "cannot create context from nil parent", when
// there is none.

// withCancel() is done when it is cancelled or its parent is done (Go: WithCancel, WithCancelCause).
[[nodiscard]] Cancelable withCancel(const Context& parent);
// withDeadline() is also done when the time has come, with `cause` as the cause of that. A deadline later
// than the parent's changes nothing; one that has passed cancels at once.
[[nodiscard]] Cancelable withDeadline(const Context& parent, Time deadline,
                                      const std::exception_ptr& cause = nullptr);
[[nodiscard]] Cancelable withTimeout(const Context& parent, std::chrono::nanoseconds timeout,
                                     const std::exception_ptr& cause = nullptr);
// withoutCancel() keeps the values of its parent, and is never done.
[[nodiscard]] Context withoutCancel(const Context& parent);
// withValue() has a value for the key, in front of any that its parent has.
template <class T>
[[nodiscard]] Context withValue(const Context& parent, const ContextKey<T>& key, T value);

// StopFunc calls off what afterFunc() arranged. It returns true if that prevented the function from being
// started.
class StopFunc {
 public:
  explicit StopFunc(std::shared_ptr<detail::AfterFuncNode> node) : node_(std::move(node)) {}
  bool operator()() const;

 private:
  std::shared_ptr<detail::AfterFuncNode> node_;
};

// afterFunc() runs f on a goroutine of its own once the context is done, at once if it is already. It stays
// arranged though nobody holds the StopFunc.
StopFunc afterFunc(const Context& context, std::move_only_function<void()> f);

// ---- implementation of withValue()

namespace detail {

// ContextNode is a context in the tree.
class ContextNode : public std::enable_shared_from_this<ContextNode> {
 public:
  explicit ContextNode(std::shared_ptr<ContextNode> parent) : parent_(std::move(parent)) {}
  virtual ~ContextNode() = default;
  ContextNode(const ContextNode&) = delete;
  ContextNode& operator=(const ContextNode&) = delete;

  // The nearest node, this or up the tree, that can be cancelled; nullptr if there is none.
  virtual CancelNode* canceler() { return parent_ != nullptr ? parent_->canceler() : nullptr; }
  [[nodiscard]] virtual std::optional<Time> deadline() const {
    return parent_ != nullptr ? parent_->deadline() : std::nullopt;
  }
  virtual const void* find(const void* key) { return parent_ != nullptr ? parent_->find(key) : nullptr; }

  Context handle() { return Context(shared_from_this()); }
  static const std::shared_ptr<ContextNode>& of(const Context& context) {
    if (context == nullptr) throw Panic("cannot create context from nil parent");
    return context.node_;
  }

 private:
  const std::shared_ptr<ContextNode> parent_;
};

template <class T>
class ValueNode : public ContextNode {
 public:
  ValueNode(std::shared_ptr<ContextNode> parent, const ContextKey<T>& key, T value)
      : ContextNode(std::move(parent)), key_(&key), value_(std::move(value)) {}
  const void* find(const void* key) override { return key == key_ ? &value_ : ContextNode::find(key); }

 private:
  const void* key_;
  const T value_;
};

}  // namespace detail

template <class T>
Context withValue(const Context& parent, const ContextKey<T>& key, T value) {
  return std::make_shared<detail::ValueNode<T>>(detail::ContextNode::of(parent), key, std::move(value))
      ->handle();
}

}  // namespace fairlead::runtime
