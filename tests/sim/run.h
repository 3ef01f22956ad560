#pragma once

// One run: a fleet, its load and its faults until the safety phase ends, then a healed fleet that
// is to admit everything, then the verdict.

#include <functional>
#include <string>
#include <vector>

#include "tests/sim/fleet.h"
#include "tests/sim/options.h"

namespace weir::sim {

struct RunResult {
  std::vector<std::string> violations;
  Fleet::Counts counts;
  uint64_t events = 0;
  uint64_t store_calls = 0;
  int64_t simulated_ns = 0;
  // The most that an interval held against its limit without exceptions; 1 is the bound.
  double worst_ratio = 0;
  uint64_t excess = 0;  // hits above the bound in the worst interval of any key
};

struct RunOptions {
  bool trace = false;
  bool liveness = true;  // after the safety phase
  // Called before the load starts, to plan what chance would not bring.
  std::function<void(World&, SimStore&, Fleet&)> plan;
};

RunResult Simulate(const SimOptions& options, const MakeScheme& make_scheme, const RunOptions& how);

}  // namespace weir::sim
