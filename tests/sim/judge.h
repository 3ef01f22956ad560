#pragma once

// What a fleet admitted against what its limits promise (docs/guarantees.md), hit by hit and on the
// store's own clock, so that nothing has to be rounded or explained away. A written exception adds
// its hits to every interval that it can have touched, and to no other.

#include <cstdint>
#include <string>
#include <vector>

#include "algorithms/limit.h"
#include "tests/sim/sim_store.h"

namespace weir::sim {

struct Admission {
  StoreTime time;
  uint64_t hits = 0;
};

// Extra hits that intervals may hold if they touch [first, last]; of windows, those that do.
struct Allowance {
  StoreTime first;
  StoreTime last;
  uint64_t hits = 0;
};

struct Judgement {
  // Hits above the bound in the worst interval; 0: the promise was kept.
  uint64_t excess = 0;
  // The most that one interval held against what it may hold without any exception: 1 is the bound.
  double worst_ratio = 0;
  std::string where;  // of the excess
};

// The allowances of one key. `linger_ns`: how long after it an exception still adds hits, because
// leases from before live on.
std::vector<Allowance> AllowancesOf(const std::vector<Exception>& exceptions, std::size_t key,
                                    int64_t linger_ns);

// token_bucket: every interval of any length; sliding_window: every interval of one window;
// fixed_window: every aligned window of the store's wall time.
Judgement Judge(const Limit& limit, std::vector<Admission> admissions,
                const std::vector<Allowance>& allowances);

}  // namespace weir::sim
