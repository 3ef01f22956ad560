#pragma once

// Which metric series exist. Rules and domains get slots when a configuration is compiled; only
// statistics that a rule keys by runtime values get slots later. A budget bounds them all: above it
// series fold into `__overflow__`, so that neither a large configuration nor a caller's values
// make metrics grow without end.
//
// Thread safety: safe from any thread; one lock, never taken by a warm check.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "limiter/core/counters.h"
#include "limiter/core/mutex.h"

namespace weir {

inline constexpr char kOverflowLabel[] = "__overflow__";
inline constexpr char kOverrideLabel[] = "_override";  // of limits that callers bring
inline constexpr char kUnknownDomainLabel[] = "_unknown";

// A level of a statistic as the reference's label text: ':' and '|', which mean something to
// statsd, and the dots of an IPv4 address become '_'. The level stays whole at other dots.
std::string StatLabelText(std::string_view level);

class SeriesRegistry {
 public:
  // Series one slot stands for when the budget is reckoned: the decisions, hits and near-limit
  // series of a rule in normal operation; the families of a statistic.
  static constexpr std::size_t kSeriesPerRule = 12;
  static constexpr std::size_t kSeriesPerStat = 5;

  struct RuleLabels {
    std::string domain;
    std::string rule;
    bool operator<(const RuleLabels& o) const {
      return std::tie(domain, rule) < std::tie(o.domain, o.rule);
    }
  };
  struct StatLabels {
    std::string domain;
    std::string key1;
    std::string key2;  // empty: the label is absent
    bool operator<(const StatLabels& o) const {
      return std::tie(domain, key1, key2) < std::tie(o.domain, o.key1, o.key2);
    }
  };

  explicit SeriesRegistry(std::size_t series_max);

  // The slot for the labels, a new one while the budget lasts, else the overflow slot.
  uint32_t RuleSlot(const RuleLabels& labels);
  uint32_t StatSlot(const StatLabels& labels);
  // As StatSlot for a runtime value: all of those spend at most half of the budget, and over it
  // they fold into `overflow_slot`, the rule's own.
  uint32_t DynamicStatSlot(const StatLabels& labels, uint32_t overflow_slot);
  uint32_t DomainSlot(std::string_view domain);

  // Of the slot's rule, as long as the registry lives.
  LeaseCounters& lease_counters(uint32_t rule_slot);
  // Slots whose rules lease, with their counters, for exporters.
  void VisitLeases(const std::function<void(uint32_t, const LeaseCounters&)>& visit) const;

  // Labels by slot, for exporters.
  std::vector<RuleLabels> rules() const;
  std::vector<StatLabels> stats() const;
  std::vector<std::string> domains() const;
  // What is left of the budget, in series.
  std::size_t spare() const;
  // Requests for a new slot that were folded into an overflow slot.
  uint64_t dropped() const;

 private:
  bool Spend(std::size_t series) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  uint32_t AddStat(const StatLabels& labels) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::size_t series_max_;
  mutable Mutex mutex_;
  std::size_t series_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t dynamic_series_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<RuleLabels, uint32_t> rule_slots_ ABSL_GUARDED_BY(mutex_);
  std::map<StatLabels, uint32_t> stat_slots_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint32_t, std::less<>> domain_slots_ ABSL_GUARDED_BY(mutex_);
  std::map<uint32_t, LeaseCounters> leases_ ABSL_GUARDED_BY(mutex_);
  std::vector<RuleLabels> rules_ ABSL_GUARDED_BY(mutex_);
  std::vector<StatLabels> stats_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> domains_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
