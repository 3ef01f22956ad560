#include "limiter/metrics/rule_families.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "limiter/metrics/slot_rows.h"

namespace weir {
namespace {

constexpr std::string_view kCodeNames[kCodes] = {"ok", "over_limit"};
constexpr std::string_view kModeNames[kModes] = {"enforce", "shadow"};

struct RuleSums {
  uint64_t decisions[kCodes][kModes][kSources] = {};
  uint64_t hits[kCodes] = {};
  uint64_t near_limit = 0;
  uint64_t overflow = 0;
  uint64_t lease_granted = 0;
  uint64_t lease_admitted = 0;
  uint64_t lease_expired = 0;
  uint64_t lease_returned = 0;

  void Add(const RuleCounters& counters) {
    for (std::size_t code = 0; code < kCodes; ++code) {
      for (std::size_t mode = 0; mode < kModes; ++mode) {
        for (std::size_t source = 0; source < kSources; ++source) {
          decisions[code][mode][source] += counters.decisions[code][mode][source].Get();
        }
      }
      hits[code] += counters.hits[code].Get();
    }
    near_limit += counters.near_limit.Get();
    overflow += counters.overflow.Get();
    lease_admitted += counters.lease_admitted.Get();
  }
};

std::vector<RuleSums> SumRules(const SeriesRegistry& series, const SlotRows& rows,
                               std::span<const WorkerCounters* const> workers) {
  std::vector<RuleSums> sums(rows.rows());
  for (const WorkerCounters* worker : workers) {
    for (std::size_t slot = 0; slot < rows.slots(); ++slot) {
      const RuleCounters* counters = worker->rules.Find(slot);
      if (counters != nullptr) sums[rows.RowOf(slot)].Add(*counters);
    }
  }
  // After what was admitted, so that no scrape sees more of it than was granted.
  series.VisitLeases([&](uint32_t slot, const LeaseCounters& leases) {
    if (slot >= rows.slots()) return;
    RuleSums& sum = sums[rows.RowOf(slot)];
    sum.lease_granted += leases.granted.load(std::memory_order_relaxed);
    sum.lease_expired += leases.expired.load(std::memory_order_relaxed);
    sum.lease_returned += leases.returned.load(std::memory_order_relaxed);
  });
  return sums;
}

void AddPerRule(Families& families, const SlotRows& rows, const std::vector<RuleSums>& sums,
                uint64_t RuleSums::*count) {
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    if (sums[row].*count == 0) continue;
    families.Add({{"domain", rows.labels(row)[0]}, {"rule", rows.labels(row)[1]}},
                 sums[row].*count);
  }
}

void AddLeases(Families& families, const SlotRows& rows, const std::vector<RuleSums>& sums) {
  struct Family {
    const char* name;
    const char* help;
    uint64_t RuleSums::*count;
  };
  static constexpr Family kFamilies[] = {
      {"weir_lease_hits_granted_total", "Hits leased from the store in advance.",
       &RuleSums::lease_granted},
      {"weir_lease_hits_admitted_total", "Hits of decisions out of leases.",
       &RuleSums::lease_admitted},
      {"weir_lease_hits_expired_total", "Leased hits that were not spent in time.",
       &RuleSums::lease_expired},
      {"weir_lease_hits_returned_total", "Leased hits given back unspent.",
       &RuleSums::lease_returned},
  };
  for (const Family& family : kFamilies) {
    families.Counter(family.name, family.help);
    AddPerRule(families, rows, sums, family.count);
  }
}

void AddDecisions(Families& families, const SlotRows& rows, const std::vector<RuleSums>& sums) {
  families.Counter("weir_decisions_total", "Decisions on descriptors that matched a rule.",
                   2 * rows.rows());
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const SlotRows::Labels& labels = rows.labels(row);
    for (std::size_t code = 0; code < kCodes; ++code) {
      for (std::size_t mode = 0; mode < kModes; ++mode) {
        for (std::size_t source = 0; source < kSources; ++source) {
          const uint64_t count = sums[row].decisions[code][mode][source];
          if (count == 0) continue;
          families.Add({{"domain", labels[0]},
                        {"rule", labels[1]},
                        {"code", kCodeNames[code]},
                        {"mode", kModeNames[mode]},
                        {"source", kSourceNames[source]}},
                       count);
        }
      }
    }
  }
}

void AddHits(Families& families, const SlotRows& rows, const std::vector<RuleSums>& sums) {
  families.Counter("weir_hits_total", "Hits asked for (hits_addend), by what was decided.",
                   2 * rows.rows());
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const SlotRows::Labels& labels = rows.labels(row);
    for (std::size_t code = 0; code < kCodes; ++code) {
      if (sums[row].hits[code] == 0) continue;
      families.Add({{"domain", labels[0]}, {"rule", labels[1]}, {"code", kCodeNames[code]}},
                   sums[row].hits[code]);
    }
  }
}

void AddUnmatched(Families& families, const SeriesRegistry& series,
                  std::span<const WorkerCounters* const> workers) {
  const SlotRows rows = SlotRows::OfDomains(series);
  std::vector<uint64_t> sums(rows.rows());
  for (const WorkerCounters* worker : workers) {
    for (std::size_t slot = 0; slot < rows.slots(); ++slot) {
      const Counter* counter = worker->unmatched.Find(slot);
      if (counter != nullptr) sums[rows.RowOf(slot)] += counter->Get();
    }
  }
  families.Counter("weir_unmatched_total", "Descriptors that no rule matched.", rows.rows());
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    if (sums[row] > 0) families.Add({{"domain", rows.labels(row)[0]}}, sums[row]);
  }
}

}  // namespace

void AddRuleFamilies(Families& families, const SeriesRegistry& series,
                     std::span<const WorkerCounters* const> workers) {
  // Labels before counters: what a slot newer than the labels counted waits for the next scrape.
  const SlotRows rows = SlotRows::OfRules(series);
  const std::vector<RuleSums> sums = SumRules(series, rows, workers);
  AddDecisions(families, rows, sums);
  AddHits(families, rows, sums);
  families.Counter("weir_near_limit_total",
                   "Decisions with hits between the near-limit mark and the limit.");
  AddPerRule(families, rows, sums, &RuleSums::near_limit);
  families.Counter("weir_overflow_decisions_total",
                   "Decisions given by the overflow policy, because the key table was full.");
  AddPerRule(families, rows, sums, &RuleSums::overflow);
  AddLeases(families, rows, sums);
  AddUnmatched(families, series, workers);
}

}  // namespace weir
