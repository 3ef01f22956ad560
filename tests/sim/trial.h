#pragma once

// One measurement: a fleet under one kind of limit and one kind of load, and beside it one central
// limiter that is asked the same things in true time. Unlike run.h nothing is drawn but the
// arrivals, the clocks and the network's jitter, so that a number means something.

#include <cstdint>
#include <string>
#include <vector>

#include "limiter/store/lease.h"
#include "tests/sim/link.h"
#include "tests/sim/world.h"

namespace weir::sim {

enum class Arrivals : uint8_t {
  kSteady,
  kOnOff,       // ten times the demand for a tenth of the time, hardly any in between
  kFlashCrowd,  // a hundred times the demand for a fiftieth of the time, after a third of it
  kHotKey,      // ten keys, the first of which has half of all requests
  kEdges,       // each window's requests around its edges
  kSkewed,      // nine of ten requests to the first node
  kQuietCrowd,  // a tenth of the demand, a flash crowd of thirty times it, then the demand
};

const char* ArrivalsName(Arrivals arrivals);

struct Trial {
  std::string scheme = "shared_store_leased";
  LimitSpec limit;
  int nodes = 3;
  double demand = 2;  // hits asked for over what the limits admit, of all nodes and keys together
  Arrivals arrivals = Arrivals::kSteady;
  int64_t duration_ns = 0;
  int64_t warm_up_ns = 0;  // what happens before is not counted as waits and calls
  uint64_t seed = 1;
  LeaseOptions lease;
  int64_t store_wait_ns = 10 * kMs;
  // The store stands still from then on for so long; 0: never.
  int64_t freeze_at_ns = 0;
  int64_t freeze_ns = 0;
  int64_t bin_ns = 0;  // of the series; 0: none
};

struct Measured {
  uint64_t requests = 0;
  uint64_t admitted = 0;
  uint64_t central = 0;         // admitted by the central limiter
  uint64_t excess = 0;          // above the promise in the worst interval of any key
  uint64_t counted = 0;         // requests after the warm-up
  uint64_t waited = 0;          // of them, those not answered at once
  uint64_t by_policy = 0;       // of them
  uint64_t store_calls = 0;     // after the warm-up
  double worst_ratio = 0;       // the most that one interval held, over the promise
  double jain = 1;              // over nodes, of admitted over asked
  double calls_second_max = 0;  // store calls of one key, in its worst second after the first
  // While the store stood still and a store_wait longer.
  uint64_t frozen_requests = 0;
  uint64_t frozen_same = 0;  // answered at once and not by the policy
  int64_t ridden_ns = 0;     // until the first that was not, from the start of the freeze
  std::vector<uint64_t> asked_bins;
  std::vector<uint64_t> admitted_bins;  // by when their hits count
  std::vector<uint64_t> central_bins;
};

Measured Measure(const Trial& trial);

}  // namespace weir::sim
