// What the locks and counters of sync cost, by the definitions of Go's own suite, whose names these are.
// FAIRLEAD_MAXPROCS sets the number of Ps; the argument chooses benchmarks by a part of their name.
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/semaphore.h"
#include "runtime/sync.h"
#include "tests/bench/measure.h"

namespace fairlead::runtime {
namespace {

constexpr int kWork = 100;
constexpr int kSlack = 10;  // goroutines for each P

void mutexAlone(int n) {
  parallel(n, [](int share) {
    Mutex mutex;
    for (int i = 0; i < share; ++i) {
      mutex.lock();
      mutex.unlock();
    }
  });
}

void mutexShared(int n, int each, int work) {
  Mutex mutex;
  parallel(
      n,
      [&](int share) {
        for (int i = 0; i < share; ++i) {
          mutex.lock();
          mutex.unlock();
          units(work);
        }
      },
      each);
}

void mutexFour(int n) {
  Mutex mutex;
  WaitGroup group;
  int counter = 0;
  for (int g = 0; g < 4; ++g) {
    group.go([&] {
      for (int i = 0; i < n / 4; ++i) {
        const std::lock_guard lock(mutex);
        ++counter;
      }
    });
  }
  group.wait();
}

// The others do not use the mutex: spinning on it would take the CPU from them.
void mutexNoSpin(int n) {
  Mutex mutex;
  std::atomic<int> turn{0};
  parallel(
      n,
      [&](int share) {
        const bool locks = ++turn % 4 == 0;
        std::array<uint64_t, 4096> data{};
        for (int i = 0; i < share; ++i) {
          if (locks) {
            const std::lock_guard lock(mutex);
            units(100);
          } else {
            for (size_t k = 0; k < data.size(); k += 4) ++data.at(k);
            const Chan<Nothing> yielded;
            go([yielded] { yielded.send({}); });
            yielded.receive();
          }
        }
      },
      4);
}

void mutexSpin(int n) {
  Mutex mutex;
  parallel(n, [&](int share) {
    std::vector<uint64_t> data(16384);
    for (int i = 0; i < share; ++i) {
      mutex.lock();
      units(100);
      mutex.unlock();
      for (size_t k = 0; k < data.size(); k += 4) ++data[k];
    }
  });
}

void rwmutexAlone(int n) {
  parallel(n, [](int share) {
    RWMutex mutex;
    for (int i = 0; i < share; ++i) {
      mutex.lock_shared();
      mutex.unlock_shared();
      mutex.lock();
      mutex.unlock();
    }
  });
}

void rwmutexShared(int n, int perWrite, int work) {
  RWMutex mutex;
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) {
      if (i % perWrite == 0) {
        mutex.lock();
        mutex.unlock();
      } else {
        const std::shared_lock lock(mutex);
        units(work);
      }
    }
  });
}

void cond(int n, int waiters) {
  Mutex mutex;
  Cond all;
  WaitGroup group;
  int id = 0;
  for (int g = 0; g <= waiters; ++g) {
    group.go([&] {
      for (int i = 0; i < n; ++i) {
        const std::lock_guard lock(mutex);
        if (id == -1) return;
        if (++id > waiters) {
          id = 0;
          all.broadcast();
        } else {
          all.wait(mutex);
        }
      }
      const std::lock_guard lock(mutex);
      id = -1;
      all.broadcast();
    });
  }
  group.wait();
}

void waitGroupAddDone(int n) {
  WaitGroup counter;
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) {
      counter.add(1);
      counter.done();
    }
  });
}

void waitGroupWait(int n) {
  WaitGroup counter;
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) counter.wait();
  });
}

void waitGroupActuallyWait(int n) {
  parallel(n, [](int share) {
    for (int i = 0; i < share; ++i) {
      WaitGroup group;
      group.go([] {});
      group.wait();
    }
  });
}

void once(int n) {
  Once once;
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) once.call([] {});
  });
}

void semaphore(int n) {
  Semaphore semaphore(maxProcs());
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) {
      semaphore.acquire();
      semaphore.release();
    }
  });
}

void all() {
  heading();
  measure("MutexUncontended", 1'000'000, mutexAlone);
  measure("Mutex", 200'000, [](int n) { mutexShared(n, 1, 0); });
  measure("Mutex, four goroutines", 200'000, mutexFour);
  measure("MutexSlack", 200'000, [](int n) { mutexShared(n, kSlack, 0); });
  measure("MutexWork", 200'000, [](int n) { mutexShared(n, 1, kWork); });
  measure("MutexWorkSlack", 200'000, [](int n) { mutexShared(n, kSlack, kWork); });
  measure("MutexNoSpin", 5'000, mutexNoSpin);
  measure("MutexSpin", 5'000, mutexSpin);
  measure("RWMutexUncontended", 500'000, rwmutexAlone);
  measure("RWMutexWrite100", 200'000, [](int n) { rwmutexShared(n, 100, 0); });
  measure("RWMutexWrite10", 200'000, [](int n) { rwmutexShared(n, 10, 0); });
  measure("RWMutexWorkWrite100", 200'000, [](int n) { rwmutexShared(n, 100, kWork); });
  measure("RWMutexWorkWrite10", 200'000, [](int n) { rwmutexShared(n, 10, kWork); });
  measure("Cond1", 20'000, [](int n) { cond(n, 1); });
  measure("Cond4", 10'000, [](int n) { cond(n, 4); });
  measure("Cond32", 2'000, [](int n) { cond(n, 32); });
  measure("WaitGroupAddDone", 500'000, waitGroupAddDone);
  measure("WaitGroupWait", 1'000'000, waitGroupWait);
  measure("WaitGroupActuallyWait", 20'000, waitGroupActuallyWait);
  measure("Once", 1'000'000, once);
  measure("Semaphore", 200'000, semaphore);
}

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  if (argc > 1) runtime::wanted = argv[1];
  runtime::all();
  return 0;
}
