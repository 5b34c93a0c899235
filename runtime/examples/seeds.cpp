// seeds [free|locked] [VALUES]: how long does one goroutine take to receive ten million values, when twenty
// send and fifty thousand others do nothing but count and yield?
//
// What to learn from it: goroutines are cheap enough to have 50,000 of them; gosched() gives others their
// turn; a goroutine that has locked its thread does not queue with the others, so that its channel is its own
// again. In Go this is the program that showed what LockOSThread() does for a goroutine among many.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/select.h"

namespace {

using fairlead::runtime::Chan;
using fairlead::runtime::Nothing;

constexpr int kProducers = 20;
constexpr int kCapacity = 100'000;
constexpr int kCountsPerTurn = 100'000;

[[noreturn]] void spin() {
  for (int count = 0;;) {
    ++count;
    asm volatile("" : "+r"(count));  // or the compiler would see that nobody reads it
    if (count == kCountsPerTurn) {
      count = 0;
      fairlead::runtime::gosched();
    }
  }
}

[[noreturn]] void produce(const Chan<Nothing>& values) {
  for (;;) values.send({});
}

[[noreturn]] void consume(const Chan<Nothing>& values, long wanted, bool locked) {
  if (locked) fairlead::runtime::lockOSThread();
  const auto began = std::chrono::steady_clock::now();
  for (long i = 0; i < wanted; ++i) values.receive();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("%s: %ld values in %.3f s\n", locked ? "locked" : "free", wanted, took.count());
  if (locked) fairlead::runtime::unlockOSThread();
  fairlead::runtime::exitProcess(0);  // the others would go on for ever
}

// number() is the positive number that the text is, or 0.
long number(const char* text) {
  long value = 0;
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, value);
  return error == std::errc() && rest == end ? std::max(value, 0L) : 0;
}

}  // namespace

int fairlead::goMain(int argc, char** argv) {
  const std::string_view variant = argc > 1 ? argv[1] : "free";
  const long wanted = argc > 2 ? number(argv[2]) : 10'000'000;
  const long spinners = argc > 3 ? number(argv[3]) : 50'000;
  if ((variant != "free" && variant != "locked") || wanted == 0 || spinners == 0) {
    std::fputs("usage: seeds [free|locked] [VALUES [SPINNERS]]\n", stderr);
    return 2;
  }

  const Chan<Nothing> values(kCapacity);
  for (long i = 0; i < spinners; ++i) runtime::go(spin);
  for (int i = 0; i < kProducers; ++i) runtime::go([values] { produce(values); });
  runtime::go([values, wanted, locked = variant == "locked"] { consume(values, wanted, locked); });
  runtime::select();  // for ever
  return 0;
}
