// Everything at once, at random, for as long as one says: goroutines that spawn, park, lock and end locked,
// block in the kernel, throw, wait for channels, selects, locks, timers and sockets, compute without a call,
// and are woken by foreign threads, while the number of Ps changes and the world is stopped.
//
//     runtime_stress [--seconds N] [--seed N]
//
// Each goroutine draws from its own generator, seeded by the seed and its number. Ends with a line of what
// was done; with status 1 when an invariant did not hold; by signal, or with status 2 or 3, when something
// broke or hung.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/chan.h"
#include "runtime/cond.h"
#include "runtime/fd.h"
#include "runtime/gmp.h"
#include "runtime/preempt.h"
#include "runtime/runtime.h"
#include "runtime/rwmutex.h"
#include "runtime/select.h"
#include "runtime/sync.h"
#include "runtime/time.h"

namespace fairlead::runtime {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Random = std::mt19937_64;

constexpr int kMostGoroutines = 300;
constexpr int kMostProcs = 8;
constexpr auto kGrace = 60s;  // for the end, after which it hangs

// The address of errno may be kept over a call, and after a park it is another thread's.
[[gnu::noipa]] void setErrno(int value) { errno = value; }
[[gnu::noipa]] int readErrno() { return errno; }

// What went wrong, as counts that must stay zero.
struct Wrong {
  std::atomic<int> strayed{0};  // a locked goroutine on another thread than its own
  std::atomic<int> torn{0};     // two goroutines inside a critical section
  std::atomic<int> moved{0};    // something ran while the world was stopped
  std::atomic<int> lost{0};     // errno or an exception that changed over a park
  std::atomic<int> broken{0};   // a socket that read something else than was written, or waited for nobody

  [[nodiscard]] int sum() const { return strayed + torn + moved + lost + broken; }
};

// Life is one goroutine's: whether it is locked, and to which thread.
struct Life {
  explicit Life(uint64_t seed, int generation) : random(seed), depth(generation) {}
  Random random;
  int depth;
  bool locked = false;
  int thread = 0;

  uint64_t below(uint64_t n) { return random() % n; }
};

class Stress {
 public:
  Stress(uint64_t seed, std::chrono::seconds time) : seed_(seed), end_(Clock::now() + time) {}

  // run() returns when all goroutines have ended.
  void run() {
    std::thread stranger([this] { wakeFromOutside(); });
    for (int i = 0; i < 16; ++i) spawn(0);
    group_.wait();
    strangerEnds_ = true;
    stranger.join();
  }

  void report() const {
    std::printf("%d goroutines;", started_.load());
    for (size_t i = 0; i < kActions.size(); ++i)
      std::printf(" %s %" PRIu64, kActions[i].name, done_[i].load());
    std::printf("\nstrayed %d, torn %d, moved %d, lost %d, broken %d\n", wrong_.strayed.load(),
                wrong_.torn.load(), wrong_.moved.load(), wrong_.lost.load(), wrong_.broken.load());
  }

  [[nodiscard]] bool sound() const {
    const bool all = std::all_of(done_.begin(), done_.end(), [](const auto& n) { return n > 0; });
    if (!all) std::printf("some action was never taken\n");
    return wrong_.sum() == 0 && all;
  }

 private:
  struct Action {
    const char* name;
    uint32_t weight;
    void (Stress::*act)(Life&);
  };
  static constexpr size_t kActionCount = 24;
  static const std::array<Action, kActionCount> kActions;

  void spawn(int depth) {
    group_.go([this, depth, seed = seed_ + static_cast<uint64_t>(++started_)] { live(Life(seed, depth)); });
  }

  void live(Life life) {
    while (Clock::now() < end_) {
      act(life);
      alive_.fetch_add(1, std::memory_order_relaxed);
      if (life.locked && threadId() != life.thread) ++wrong_.strayed;
      if (life.below(300) != 0) continue;
      if (life.depth > 0) return;  // some of them locked: their thread ends
    }
    if (life.locked) unlockOSThread();
  }

  void act(Life& life) {
    static const uint32_t total = [] {
      uint32_t sum = 0;
      for (const Action& action : kActions) sum += action.weight;
      return sum;
    }();
    uint64_t at = life.below(total);
    for (size_t i = 0; i < kActions.size(); ++i) {
      if (at < kActions[i].weight) {
        (this->*kActions[i].act)(life);
        ++done_[i];
        return;
      }
      at -= kActions[i].weight;
    }
  }

  void yield(Life&) { gosched(); }

  void doze(Life& life) { sleep(std::chrono::nanoseconds(life.below(200'000))); }

  void block(Life& life) {
    const BlockingSection blocking;
    ::usleep(static_cast<useconds_t>(life.below(100)));
  }

  void beget(Life& life) {
    if (numGoroutine() < kMostGoroutines) spawn(life.depth + 1);
  }

  void lock(Life& life) {
    if (life.locked) {
      unlockOSThread();
    } else {
      lockOSThread();
      life.thread = threadId();
    }
    life.locked = !life.locked;
  }

  // Waiting for a partner could be for ever: everybody here gives up after a while.
  void select2(Life& life) {
    const auto patience = std::chrono::nanoseconds(life.below(100'000));
    if (life.below(2) == 0) {
      select(send(unbuffered_, 1), receive(buffered_), receive(after(patience)));
    } else {
      select(receive(unbuffered_), send(buffered_, 2), receive(after(patience)));
    }
  }

  void trySelect(Life&) { select(receive(unbuffered_), send(buffered_, 3), receive(buffered_), otherwise()); }

  void exchange(Life& life) {
    if (life.below(2) == 0) {
      buffered_.trySend(4);
    } else {
      buffered_.tryReceive();
    }
  }

  void rendezvous(Life&) {
    const Chan<uint64_t> answer;
    go([answer] { answer.send(goid()); });
    answer.receive();
  }

  void closeOnWaiters(Life& life) {
    const Chan<int> gate;
    WaitGroup waiters;
    const uint64_t n = life.below(4);
    for (uint64_t i = 0; i < n; ++i) {
      waiters.go([gate] { gate.receive(); });
    }
    gate.close();
    waiters.wait();
  }

  void exclude(Life& life) {
    const std::lock_guard held(mutex_);
    if (inside_++ != 0) ++wrong_.torn;
    if (life.below(20) == 0) gosched();
    --inside_;
  }

  void readOrWrite(Life& life) {
    if (life.below(4) == 0) {
      const std::lock_guard held(rwmutex_);
      if (readers_ != 0 || writers_++ != 0) ++wrong_.torn;
      if (life.below(8) == 0) gosched();
      --writers_;
    } else {
      const std::shared_lock held(rwmutex_);
      ++readers_;
      if (writers_ != 0) ++wrong_.torn;
      if (life.below(8) == 0) gosched();
      --readers_;
    }
  }

  // A token is handed over under a condition: who took it gives it back and signals.
  void condition(Life&) {
    {
      std::unique_lock held(condMutex_);
      while (tokens_ == 0) cond_.wait(held);
      --tokens_;
    }
    gosched();
    const std::lock_guard held(condMutex_);
    ++tokens_;
    cond_.signal();
  }

  void timers(Life& life) {
    Timer timer = newTimer(std::chrono::nanoseconds(life.below(50'000)));
    if (life.below(2) == 0) {
      timer.channel().receive();
    } else {
      timer.stop();
    }
    std::atomic<bool> ran{false};
    const Chan<bool> fired(1);
    Timer call = afterFunc(std::chrono::nanoseconds(life.below(50'000)), [fired] { fired.send(true); });
    if (life.below(2) == 0 || !call.stop()) fired.receive();
  }

  void throwAcrossParks(Life&) {
    setErrno(77);
    try {
      throw std::runtime_error("stress");
    } catch (const std::runtime_error&) {
      gosched();
      try {
        throw;
      } catch (const std::runtime_error& e) {
        if (std::strcmp(e.what(), "stress") != 0) ++wrong_.lost;
      }
    }
    if (readErrno() != 77) ++wrong_.lost;
  }

  static std::pair<Fd, Fd> socketPair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      throw std::system_error(errno, std::generic_category(), "socketpair");
    return {Fd(ends[0], "left", Fd::Kind::Socket), Fd(ends[1], "right", Fd::Kind::Socket)};
  }

  void echo(Life& life) {
    const auto [left, right] = socketPair();
    WaitGroup group;
    group.go([end = right] {
      uint64_t value = 0;
      const auto bytes = std::as_writable_bytes(std::span(&value, 1));
      while (end.read(bytes) == sizeof value) end.write(bytes);
      end.close();
    });
    for (uint64_t i = 0, answer = 0; i < 5; ++i) {
      const uint64_t question = life.random();
      left.write(std::as_bytes(std::span(&question, 1)));
      left.read(std::as_writable_bytes(std::span(&answer, 1)));
      if (answer != question) ++wrong_.broken;
    }
    left.close();
    group.wait();
  }

  // Nobody writes: a deadline ends the wait, or that somebody closes the socket.
  void waitInVain(Life& life) {
    const auto [left, right] = socketPair();
    const bool close = life.below(2) == 0;
    WaitGroup group;
    group.go([this, end = left, close] {
      std::byte byte{};
      try {
        end.read(std::span(&byte, 1));
        ++wrong_.broken;
      } catch (const std::system_error& error) {
        if (error.code() != (close ? IoError::Closed : IoError::Timeout)) ++wrong_.broken;
      }
    });
    gosched();
    if (close) {
      left.close();
    } else {
      left.setReadDeadline(Clock::now() + std::chrono::nanoseconds(life.below(100'000)));
    }
    group.wait();
  }

  // Without a poll point: only a signal can take the P away.
  void compute(Life& life) {
    const uint64_t n = life.below(life.below(100) == 0 ? 20'000'000 : 20'000);
    for (uint64_t x = 0; x < n; ++x) asm volatile("" : "+r"(x));
  }

  void poll(Life& life) {
    for (uint64_t n = life.below(5'000); n > 0; --n) checkpoint();
  }

  // What runs without P, in the kernel or in foreign threads, changes nothing of this count.
  void stopWorld(Life& life) {
    stopTheWorld();
    const uint64_t before = alive_;
    for (uint64_t i = life.below(2'000); i > 0; --i) cpuRelax();
    if (alive_ != before) ++wrong_.moved;
    startTheWorld();
  }

  void resize(Life& life) { setMaxProcs(static_cast<int>(1 + life.below(kMostProcs))); }

  void endLocked(Life&) {
    WaitGroup group;
    group.go([] { lockOSThread(); });
    group.wait();
  }

  // Asks the foreign thread for an answer.
  void askOutside(Life&) {
    const Chan<int> answer(1);
    questions_.send(answer);
    answer.receive();
  }

  void wakeFromOutside() {
    while (!strangerEnds_) {
      const TryReceive<Chan<int>> question = questions_.tryReceive();
      if (question.value.has_value()) question.value->trySend(1);
      if (!question.ready) std::this_thread::sleep_for(20us);
    }
  }

  // Long enough for threads to go to sleep.
  void letIdle(Life&) { sleep(500us); }

  uint64_t seed_;
  Clock::time_point end_;
  std::array<std::atomic<uint64_t>, kActionCount> done_{};
  std::atomic<int> started_{0};
  std::atomic<uint64_t> alive_{0};
  std::atomic<bool> strangerEnds_{false};
  Wrong wrong_;

  WaitGroup group_;
  Mutex mutex_;
  std::atomic<int> inside_{0};
  RWMutex rwmutex_;
  std::atomic<int> readers_{0};
  std::atomic<int> writers_{0};
  Mutex condMutex_;
  Cond cond_;
  int tokens_ = 2;
  Chan<int> unbuffered_;
  Chan<int> buffered_ = Chan<int>(8);
  Chan<Chan<int>> questions_ = Chan<Chan<int>>(16);
};

constexpr std::array<Stress::Action, Stress::kActionCount> Stress::kActions{{
    {"yield", 20, &Stress::yield},
    {"sleep", 10, &Stress::doze},
    {"block", 10, &Stress::block},
    {"spawn", 10, &Stress::beget},
    {"lock", 10, &Stress::lock},
    {"select", 10, &Stress::select2},
    {"try-select", 10, &Stress::trySelect},
    {"try", 10, &Stress::exchange},
    {"rendezvous", 10, &Stress::rendezvous},
    {"close", 5, &Stress::closeOnWaiters},
    {"mutex", 10, &Stress::exclude},
    {"rwmutex", 10, &Stress::readOrWrite},
    {"cond", 5, &Stress::condition},
    {"timer", 10, &Stress::timers},
    {"throw", 5, &Stress::throwAcrossParks},
    {"echo", 3, &Stress::echo},
    {"wait-in-vain", 3, &Stress::waitInVain},
    {"compute", 10, &Stress::compute},
    {"poll", 10, &Stress::poll},
    {"stop-world", 1, &Stress::stopWorld},
    {"procs", 1, &Stress::resize},
    {"end-locked", 2, &Stress::endLocked},
    {"outside", 5, &Stress::askOutside},
    {"idle", 1, &Stress::letIdle},
}};

// A hang would otherwise be a time-out without a word.
void watch(Clock::time_point until) {
  std::thread([until] {
    std::this_thread::sleep_until(until);
    std::fprintf(stderr, "stress: still running; goroutines follow\n");
    kill(getpid(), SIGQUIT);
    std::this_thread::sleep_for(5s);
    _exit(3);
  }).detach();
}

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  using namespace fairlead::runtime;
  uint64_t seed = std::random_device{}();
  auto time = std::chrono::seconds(2);
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seconds") == 0) time = std::chrono::seconds(std::atoi(argv[i + 1]));
  }
  std::printf("seed %" PRIu64 ", %d Ps, %lld s\n", seed, maxProcs(), static_cast<long long>(time.count()));
  std::fflush(stdout);
  watch(Clock::now() + time + kGrace);
  lockOSThread();  // keeps the startup thread from being wedged by a goroutine that ends locked on it
  enableAsyncPreemption();
  Stress stress(seed, time);
  stress.run();
  stress.report();
  return stress.sound() ? 0 : 1;
}
