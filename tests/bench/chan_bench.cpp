// What channels and select cost, by the definitions of Go's own suite (chan_test.go), whose names these are.
// FAIRLEAD_MAXPROCS sets the number of Ps; the argument chooses benchmarks by a part of their name.
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/select.h"
#include "runtime/time.h"
#include "runtime/waitgroup.h"
#include "tests/bench/measure.h"

namespace fairlead::runtime {
namespace {

constexpr int kBatch = 1000;
constexpr int kWork = 100;

template <class T>
void makeChan(const char* name) {
  measure(name, 100'000, [](int n) {
    for (int i = 0; i < n; ++i) {
      const Chan<T> c(8);
      asm volatile("" ::"r"(&c) : "memory");
    }
  });
}

struct Words5 {
  std::array<char*, 5> words{};
};

void nonblocking(int n) {
  const Chan<int> c;
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) c.tryReceive();
  });
}

void selectUncontended(int n) {
  parallel(n, [](int share) {
    const Chan<int> a(1);
    const Chan<int> b(1);
    a.send(0);
    for (int i = 0; i < share; ++i) {
      select(receive(a, [&] { b.send(0); }), receive(b, [&] { a.send(0); }));
    }
  });
}

void selectSyncContended(int n) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<int> c;
  parallel(n, [&](int share) {
    const Chan<int> done;
    go([=] {
      while (select(send(a, 0), send(b, 0), send(c, 0), receive(done)) != 3) {
      }
    });
    for (int i = 0; i < share; ++i) select(receive(a), receive(b), receive(c));
    done.close();
  });
}

void selectAsyncContended(int n) {
  const Chan<int> a(maxProcs());
  const Chan<int> b(maxProcs());
  parallel(n, [&](int share) {
    a.send(0);
    for (int i = 0; i < share; ++i) {
      select(receive(a, [&] { b.send(0); }), receive(b, [&] { a.send(0); }));
    }
  });
}

void selectNonblock(int n) {
  const Chan<int> a;
  const Chan<int> b;
  const Chan<int> empty(1);
  const Chan<int> full(1);
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) {
      select(receive(a), otherwise());
      select(send(b, 0), otherwise());
      select(receive(empty), otherwise());
      select(send(full, 0), otherwise());
    }
  });
}

void hundredsOf(const Chan<int>& c, int share) {
  for (int i = 0; i < share; ++i) {
    for (int k = 0; k < 100; ++k) c.send(0);
    for (int k = 0; k < 100; ++k) c.receive();
  }
}

void uncontended(int n) {
  parallel(n, [](int share) { hundredsOf(Chan<int>(100), share); });
}

void contended(int n) {
  const Chan<int> c(100L * maxProcs());
  parallel(n, [&](int share) { hundredsOf(c, share); });
}

void sync(int n, int work) {
  const Chan<int> c;
  std::atomic<int> left{n / kBatch};
  WaitGroup group;
  for (int p = 0; p < 2; ++p) {
    group.go([&, p] {
      while (--left >= 0) {
        for (int i = 0; i < kBatch; ++i) {
          if ((i + p) % 2 == 0) {
            c.receive();
            units(work);
            c.send(0);
          } else {
            c.send(0);
            units(work);
            c.receive();
          }
          units(work);
        }
      }
    });
    if (left < 0) break;
  }
  group.wait();
}

void roundTrips(int n) {
  const Chan<int> ask;
  const Chan<int> answer;
  WaitGroup server;
  server.go([=] {
    for (const int value : ask) answer.send(value);
  });
  for (int i = 0; i < n; ++i) {
    ask.send(i);
    answer.receive();
  }
  ask.close();
  server.wait();
}

void prodCons(int n, int capacity, int pairs, int work) {
  const Chan<int> c(capacity);
  WaitGroup group;
  for (int p = 0; p < pairs; ++p) {
    group.go([=] {
      for (int i = 1; i < n / pairs; ++i) {
        units(work);
        c.send(i);
      }
      c.send(0);
    });
    group.go([=] {
      while (*c.receive() != 0) units(work);
    });
  }
  group.wait();
}

void selectProdCons(int n) {
  const Chan<int> c(128);
  const Chan<int> never;
  const Timer timer = newTimer(std::chrono::hours(1));
  const Chan<Time> late = timer.channel();
  WaitGroup group;
  const int pairs = maxProcs();
  for (int p = 0; p < pairs; ++p) {
    group.go([=] {
      for (int i = 1; i <= n / pairs; ++i) {
        units(kWork);
        select(send(c, i < n / pairs ? i : 0), receive(late), receive(never));
      }
    });
    group.go([=] {
      for (int value = 1; value != 0; units(kWork)) {
        select(receive(c, [&](std::optional<int> v) { value = *v; }), receive(late), receive(never));
      }
    });
  }
  group.wait();
  timer.stop();
}

void drainClosed(int n) {
  const Chan<Nothing> c(PTRDIFF_MAX);
  for (int i = 0; i < n * (kRounds + 1); ++i) c.send({});
  c.close();
  measure("ReceiveDataFromClosedChan", n, [&](int share) {
    for (int i = 0; i < share; ++i) c.receive();
  });
}

void creation(int n) {
  parallel(n, [](int share) {
    for (int i = 0; i < share; ++i) {
      const Chan<int> c(1);
      c.send(0);
      c.receive();
    }
  });
}

void semaphore(int n) {
  const Chan<Nothing> c(maxProcs());
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) {
      c.send({});
      c.receive();
    }
  });
}

void popular(int n) {
  constexpr int kMany = 1000;
  const Chan<bool> c;
  std::vector<Chan<bool>> own;
  WaitGroup group;
  for (int i = 0; i < kMany; ++i) {
    own.emplace_back();
    group.go([=, mine = own.back()] {
      for (int k = 0; k < n; ++k) select(receive(c), receive(mine));
    });
  }
  for (int k = 0; k < n; ++k) {
    for (const auto& d : own) d.send(true);
  }
  group.wait();
}

void closed(int n) {
  const Chan<Nothing> c;
  c.close();
  parallel(n, [&](int share) {
    for (int i = 0; i < share; ++i) c.receive();
  });
}

void all() {
  heading();
  makeChan<char>("MakeChan/Byte");
  makeChan<int>("MakeChan/Int");
  makeChan<char*>("MakeChan/Ptr");
  makeChan<Nothing>("MakeChan/Struct/0");
  makeChan<std::array<char*, 4>>("MakeChan/Struct/32");
  makeChan<Words5>("MakeChan/Struct/40");
  measure("ChanNonblocking", 1'000'000, nonblocking);
  measure("SelectUncontended", 200'000, selectUncontended);
  measure("SelectSyncContended", 20'000, selectSyncContended);
  measure("SelectAsyncContended", 100'000, selectAsyncContended);
  measure("SelectNonblock", 200'000, selectNonblock);
  measure("ChanUncontended, 100 sends and receives", 2'000, uncontended);
  measure("ChanContended, 100 sends and receives", 2'000, contended);
  measure("ChanSync", 20'000, [](int n) { sync(n, 0); });
  measure("ChanSyncWork", 10'000, [](int n) { sync(n, kBatch); });
  measure("PingPong, two unbuffered channels, a round trip", 20'000, roundTrips);
  measure("ChanProdCons0", 50'000, [](int n) { prodCons(n, 0, maxProcs(), 0); });
  measure("ChanProdCons10", 50'000, [](int n) { prodCons(n, 10, maxProcs(), 0); });
  measure("ChanProdCons100", 50'000, [](int n) { prodCons(n, 100, maxProcs(), 0); });
  measure("ChanProdCons100, 2 and 2", 100'000, [](int n) { prodCons(n, 100, 2, 0); });
  measure("ChanProdConsWork0", 50'000, [](int n) { prodCons(n, 0, maxProcs(), kWork); });
  measure("ChanProdConsWork10", 50'000, [](int n) { prodCons(n, 10, maxProcs(), kWork); });
  measure("ChanProdConsWork100", 50'000, [](int n) { prodCons(n, 100, maxProcs(), kWork); });
  measure("SelectProdCons", 50'000, selectProdCons);
  drainClosed(100'000);
  measure("ChanCreation", 100'000, creation);
  measure("ChanSem", 100'000, semaphore);
  measure("ChanPopular, 1000 goroutines", 20, popular);
  measure("ChanClosed", 1'000'000, closed);
}

}  // namespace
}  // namespace fairlead::runtime

int fairlead::goMain(int argc, char** argv) {
  if (argc > 1) runtime::wanted = argv[1];
  runtime::all();
  return 0;
}
