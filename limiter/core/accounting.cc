#include "limiter/core/accounting.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "limiter/core/engine.h"

namespace weir {
namespace {

// Texts of statistics remembered per worker before the memory is dropped and filled anew.
constexpr std::size_t kStatSlotsMax = 4096;

std::string LevelText(const Rule* rule, std::size_t level, const Entry& entry) {
  std::string runtime = entry.value.empty()
                            ? std::string(entry.key)
                            : std::string(entry.key) + '_' + std::string(entry.value);
  if (rule == nullptr) return runtime;
  const Rule::Level& configured = rule->levels[level];
  if (configured.shared) return configured.composite;
  if (rule->detailed_metric || configured.value_to_metric) return runtime;
  return configured.composite;
}

}  // namespace

HitSplit SplitHits(uint64_t capacity, uint64_t near_limit, uint64_t hits, const Grant& grant) {
  HitSplit split;
  const uint64_t before = capacity - std::min(capacity, grant.remaining_before);
  const uint64_t room = capacity - before;
  if (hits > room || (!grant.decision.allowed && room == 0)) {  // after > L
    split.over = hits - room;
    if (before < capacity) split.near = capacity - std::max(near_limit, before);
    return split;
  }
  const uint64_t after = before + hits;
  split.within = hits;
  if (after > near_limit) split.near = before >= near_limit ? hits : after - near_limit;
  return split;
}

void Accounting::Count(const Outcome& outcome, const Descriptor& descriptor, const Grant& grant,
                       const RuleTable::Domain& domain) const {
  const bool charges = descriptor.op == Op::kTake || descriptor.op == Op::kReport;
  const HitSplit split =
      SplitHits(outcome.limit.capacity, outcome.near_limit, descriptor.hits, grant);
  RuleCounters& counters = counters_.rules.At(
      outcome.rule != nullptr ? outcome.rule->rule_slot : RuleTable::OverrideRuleSlot(domain));
  const std::size_t code = grant.decision.allowed ? 0 : 1;
  const std::size_t mode = outcome.shadowed() || global_shadow_ ? 1 : 0;
  counters.decisions[code][mode][static_cast<std::size_t>(grant.source)].Add(1);
  if (charges) counters.hits[code].Add(descriptor.hits);
  if (charges && split.near > 0) counters.near_limit.Add(1);
  if (grant.source == Source::kLease && grant.lease_ends_mono_ns > 0)
    counters.lease_admitted.Add(descriptor.hits);
  if (grant.overflow) counters.overflow.Add(1);
  if (grant.decision.clock_fault) counters_.clock_faults.Add(1);
  if (!count_stats_) return;
  StatCounters& stats = counters_.stats.At(StatSlot(outcome, descriptor, domain));
  if (descriptor.op == Op::kRefund) stats.negative_hits.Add(descriptor.hits);
  if (!charges) return;
  stats.total_hits.Add(descriptor.hits);
  stats.over_limit.Add(split.over);
  stats.near_limit.Add(split.near);
  stats.within_limit.Add(split.within);
  if (outcome.shadowed()) stats.shadow_mode.Add(split.over);
}

uint32_t Accounting::StatSlot(const Outcome& outcome, const Descriptor& descriptor,
                              const RuleTable::Domain& domain) const {
  const Rule* rule = outcome.rule;
  if (rule != nullptr && !rule->dynamic_stats) return rule->stat_slot;
  std::string key1 = LevelText(rule, 0, descriptor.entries[0]);
  std::string key2 = descriptor.entries.size() > 1 ? LevelText(rule, 1, descriptor.entries[1]) : "";
  const std::string_view name = RuleTable::NameOf(domain);
  std::string text;
  // With the length in front, because values may hold any byte, the separator's too.
  text.append(std::to_string(key1.size())).append(1, ' ');
  text.append(name).append(1, '\0').append(key1).append(1, '\0').append(key2);
  if (const auto found = stat_slots_.find(text); found != stat_slots_.end()) return found->second;
  const SeriesRegistry::StatLabels labels{std::string(name), StatLabelText(key1),
                                          StatLabelText(key2)};
  const uint32_t slot = series_.DynamicStatSlot(
      labels, rule != nullptr ? rule->stat_slot : RuleTable::OverrideStatSlot(domain));
  if (stat_slots_.size() >= kStatSlotsMax) stat_slots_.clear();
  stat_slots_.emplace(text, slot);
  return slot;
}

}  // namespace weir
