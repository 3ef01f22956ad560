#pragma once

// The clocks of the fleet: each starts anywhere, runs a little fast or slow, and its wall time
// steps.

#include <cstdint>

#include "limiter/core/clock.h"
#include "tests/sim/world.h"

namespace weir::sim {

// Some moment, as the wall of the simulated world shows it when a run begins: a minute's edge.
inline constexpr int64_t kWallStartNs = 1'700'000'040 * kSecond;

class SimClock : public Clock {
 public:
  // `drift_ppm`: millionths by which it is fast. The reader's world outlives it.
  SimClock(const World& world, int64_t mono_start_ns, int64_t wall_start_ns, int64_t drift_ppm)
      : world_(world),
        mono_start_ns_(mono_start_ns),
        wall_start_ns_(wall_start_ns),
        drift_ppm_(drift_ppm) {}

  Instant Now() override { return {MonoAt(world_.now_ns()), WallAt(world_.now_ns())}; }

  int64_t MonoAt(int64_t true_ns) const { return mono_start_ns_ + Elapsed(true_ns); }
  int64_t WallAt(int64_t true_ns) const { return wall_start_ns_ + Elapsed(true_ns) + stepped_ns_; }
  // The first moment at which the monotonic clock shows this or more.
  int64_t TrueAt(int64_t mono_ns) const {
    constexpr int64_t kMillion = 1'000'000;
    const int64_t elapsed = mono_ns - mono_start_ns_;
    // A whole number of millions and the rest apart, because their product would overflow.
    const int64_t rate = kMillion + drift_ppm_;
    int64_t true_ns = elapsed / rate * kMillion + elapsed % rate * kMillion / rate - 2;
    while (Elapsed(true_ns) < elapsed) ++true_ns;
    return true_ns;
  }

  void StepWall(int64_t ns) { stepped_ns_ += ns; }
  int64_t stepped_ns() const { return stepped_ns_; }

 private:
  int64_t Elapsed(int64_t true_ns) const { return true_ns + true_ns / 1'000 * drift_ppm_ / 1'000; }

  const World& world_;
  const int64_t mono_start_ns_;
  const int64_t wall_start_ns_;
  const int64_t drift_ppm_;
  int64_t stepped_ns_ = 0;
};

}  // namespace weir::sim
