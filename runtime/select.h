// select: waits for one of several channel operations and carries it out, as Go's select does.
//
//     select(receive(names, [&](std::optional<std::string> name) { ... }),  // nullopt: closed and drained
//            send(answers, 42, [&] { ... }),
//            otherwise([&] { ... }));
//
// Without otherwise() it blocks until a case is ready; of several that are ready one is chosen at random,
// each with the same chance. Exactly one operation is carried out; then its function runs, on the caller's
// stack and with no lock held, and select() returns the position of the case, from 0. Functions may be left
// out, and that of receive() may take no argument. The decision concerns one moment: otherwise() is chosen
// only if at that moment no other case was ready. The same channel may appear several times; a select never
// receives what it sends itself.
//
// A case of a nil channel is never ready. select() without cases blocks for ever. A single case is the plain
// operation. Choosing to send on a closed channel throws Panic.
//
// Differs from Go: in which order the arguments are evaluated is for the compiler to say, as for all of C++.
// Nothing is allocated. For goroutines only.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "runtime/chan.h"
#include "runtime/waitlist.h"

namespace fairlead::runtime {

namespace detail {
class Select;
}

// SelectCase is one case prepared, for a number of cases that only the running program knows. It refers to
// channel, value and destination: they must stay where they are until select() has returned.
class SelectCase {
 public:
  // receive() fills `into`, or leaves it empty when the channel is closed and drained.
  template <class T>
  static SelectCase receive(const Chan<T>& chan, std::optional<T>& into) {
    return {Kind::Receive, chan.core_, &into};
  }
  // send() moves out of `value` if the case is chosen.
  template <class T>
  static SelectCase send(const Chan<T>& chan, T& value) {
    return {Kind::Send, chan.core_, &value};
  }
  static SelectCase otherwise() { return {Kind::Otherwise, nullptr, nullptr}; }

 private:
  friend class detail::Select;
  enum class Kind : uint8_t { Receive, Send, Otherwise };

  SelectCase(Kind kind, detail::ChanCore* chan, void* value) : kind_(kind), chan_(chan), value_(value) {}

  Kind kind_;
  detail::ChanCore* chan_;
  void* value_;
  union {
    Waiter waiter_;  // there while the case is in the queue of its channel
  };
  // The n-th case holds the n-th of each order: that of polling, and that of locking.
  SelectCase* polled_ = nullptr;
  SelectCase* locked_ = nullptr;
};

// select() over prepared cases returns the position of the chosen one; all destinations are emptied first.
// Throws Panic when there is more than one otherwise().
int select(std::span<SelectCase> cases);

namespace detail {

// selectGo() expects empty destinations.
int selectGo(std::span<SelectCase> cases);

struct DoNothing {
  void operator()() const {}
};

// A case with what is to be done when it is chosen. `prepare` may be called once it has its final address.
template <class T, class F>
struct Receiving {
  const Chan<T>& chan;
  F then;
  std::optional<T> value;

  SelectCase prepare() { return SelectCase::receive(chan, value); }
  void carryOut() {
    if constexpr (std::is_invocable_v<F&, std::optional<T>>) {
      std::invoke(then, std::move(value));
    } else {
      std::invoke(then);
    }
  }
};

template <class T, class F>
struct Sending {
  const Chan<T>& chan;
  F then;
  T value;

  SelectCase prepare() { return SelectCase::send(chan, value); }
  void carryOut() { std::invoke(then); }
};

template <class F>
struct Otherwise {
  F then;

  static SelectCase prepare() { return SelectCase::otherwise(); }
  void carryOut() { std::invoke(then); }
};

template <class C>
concept Case = requires(C& c) {
  { c.prepare() } -> std::same_as<SelectCase>;
  c.carryOut();
};

template <class>
inline constexpr bool kIsOtherwise = false;
template <class F>
inline constexpr bool kIsOtherwise<Otherwise<F>> = true;

}  // namespace detail

template <class T, class F = detail::DoNothing>
requires std::invocable<F&> || std::invocable<F&, std::optional<T>> detail::Receiving<T, F> receive(
    const Chan<T>& chan, F then = {}) {
  return {chan, std::move(then), std::nullopt};
}

template <class T, std::invocable F = detail::DoNothing>
detail::Sending<T, F> send(const Chan<T>& chan, std::type_identity_t<T> value, F then = {}) {
  return {chan, std::move(then), std::move(value)};
}

template <std::invocable F = detail::DoNothing>
detail::Otherwise<F> otherwise(F then = {}) {
  return {std::move(then)};
}

template <detail::Case... Cases>
int select(Cases... cases) {
  static_assert((0 + ... + int{detail::kIsOtherwise<Cases>}) <= 1, "a select has at most one otherwise()");
  std::array<SelectCase, sizeof...(Cases)> prepared{cases.prepare()...};
  const int chosen = detail::selectGo(prepared);
  int at = 0;
  ((at++ == chosen ? cases.carryOut() : void()), ...);
  return chosen;
}

}  // namespace fairlead::runtime
