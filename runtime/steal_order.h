// Internal: in which order a thief visits the Ps.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>

namespace fairlead::runtime {

// StealOrder makes walks that visit each of n positions once. A walk starts anywhere and goes on by a step
// that has no divisor in common with n, so that thieves who begin together do not stay together. (Go:
// randomOrder.)
class StealOrder {
 public:
  static constexpr uint32_t kMost = 1024;

  class Walk {
   public:
    Walk(uint32_t count, uint32_t start, uint32_t step) : count_(count), at_(start), step_(step) {}
    [[nodiscard]] bool done() const { return visited_ == count_; }
    void next() {
      ++visited_;
      at_ = (at_ + step_) % count_;
    }
    [[nodiscard]] uint32_t position() const { return at_; }
    [[nodiscard]] uint32_t step() const { return step_; }

   private:
    uint32_t count_;
    uint32_t visited_ = 0;
    uint32_t at_;
    uint32_t step_;
  };

  // reset() is for n positions, 1 to kMost. With the world stopped.
  void reset(uint32_t n) {
    count_ = n;
    ncoprimes_ = 0;
    for (uint32_t step = 1; step <= n; ++step) {
      if (std::gcd(step, n) == 1) coprimes_[ncoprimes_++] = static_cast<uint16_t>(step);
    }
  }

  // walk() makes the walk that belongs to r: walks of n * coprimes() successive numbers all differ.
  [[nodiscard]] Walk walk(uint32_t r) const {
    return {count_, r % count_, coprimes_[r / count_ % ncoprimes_]};
  }

  [[nodiscard]] uint32_t coprimes() const { return ncoprimes_; }

 private:
  uint32_t count_ = 1;
  uint32_t ncoprimes_ = 1;
  std::array<uint16_t, kMost> coprimes_{1};
};

}  // namespace fairlead::runtime
