#pragma once

// Runs of one scheme from seed to seed for a while, for tests that are sized by time.

#include <cstdint>

#include "tests/sim/run.h"

namespace weir::sim {

// SIM_SECONDS, else the default of a test run, spread over all tests of this kind by `share`.
double SimSeconds(double share);
// SIM_SEED, else 1. Runs count up from it, so that a test run is the same twice.
uint64_t FirstSeed();

struct SwarmResult {
  uint64_t runs = 0;
  uint64_t requests = 0;
  uint64_t events = 0;
  uint64_t store_calls = 0;
  double simulated_hours = 0;
  double worst_ratio = 0;
};

// Fails the test at the first seed with a violation and says how to replay it.
SwarmResult ExpectNoViolation(const char* scheme, double seconds);

}  // namespace weir::sim
