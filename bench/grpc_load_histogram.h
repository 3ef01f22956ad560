// A log-linear histogram of latencies, as HdrHistogram's: constant memory, bounded relative error.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::bench {

// Counts values from 0 to 2^63 nanoseconds. Each power of two is cut into 64 equal steps, so a
// quantile is too high by at most 1/64 (1.6%) and never too low. Not thread-safe.
class LatencyHistogram {
 public:
  // Values below zero count as zero. Cannot fail.
  void Record(int64_t latency_ns) {
    const uint64_t value = latency_ns < 0 ? 0 : static_cast<uint64_t>(latency_ns);
    ++counts_[Index(value)];
    ++total_;
    if (value > max_) max_ = value;
  }

  // The smallest upper bound, in nanoseconds, that at least `share` (0 to 1) of the values do not
  // exceed; the largest value recorded bounds it. 0 if nothing was recorded.
  [[nodiscard]] uint64_t QuantileNs(double share) const {
    if (total_ == 0) return 0;
    const double exact_rank = share * static_cast<double>(total_);
    uint64_t rank = static_cast<uint64_t>(exact_rank);
    if (static_cast<double>(rank) < exact_rank || rank == 0) ++rank;
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= rank) return UpperBound(i) < max_ ? UpperBound(i) : max_;
    }
    return max_;
  }

  [[nodiscard]] uint64_t total() const { return total_; }
  [[nodiscard]] uint64_t max_ns() const { return max_; }

 private:
  static constexpr int kStepBits = 6;  // 64 steps to a power of two: 1.6% is below any noise here
  static constexpr size_t kSteps = size_t{1} << kStepBits;

  // Values below 64 have an index each; above, the top six bits after the leading one choose it.
  static size_t Index(uint64_t value) {
    if (value < kSteps) return static_cast<size_t>(value);
    const int shift = static_cast<int>(std::bit_width(value)) - 1 - kStepBits;
    return static_cast<size_t>(shift) * kSteps + static_cast<size_t>(value >> shift);
  }

  static uint64_t UpperBound(size_t index) {
    if (index < kSteps) return index;
    const size_t shift = index / kSteps - 1;
    const uint64_t top = index - shift * kSteps;
    return ((top + 1) << shift) - 1;
  }

  std::array<uint64_t, kSteps*(64 - kStepBits + 1)> counts_{};
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

}  // namespace weir::bench
