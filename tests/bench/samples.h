// A handful of measurements of the same thing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace fairlead::bench {

// Samples are in microseconds.
class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  size_t count() const { return values_.size(); }
  double median() const { return quantile(0.5); }
  double p99() const { return quantile(0.99); }
  double least() const { return quantile(0); }

 private:
  double quantile(double part) const {
    if (values_.empty()) return 0;
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[std::min(sorted.size() - 1,
                           static_cast<size_t>(part * static_cast<double>(sorted.size())))];
  }
  std::vector<double> values_;
};

}  // namespace fairlead::bench
