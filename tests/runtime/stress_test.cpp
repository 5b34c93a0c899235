// Everything at once, at random, for some seconds. The seed is printed; set FAIRLEAD_SEED to repeat it.
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/sync.h"
#include "tests/runtime/fixture.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;

class Stress {
 public:
  Stress(uint64_t seed, std::chrono::milliseconds time)
      : seed_(seed), end_(std::chrono::steady_clock::now() + time) {}

  void run() {
    for (int i = 0; i < 16; ++i) spawn(0);
    group_.wait();
  }

  std::atomic<int> strayed{0};  // locked goroutines seen on another thread than theirs
  std::atomic<int> started{0};
  std::atomic<int> protectedCount{0};
  int guarded = 0;

 private:
  void spawn(int depth) {
    group_.go([this, depth, seed = seed_ + static_cast<uint64_t>(++started)] { live(depth, seed); });
  }

  void live(int depth, uint64_t seed) {
    std::mt19937_64 random(seed);
    bool locked = false;
    int thread = 0;
    while (std::chrono::steady_clock::now() < end_) {
      act(random, depth, locked, thread);
      if (locked && threadId() != thread) ++strayed;
      if (random() % 200 == 0) {
        if (depth < 1) continue;
        return;  // some of them locked: their thread ends
      }
    }
    if (locked) unlockOSThread();
  }

  void act(std::mt19937_64& random, int depth, bool& locked, int& thread) {
    switch (random() % 10) {
      case 0:
        return gosched();
      case 1:
        return sleep(std::chrono::nanoseconds(random() % 200'000));
      case 2: {
        const BlockingSection blocking;
        ::usleep(static_cast<useconds_t>(random() % 100));
        return;
      }
      case 3:
        if (numGoroutine() < 200) spawn(depth + 1);
        return;
      case 4:
        locked ? unlockOSThread() : lockOSThread();
        locked = !locked;
        thread = threadId();
        return;
      case 5:
        return exchange(unbuffered_);
      case 6:
        return exchange(buffered_);
      case 7: {
        const std::lock_guard lock(mutex_);
        ++guarded;
        ++protectedCount;
        if (random() % 20 == 0) gosched();
        return;
      }
      case 8:
        return rendezvous();
      default:
        return throwAndCatch();
    }
  }

  // exchange() moves a value if it can, without waiting for a partner who may be gone.
  static void exchange(const Chan<int>& chan) {
    if (!chan.trySend(1)) chan.tryReceive();
  }

  static void rendezvous() {
    const Chan<int> answer;
    go([answer] { answer.send(static_cast<int>(goid())); });
    answer.receive();
  }

  static void throwAndCatch() {
    try {
      throw std::runtime_error("stress");
    } catch (const std::runtime_error&) {
      gosched();
    }
  }

  uint64_t seed_;
  std::chrono::steady_clock::time_point end_;
  WaitGroup group_;
  Mutex mutex_;
  Chan<int> unbuffered_;
  Chan<int> buffered_ = Chan<int>(8);
};

using StressTest = RuntimeTest;

TEST_F(StressTest, ARandomMixOfEverythingEndsWell) {
  const char* given = std::getenv("FAIRLEAD_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  lockOSThread();  // keeps the startup thread from being wedged by a goroutine that ends locked on it
  Stress stress(seed, 2s);
  stress.run();
  unlockOSThread();
  EXPECT_EQ(stress.strayed, 0);
  EXPECT_EQ(stress.guarded, stress.protectedCount);
  EXPECT_GT(stress.started, 16);
}

}  // namespace
}  // namespace fairlead::runtime
