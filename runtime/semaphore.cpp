#include "runtime/semaphore.h"

#include <mutex>

#include "runtime/select.h"

namespace fairlead::runtime {

void Semaphore::acquire(const Context& context, int64_t n) {
  const Chan<Nothing> done = context.done();
  if (done.tryReceive().ready) std::rethrow_exception(context.err());
  std::unique_lock lock(mutex_);
  if (size_ - held_ >= n && requests_.empty()) {
    held_ += n;
    return;
  }
  if (n > size_) {  // never to be had: it must not stand in the way of others
    lock.unlock();
    done.receive();
    std::rethrow_exception(context.err());
  }
  const Request request{n, Chan<Nothing>()};
  const auto at = requests_.insert(requests_.end(), request);
  lock.unlock();
  wait(context, done, request, at);
}

// A granted request is off the list: `at` is then nowhere.
void Semaphore::wait(const Context& context, const Chan<Nothing>& done, const Request& request,
                     std::list<Request>::iterator at) {
  const bool got = select(receive(request.granted), receive(done)) == 0;
  if (got && !done.tryReceive().ready) return;
  {
    const std::lock_guard lock(mutex_);
    if (request.granted.tryReceive().ready) {
      held_ -= request.n;
    } else {
      requests_.erase(at);
    }
    grant();
  }
  std::rethrow_exception(context.err());
}

bool Semaphore::tryAcquire(int64_t n) {
  const std::lock_guard lock(mutex_);
  const bool free = size_ - held_ >= n && requests_.empty();
  if (free) held_ += n;
  return free;
}

void Semaphore::release(int64_t n) {
  const std::lock_guard lock(mutex_);
  if (held_ < n) throw Panic("semaphore: released more than held");
  held_ -= n;
  grant();
}

// grant() serves requests in their order, up to the first that is too big.
void Semaphore::grant() {
  while (!requests_.empty() && size_ - held_ >= requests_.front().n) {
    held_ += requests_.front().n;
    requests_.front().granted.close();
    requests_.pop_front();
  }
}

}  // namespace fairlead::runtime
