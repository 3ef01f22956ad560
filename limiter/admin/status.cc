#include "limiter/admin/status.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "limiter/admin/html.h"
#include "limiter/core/counters.h"
#include "limiter/core/rule_table.h"

namespace weir {
namespace {

std::string LimitText(const Rule& rule) {
  if (rule.unlimited) return "unlimited";
  std::string text = absl::StrCat(rule.limit.hits, " per ");
  if (rule.unit_multiplier != 1) absl::StrAppend(&text, rule.unit_multiplier, " × ");
  std::string algorithm = AlgorithmName(rule.limit.algorithm);
  std::replace(algorithm.begin(), algorithm.end(), '_', ' ');
  absl::StrAppend(&text, absl::AsciiStrToLower(UnitName(rule.unit)), ", ", algorithm);
  if (rule.limit.algorithm == Algorithm::kTokenBucket) {
    absl::StrAppend(&text, " of ", rule.limit.capacity);
  }
  return text;
}

RuleSums At(const std::vector<RuleSums>& sums, uint32_t slot) {
  return slot < sums.size() ? sums[slot] : RuleSums{};
}

RuleStatus StatusOf(const Engine& engine, const Rule& rule) {
  RuleStatus status;
  status.domain = rule.domain;
  status.label = rule.label;
  status.limit = LimitText(rule);
  status.place = absl::StrCat(rule.position.file, ":", rule.position.line);
  status.unlimited = rule.unlimited;
  status.shadow = rule.shadow_mode;
  status.quota = rule.quota_mode || engine.options().quota_mode;
  if (!rule.unlimited) {
    status.exact_because = engine.LeaseStateOf(rule).exact_because;
    status.leased = status.exact_because.empty();
  }
  return status;
}

}  // namespace

RuleRates::Interval RuleRates::Look(int64_t now_ns, const std::vector<RuleSums>& sums,
                                    std::vector<RuleSums>& base) {
  if (now_ns - last_.ns >= kIntervalMinNs) {
    before_ = std::move(last_);
    before_is_start_ = last_is_start_;
    last_ = {now_ns, sums};
    last_is_start_ = false;
  }
  base = before_.sums;
  return {now_ns - before_.ns, before_is_start_};
}

std::vector<RuleSums> SumRules(const Engine& engine) {
  std::vector<RuleSums> sums(engine.series().rules().size());
  engine.VisitCounters([&](const WorkerCounters& counters) {
    for (std::size_t slot = 0; slot < sums.size(); ++slot) {
      const RuleCounters* rule = counters.rules.Find(slot);
      if (rule == nullptr) continue;
      for (std::size_t mode = 0; mode < kModes; ++mode) {
        for (std::size_t source = 0; source < kSources; ++source) {
          const uint64_t denied = rule->decisions[1][mode][source].Get();
          sums[slot].denied += denied;
          sums[slot].decisions += denied + rule->decisions[0][mode][source].Get();
        }
      }
      sums[slot].admitted += rule->lease_admitted.Get();
    }
  });
  // After what was admitted, so that no look sees more of it than was granted.
  engine.series().VisitLeases([&](uint32_t slot, const LeaseCounters& leases) {
    if (slot >= sums.size()) return;
    sums[slot].gone = leases.expired.load(std::memory_order_relaxed) +
                      leases.returned.load(std::memory_order_relaxed);
    sums[slot].granted = leases.granted.load(std::memory_order_relaxed);
  });
  return sums;
}

void FillRules(const Engine& engine, RuleRates& rates, Status& status) {
  const std::shared_ptr<const RuleTable> table = engine.rules();
  if (table == nullptr) return;
  const std::vector<RuleSums> sums = SumRules(engine);
  std::vector<RuleSums> base;
  const RuleRates::Interval interval = rates.Look(engine.now().mono_ns, sums, base);
  status.interval_ns = interval.ns;
  status.since_start = interval.since_start;
  status.rules_count = table->rules().size();
  const auto recent = [&](const Rule& rule) {
    return At(sums, rule.rule_slot).decisions - At(base, rule.rule_slot).decisions;
  };
  std::vector<const Rule*> busiest;
  for (const Rule& rule : table->rules()) busiest.push_back(&rule);
  std::stable_sort(busiest.begin(), busiest.end(),
                   [&](const Rule* a, const Rule* b) { return recent(*a) > recent(*b); });
  if (busiest.size() > Status::kRulesShown) busiest.resize(Status::kRulesShown);
  for (const Rule* rule : busiest) {
    RuleStatus& item = status.rules.emplace_back(StatusOf(engine, *rule));
    item.sums = At(sums, rule->rule_slot);
    const auto decisions = static_cast<double>(recent(*rule));
    const auto denied = static_cast<double>(item.sums.denied - At(base, rule->rule_slot).denied);
    item.decisions_per_s = decisions * 1e9 / static_cast<double>(std::max<int64_t>(interval.ns, 1));
    item.denied_ratio =
        decisions > 0 ? denied / decisions : std::numeric_limits<double>::quiet_NaN();
    if (status.rules.size() <= Status::kTopRulesShown) {
      item.top = engine.TopKeysOf(rule->rule_slot, Status::kKeysShown);
    }
  }
}

}  // namespace weir
