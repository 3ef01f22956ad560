#pragma once

// What a decision adds to the counters: Weir's own by rule, and, where asked for, the reference's
// statistics with its hits arithmetic (docs/metrics.md).

#include <string>

#include "absl/container/flat_hash_map.h"
#include "limiter/core/counters.h"
#include "limiter/core/descriptor.h"
#include "limiter/core/rule_table.h"
#include "limiter/core/series.h"
#include "limiter/core/store.h"

namespace weir {

struct Outcome;

class Accounting {
 public:
  // References live as long as the object, which lives for one check.
  Accounting(WorkerCounters& counters, SeriesRegistry& series,
             absl::flat_hash_map<std::string, uint32_t>& stat_slots, bool count_stats,
             bool global_shadow)
      : counters_(counters),
        series_(series),
        stat_slots_(stat_slots),
        count_stats_(count_stats),
        global_shadow_(global_shadow) {}

  // REQUIRES: the outcome is limited.
  void Count(const Outcome& outcome, const Descriptor& descriptor, const Grant& grant,
             const RuleTable::Domain& domain) const;

 private:
  uint32_t StatSlot(const Outcome& outcome, const Descriptor& descriptor,
                    const RuleTable::Domain& domain) const;

  WorkerCounters& counters_;
  SeriesRegistry& series_;
  absl::flat_hash_map<std::string, uint32_t>& stat_slots_;
  const bool count_stats_;
  const bool global_shadow_;
};

// How the hits of one decision fall around the limit: the reference's arithmetic over the count
// before and after them.
struct HitSplit {
  uint64_t over = 0;
  uint64_t near = 0;
  uint64_t within = 0;
};
HitSplit SplitHits(uint64_t capacity, uint64_t near_limit, uint64_t hits, const Grant& grant);

}  // namespace weir
