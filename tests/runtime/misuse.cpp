// A program that misuses channels or sync in the way its first argument names, or blocks for ever. Run by
// misuse_test, which knows what it must print.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "runtime/chan.h"
#include "runtime/errgroup.h"
#include "runtime/lastwords.h"
#include "runtime/runtime.h"
#include "runtime/select.h"
#include "runtime/singleflight.h"
#include "runtime/sync.h"
#include "tests/runtime/ways.h"

namespace fairlead::runtime {
namespace {

// One goroutine for each thing that can be waited for, none of which will ever happen.
int everyReason() {
  static const Chan<int> chan;
  static const Chan<int> nil(nullptr);
  static Mutex mutex;
  static RWMutex written;
  static RWMutex read;
  static Cond cond;
  static WaitGroup group;
  mutex.lock();
  written.lock();
  read.lock_shared();
  group.add(1);
  go([] { nil.receive(); });
  go([] { nil.send(1); });
  go([] { Chan<int>().send(1); });
  go([] { select(receive(chan), send(nil, 1)); });
  go([] { select(receive(nil), send(nil, 1)); });
  go([] { select(); });
  go([] { mutex.lock(); });
  go([] { written.lock_shared(); });
  go([] { read.lock(); });
  go([] {
    Mutex own;
    own.lock();
    cond.wait(own);
  });
  go([] { group.wait(); });
  go([] {
    Once once;
    once.call([&] { once.call([] {}); });
  });
  select(receive(nil));
  return 0;
}

int unlockMutex() {
  Mutex mutex;
  mutex.lock();
  mutex.unlock();
  mutex.unlock();
  return 0;
}

int unlockRWMutex() {
  RWMutex mutex;
  mutex.unlock();
  return 0;
}

int unlockReadRWMutex() {
  RWMutex mutex;
  mutex.lock_shared();
  mutex.unlock();
  return 0;
}

int readUnlockRWMutex() {
  RWMutex mutex;
  mutex.unlock_shared();
  return 0;
}

int readUnlockWritten() {
  RWMutex mutex;
  mutex.lock();
  mutex.unlock_shared();
  return 0;
}

// A second reader, behind a writer that waits for the first.
int recursiveRead() {
  static RWMutex mutex;
  mutex.lock_shared();
  go([] { mutex.lock(); });
  while (mutex.try_lock_shared()) {
    mutex.unlock_shared();
    gosched();
  }
  mutex.lock_shared();
  return 0;
}

// Whoever dies tells why on standard output.
void oweWords() {
  setLastWords(
      [](const char* why) { [[maybe_unused]] const auto n = write(STDOUT_FILENO, why, strlen(why)); });
}

int lastWordsOfFatalError() {
  oweWords();
  fatalError("no way back");
}

int lastWordsOfPanic() {
  oweWords();
  go([] { throw std::runtime_error("lost"); });
  select();
  return 0;
}

int lastWordsOfDeadlock() {
  oweWords();
  select();
  return 0;
}

int lastWordsTakenBack() {
  oweWords();
  setLastWords(nullptr);
  fatalError("no way back");
}

int recursiveLock() {
  Mutex mutex;
  mutex.lock();
  mutex.lock();
  return 0;
}

int recursiveOnce() {
  Once once;
  once.call([&] { once.call([] {}); });
  return 0;
}

// Where a panic might be taken for the end of the work. Main would see it, and return.
int panicInWaitGroup() {
  WaitGroup group;
  group.go([] { throw Panic("boom"); });
  group.wait();
  return 0;
}

int panicInErrGroup() {
  ErrGroup group(background());
  group.go([] { throw Panic("boom"); });
  try {
    group.wait();
  } catch (const Panic&) {
  }
  return 0;
}

int panicInSingleflight() {
  Singleflight<int, int> flight;
  const auto outcome = flight.runChan(1, []() -> int { throw Panic("boom"); });
  Chan<int>().receive();
  return 0;
}

constexpr Way kWays[] = {
    {"every-reason", everyReason},
    {"unlock-mutex", unlockMutex},
    {"unlock-rwmutex", unlockRWMutex},
    {"unlock-read-rwmutex", unlockReadRWMutex},
    {"read-unlock-rwmutex", readUnlockRWMutex},
    {"read-unlock-written", readUnlockWritten},
    {"recursive-read", recursiveRead},
    {"last-words-of-fatal-error", lastWordsOfFatalError},
    {"last-words-of-panic", lastWordsOfPanic},
    {"last-words-of-deadlock", lastWordsOfDeadlock},
    {"last-words-taken-back", lastWordsTakenBack},
    {"recursive-lock", recursiveLock},
    {"recursive-once", recursiveOnce},
    {"panic-in-waitgroup", panicInWaitGroup},
    {"panic-in-errgroup", panicInErrGroup},
    {"panic-in-singleflight", panicInSingleflight},
};

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) { return runtime::runWay(runtime::kWays, argc, argv); }
