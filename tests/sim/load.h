#pragma once

// Who asks: callers of the safety phase, who do what hurts, and of the liveness phase, who ask for
// half of each limit and are all to be admitted.

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/sim/fleet.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace weir::sim {

class Load {
 public:
  Load(World& world, const SimStore& store, Fleet& fleet, const SimOptions& options);

  // Requests from now until then. The load lives until that time.
  void Start(int64_t until_ns);
  // The same, evenly spaced, each key at half its rate, on the nodes by turns.
  void StartHalfRate(int64_t until_ns);

 private:
  double Multiplier() const;
  void Next();
  void NextEdge(int key);
  void AskOne(int key);
  int DrawKey();
  int DrawNode();
  uint64_t DrawCost(const Limit& limit);
  void HalfRate(int key, int64_t every_ns, int node);

  World& world_;
  const SimStore& store_;
  Fleet& fleet_;
  const SimOptions& options_;
  uint64_t phase_ = 0;  // what was planned in an older one does not happen
  double mean_ns_ = 0;  // between two requests, at a multiplier of 1
  int64_t begin_ns_ = 0;
  int64_t until_ns_ = 0;
  std::size_t asked_ = 0;
  std::vector<double> key_weights_;  // cumulative, the last one is 1
};

}  // namespace weir::sim
