#pragma once

// Every interleaving of a small fleet: the lease protocol as a state machine on whole ticks of
// time, explored breadth first until no new state is left. All times are kept relative to now, so
// that the states are finitely many though time never ends: the search is complete, not cut at a
// horizon.
//
// The state machine is written apart from lease_scheme.cc and the scripts, so that they check one
// another. What may happen in any order: a node asks for a lease, with a hit of its own or without;
// the store executes a call; its reply comes, late, or never; a node uses a hit; a tick passes; a
// call is executed twice; once in a run, the store falls back to what it held some time ago.

#include <cstdint>
#include <string>

#include "algorithms/limit.h"

namespace weir::sim {

struct ExploreOptions {
  Algorithm algorithm = Algorithm::kTokenBucket;
  int nodes = 2;
  int hits = 3;    // L; of a bucket the burst B, which refills one hit a tick
  int window = 3;  // W in ticks: of the windows
  int bucket = 1;  // width of a sub-bucket in ticks: of the sliding window
  int life = 1;    // D in ticks
  int want = 2;    // hits of a lease, at most
  bool fails_over = false;
  bool doubles = false;  // calls may be executed twice
  // Rules of the protocol; each can be left out to see that the search finds it.
  bool post_dated = true;
  bool expires_from_send = true;
  bool dies_with_window = true;
  bool refunds = false;
  bool gives_back = false;  // fixed window: unused hits, with the next call
  bool zeroed_before_back = true;
};

struct ExploreResult {
  uint64_t states = 0;
  uint64_t transitions = 0;
  bool complete = false;  // every reachable state was seen
  // The shortest way to a broken promise; empty: there is none.
  std::string counterexample;
};

// Stops at `states_max`.
ExploreResult Explore(const ExploreOptions& options, uint64_t states_max);

}  // namespace weir::sim
