#include "limiter/core/series.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/core/counters.h"

namespace weir {
namespace {

// The first slot of each kind takes what the budget refuses.
constexpr uint32_t kOverflowSlot = 0;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The end of the IPv4 address that starts at `begin`, or `begin` if none does.
std::size_t Ipv4End(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at >= text.size() || text[at++] != '.')) return begin;
    const std::size_t digits = at;
    while (at < text.size() && IsDigit(text[at]) && at - digits < 3) ++at;
    if (at == digits) return begin;
  }
  return at;
}

}  // namespace

std::string StatLabelText(std::string_view level) {
  std::string text(level);
  // Like the reference's pattern, an address is found wherever four groups of digits stand.
  for (std::size_t i = 0, end = 0; i < text.size(); ++i) {
    if (i >= end) end = Ipv4End(level, i);
    const bool in_address = i < end;
    if (text[i] == ':' || text[i] == '|' || (in_address && text[i] == '.')) text[i] = '_';
  }
  return text;
}

SeriesRegistry::SeriesRegistry(std::size_t series_max) : series_max_(series_max) {
  MutexLock lock(mutex_);
  rules_.push_back({kOverflowLabel, kOverflowLabel});
  stats_.push_back({kOverflowLabel, kOverflowLabel, ""});
  domains_.push_back(kUnknownDomainLabel);
}

bool SeriesRegistry::Spend(std::size_t series) {
  if (series_ + series > series_max_) {
    ++dropped_;
    return false;
  }
  series_ += series;
  return true;
}

uint32_t SeriesRegistry::RuleSlot(const RuleLabels& labels) {
  MutexLock lock(mutex_);
  if (const auto found = rule_slots_.find(labels); found != rule_slots_.end()) return found->second;
  if (rules_.size() >= SlotTable<RuleCounters>::kSlotsMax || !Spend(kSeriesPerRule)) {
    return kOverflowSlot;
  }
  const auto slot = static_cast<uint32_t>(rules_.size());
  rules_.push_back(labels);
  rule_slots_.emplace(labels, slot);
  return slot;
}

uint32_t SeriesRegistry::StatSlot(const StatLabels& labels) {
  MutexLock lock(mutex_);
  if (const auto found = stat_slots_.find(labels); found != stat_slots_.end()) return found->second;
  if (stats_.size() >= SlotTable<StatCounters>::kSlotsMax || !Spend(kSeriesPerStat)) {
    return kOverflowSlot;
  }
  return AddStat(labels);
}

uint32_t SeriesRegistry::DynamicStatSlot(const StatLabels& labels, uint32_t overflow_slot) {
  MutexLock lock(mutex_);
  if (const auto found = stat_slots_.find(labels); found != stat_slots_.end()) return found->second;
  if (dynamic_series_ + kSeriesPerStat > series_max_ / 2) {
    ++dropped_;
    return overflow_slot;
  }
  if (stats_.size() >= SlotTable<StatCounters>::kSlotsMax || !Spend(kSeriesPerStat)) {
    return overflow_slot;
  }
  dynamic_series_ += kSeriesPerStat;
  return AddStat(labels);
}

uint32_t SeriesRegistry::AddStat(const StatLabels& labels) {
  const auto slot = static_cast<uint32_t>(stats_.size());
  stats_.push_back(labels);
  stat_slots_.emplace(labels, slot);
  return slot;
}

uint32_t SeriesRegistry::DomainSlot(std::string_view domain) {
  MutexLock lock(mutex_);
  if (const auto found = domain_slots_.find(domain); found != domain_slots_.end()) {
    return found->second;
  }
  if (domains_.size() >= SlotTable<Counter>::kSlotsMax || !Spend(1)) return kOverflowSlot;
  const auto slot = static_cast<uint32_t>(domains_.size());
  domains_.emplace_back(domain);
  domain_slots_.emplace(domain, slot);
  return slot;
}

LeaseCounters& SeriesRegistry::lease_counters(uint32_t rule_slot) {
  MutexLock lock(mutex_);
  return leases_[rule_slot];
}

void SeriesRegistry::VisitLeases(
    const std::function<void(uint32_t, const LeaseCounters&)>& visit) const {
  MutexLock lock(mutex_);
  for (const auto& [slot, counters] : leases_) visit(slot, counters);
}

std::vector<SeriesRegistry::RuleLabels> SeriesRegistry::rules() const {
  MutexLock lock(mutex_);
  return rules_;
}

std::vector<SeriesRegistry::StatLabels> SeriesRegistry::stats() const {
  MutexLock lock(mutex_);
  return stats_;
}

std::vector<std::string> SeriesRegistry::domains() const {
  MutexLock lock(mutex_);
  return domains_;
}

std::size_t SeriesRegistry::spare() const {
  MutexLock lock(mutex_);
  return series_max_ - std::min(series_max_, series_);
}

uint64_t SeriesRegistry::dropped() const {
  MutexLock lock(mutex_);
  return dropped_;
}

}  // namespace weir
