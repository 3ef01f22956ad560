#pragma once

// What a run is made of. A seed draws everything and, swarm testing's idea (Groce et al., 2012),
// leaves whole classes of faults out: with all of them on, deep states are rarely reached.

#include <cstdint>
#include <string>
#include <vector>

#include "limiter/core/policy.h"
#include "limiter/store/lease.h"
#include "tests/sim/link.h"
#include "tests/sim/sim_store.h"

namespace weir::sim {

enum class LoadShape : uint8_t {
  kSteady,
  kOnOff,       // ten times the rate for a tenth of the time
  kFlashCrowd,  // a hundred times the rate, from one moment on for a while
  kEdges,       // everything at the edges of windows and sub-buckets
};

struct LoadOptions {
  LoadShape shape = LoadShape::kSteady;
  double demand = 2;     // offered hits over the limit's rate, before the shape
  double odd_costs = 0;  // share of requests that cost 0, B, B + 1 or more
  double node_skew = 0;  // share of requests that all go to the first node
  bool zipf = true;      // keys by their rank, else all alike
  double pairs = 0;      // share of requests that ask for two keys
  double holders = 0;    // how often a live lease is held to its last instant, then spent
  std::size_t requests_max = 3'000;
};

// Mean times between faults of a class, in true time; 0: none of it.
struct FaultOptions {
  int64_t pause_ns = 0;       // of a node, up to a few windows long
  int64_t kill_ns = 0;        // of a node, which comes back
  int64_t wall_step_ns = 0;   // of a node's wall clock
  int64_t cut_ns = 0;         // of the network of a node, one way or both
  int64_t slow_ns = 0;        // of the network of a node
  int64_t freeze_ns = 0;      // of the store
  int64_t store_step_ns = 0;  // of the store's clock
  int64_t fail_over_ns = 0;   // of the store, with what its replica had
  int64_t split_ns = 0;       // of the store: two primaries at once
  int64_t restart_ns = 0;     // of the store, with or without its data
  int64_t longest_ns = 0;     // that any of them lasts
};

struct SimOptions {
  uint64_t seed = 1;
  int nodes = 1;
  std::vector<KeySpec> keys;
  int64_t duration_ns = 0;  // of the safety phase
  int64_t drift_ppm = 0;    // of any clock, either way
  int64_t store_wait_ns = 10 * kMs;
  LeaseOptions lease;
  double rare = 0;  // see World::Rare
  std::size_t waiting_max = 1'000;
  OnStoreFailure on_store_failure = OnStoreFailure::kDeny;
  ChargeDenied charge_denied = ChargeDenied::kFirst;
  Network network;
  LinkOptions link;
  LoadOptions load;
  FaultOptions faults;
};

// A fleet without faults under one limit.
SimOptions CalmOptions(uint64_t seed, int nodes, const LimitSpec& limit);
// Everything by chance.
SimOptions SwarmOptions(uint64_t seed);

// One key under a limit; `index` makes it another one.
KeySpec MakeKey(const LimitSpec& limit, uint64_t index);
// How long the limit remembers a hit.
int64_t MemoryNs(const Limit& limit);

std::string Describe(const SimOptions& options);

}  // namespace weir::sim
