#include "runtime/fork.h"

#include <pthread.h>

#include <atomic>

#include "runtime/gmp.h"

namespace fairlead::runtime {
namespace {

constinit Lock making(LockRank::Outer);
constinit std::atomic<bool> forked{false};

}  // namespace

void installForkHandlers() {
  pthread_atfork([] { making.lock(); }, [] { making.unlock(); },
                 [] {
                   making.unlock();
                   forked.store(true, std::memory_order_relaxed);
                   setm(nullptr);  // so that it costs nothing to notice: see getm()
                 });
}

bool inForkedChild() { return forked.load(std::memory_order_relaxed); }

NoFork::NoFork() { making.lock(); }
NoFork::~NoFork() { making.unlock(); }

}  // namespace fairlead::runtime
