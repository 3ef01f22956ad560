#include "limiter/metrics/top_key_families.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "limiter/core/top_keys.h"
#include "limiter/metrics/slot_rows.h"

namespace weir {
namespace {

constexpr std::size_t kRanks = 5;
constexpr std::size_t kSeriesPerRule = kRanks + 1;

}  // namespace

void AddTopKeyFamilies(Families& families, const Engine& engine) {
  const SlotRows rows = SlotRows::OfRules(engine.series());
  const std::size_t rules_max = engine.series().spare() / kSeriesPerRule;
  std::vector<std::pair<std::size_t, TopKeys>> rules;  // row, keys
  std::set<std::size_t> seen;
  for (const uint32_t slot : engine.TopKeySlots()) {
    if (rules.size() >= rules_max) break;
    if (slot >= rows.slots() || !seen.insert(rows.RowOf(slot)).second) continue;
    TopKeys top = engine.TopKeysOf(slot, kRanks);
    if (!top.keys.empty()) rules.emplace_back(rows.RowOf(slot), std::move(top));
  }
  families.Gauge("weir_topk_hits",
                 "Hits of a rule's busiest keys, by rank: of the last minute, faded, from samples.",
                 kRanks * rules.size());
  for (const auto& [row, top] : rules) {
    for (std::size_t rank = 0; rank < top.keys.size(); ++rank) {
      families.Add({{"domain", rows.labels(row)[0]},
                    {"rule", rows.labels(row)[1]},
                    {"rank", std::to_string(rank + 1)}},
                   top.keys[rank].hits);
    }
  }
  families.Gauge("weir_topk_share", "Share of a rule's hits that its busiest key takes.",
                 rules.size());
  for (const auto& [row, top] : rules) {
    families.Add({{"domain", rows.labels(row)[0]}, {"rule", rows.labels(row)[1]}},
                 top.keys.front().hits / top.hits);
  }
}

}  // namespace weir
