#pragma once

// A clock that moves only when a test moves it.

#include <atomic>
#include <cstdint>

#include "limiter/core/clock.h"

namespace weir::test {

inline constexpr int64_t kSecondNs = 1'000'000'000;

// A minute's edge, so that windows of seconds and minutes begin where a test begins.
inline constexpr int64_t kWallStartNs = 1'700'000'040 * kSecondNs;
inline constexpr int64_t kMonoStartNs = 1'000 * kSecondNs;

// Thread safety: safe from any thread.
class FakeClock : public Clock {
 public:
  Instant Now() override {
    return {mono_ns_.load(std::memory_order_relaxed), wall_ns_.load(std::memory_order_relaxed)};
  }

  void Advance(int64_t ns) {
    mono_ns_.fetch_add(ns, std::memory_order_relaxed);
    StepWall(ns);
  }
  // What a corrected system clock does: wall time jumps, monotonic time does not notice.
  void StepWall(int64_t ns) { wall_ns_.fetch_add(ns, std::memory_order_relaxed); }

 private:
  // Relaxed: each value stands for itself, no test reads both as one while another thread writes.
  std::atomic<int64_t> mono_ns_{kMonoStartNs};
  std::atomic<int64_t> wall_ns_{kWallStartNs};
};

}  // namespace weir::test
