#include "limiter/core/rule_table.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace weir {
namespace {

constexpr uint32_t kNoRule = std::numeric_limits<uint32_t>::max();

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

struct RuleTable::Node {
  std::string composite;
  bool wildcard = false;
  uint32_t rule = kNoRule;
  absl::flat_hash_map<std::string, uint32_t> exact;  // composite key -> node
  std::vector<uint32_t> wildcards;                   // in file order
  bool has_children() const { return !exact.empty() || !wildcards.empty(); }
};

struct RuleTable::Domain {
  std::string name;
  uint32_t root = 0;
  uint32_t slot = 0;
  uint32_t override_rule_slot = 0;
  uint32_t override_stat_slot = 0;
  // Relaxed: it stands for itself, and a check reads it once.
  mutable std::atomic<bool> enforcement_off{false};
};

RuleTable::RuleTable() = default;
RuleTable::~RuleTable() = default;

// Compiles specs into one table. Lives for the length of Build.
class RuleTableBuilder {
 public:
  RuleTableBuilder(RuleTable& table, SeriesRegistry& series) : table_(table), series_(series) {}

  void AddDomain(const DomainSpec& spec) {
    auto domain = std::make_unique<RuleTable::Domain>();
    domain->name = spec.domain;
    domain->slot = series_.DomainSlot(spec.domain);
    domain->override_rule_slot = series_.RuleSlot({spec.domain, kOverrideLabel});
    domain->override_stat_slot = series_.StatSlot({spec.domain, kOverflowLabel, ""});
    domain->root = AddNode("");
    std::vector<const DescriptorSpec*> path;
    AddChildren(spec.domain, domain->root, spec.descriptors, path);
    table_.domains_[spec.domain] = std::move(domain);
  }

 private:
  uint32_t AddNode(std::string composite) {
    table_.nodes_.emplace_back();
    table_.nodes_.back().composite = std::move(composite);
    return static_cast<uint32_t>(table_.nodes_.size() - 1);
  }

  void AddChildren(const std::string& domain, uint32_t parent,
                   const std::vector<DescriptorSpec>& specs,
                   std::vector<const DescriptorSpec*>& path) {
    for (const DescriptorSpec& spec : specs) {
      std::string composite = CompositeKey(spec);
      const uint32_t child = AddNode(composite);
      path.push_back(&spec);
      if (spec.rate_limit.has_value()) {
        table_.nodes_[child].rule = static_cast<uint32_t>(table_.rules_.size());
        AddRule(domain, path);
      }
      AddChildren(domain, child, spec.descriptors, path);
      path.pop_back();
      RuleTable::Node& node = table_.nodes_[parent];
      if (composite.find('*') != std::string::npos) {
        table_.nodes_[child].wildcard = true;
        node.wildcards.push_back(child);
      }
      // A pattern is also found by its own text, as in the reference.
      node.exact.emplace(std::move(composite), child);
    }
  }

  void AddRule(const std::string& domain, const std::vector<const DescriptorSpec*>& path) {
    const DescriptorSpec& leaf = *path.back();
    const RuleSpec& spec = *leaf.rate_limit;
    Rule& rule = table_.rules_.emplace_back();
    rule.domain = domain;
    rule.name = spec.name;
    rule.unit = spec.unit;
    rule.unit_multiplier = spec.unit_multiplier;
    rule.unlimited = spec.unlimited;
    rule.shadow_mode = leaf.shadow_mode;
    rule.quota_mode = leaf.quota_mode;
    rule.detailed_metric = leaf.detailed_metric;
    rule.consistency = spec.consistency.value_or(table_.options_.consistency);
    rule.on_store_failure = spec.on_store_failure.value_or(table_.options_.on_store_failure);
    rule.replaces = spec.replaces;
    rule.metadata = leaf.metadata;
    rule.position = leaf.position;
    table_.any_replaces_ |= !spec.replaces.empty();
    AddLevels(path, rule);
    rule.label = rule.name.empty() ? rule.path : rule.name;
    if (!spec.unlimited) {
      MakeLimit(spec.limit, &rule.limit);
      rule.key_prefix = KeyPrefix(table_.options_.secret, table_.options_.key_prefix, domain,
                                  rule.path, rule.limit);
      rule.near_limit = NearLimit(rule.limit.capacity, table_.options_.near_limit_ratio);
    }
    AddSlots(rule);
  }

  static void AddLevels(const std::vector<const DescriptorSpec*>& path, Rule& rule) {
    rule.dynamic_stats = rule.detailed_metric;
    for (const DescriptorSpec* spec : path) {
      Rule::Level level;
      level.key = spec->key;
      level.composite = CompositeKey(*spec);
      level.pattern = spec->value;
      level.shared = spec->share_threshold;
      level.value_to_metric = spec->value_to_metric;
      level.wildcard = level.composite.find('*') != std::string::npos;
      rule.any_shared |= level.shared;
      rule.dynamic_stats |= level.value_to_metric && !level.shared;
      if (!rule.path.empty()) rule.path += '.';
      rule.path += level.composite;
      rule.levels.push_back(std::move(level));
    }
  }

  void AddSlots(Rule& rule) {
    rule.rule_slot = series_.RuleSlot({rule.domain, rule.label});
    if (table_.options_.leases && rule.consistency == Consistency::kLeased && !rule.unlimited) {
      rule.lease_counters = &series_.lease_counters(rule.rule_slot);
    }
    SeriesRegistry::StatLabels stat{rule.domain, StatLabelText(rule.levels.front().composite), ""};
    if (rule.dynamic_stats) {
      stat.key2 = kOverflowLabel;
    } else if (rule.levels.size() > 1) {
      stat.key2 = StatLabelText(rule.levels[1].composite);
    }
    rule.stat_slot = series_.StatSlot(stat);
  }

  RuleTable& table_;
  SeriesRegistry& series_;
};

std::shared_ptr<const RuleTable> RuleTable::Build(const std::vector<DomainSpec>& domains,
                                                  const RuleTableOptions& options,
                                                  SeriesRegistry& series) {
  std::shared_ptr<RuleTable> table(new RuleTable());
  table->options_ = options;
  RuleTableBuilder builder(*table, series);
  for (const DomainSpec& domain : domains) builder.AddDomain(domain);
  return table;
}

const RuleTable::Domain* RuleTable::FindDomain(std::string_view domain) const {
  const auto found = domains_.find(ToAbsl(domain));
  return found == domains_.end() ? nullptr : found->second.get();
}

const Rule* RuleTable::Find(const Domain& domain, std::span<const Entry> entries,
                            std::string& scratch, std::vector<Step>* steps) const {
  const Node* node = &nodes_[domain.root];
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    scratch.assign(entry.key).append(1, '_').append(entry.value);
    const Node* child = nullptr;
    Match match = Match::kNone;
    if (const auto exact = node->exact.find(scratch); exact != node->exact.end()) {
      child = &nodes_[exact->second];
      match = Match::kExact;
    }
    for (std::size_t w = 0; child == nullptr && w < node->wildcards.size(); ++w) {
      const Node& candidate = nodes_[node->wildcards[w]];
      if (!WildcardMatches(candidate.composite, scratch)) continue;
      child = &candidate;
      match = Match::kWildcard;
    }
    if (child == nullptr) {
      const auto bare = node->exact.find(ToAbsl(entry.key));
      if (bare != node->exact.end()) {
        child = &nodes_[bare->second];
        match = Match::kKey;
      }
    }
    if (steps != nullptr) {
      Step step;
      if (child != nullptr) {
        step = {child->composite, match, child->rule != kNoRule, child->has_children()};
      }
      steps->push_back(step);
    }
    if (child == nullptr) return nullptr;
    if (i + 1 == entries.size()) {
      return child->rule == kNoRule ? nullptr : &rules_[child->rule];
    }
    if (!child->has_children()) return nullptr;
    node = child;
  }
  return nullptr;
}

std::string_view RuleTable::NameOf(const Domain& domain) { return domain.name; }
uint32_t RuleTable::DomainSlot(const Domain& domain) { return domain.slot; }
uint32_t RuleTable::OverrideRuleSlot(const Domain& domain) { return domain.override_rule_slot; }
uint32_t RuleTable::OverrideStatSlot(const Domain& domain) { return domain.override_stat_slot; }

bool RuleTable::EnforcementIsOff(const Domain& domain) {
  return domain.enforcement_off.load(std::memory_order_relaxed);
}

void RuleTable::SwitchEnforcement(const EnforcementOff& off) const {
  for (const auto& [name, domain] : domains_) {
    const bool named = std::binary_search(off.domains.begin(), off.domains.end(), name);
    domain->enforcement_off.store(off.all || named, std::memory_order_relaxed);
  }
}

std::string CompositeKey(const DescriptorSpec& descriptor) {
  return descriptor.value.empty() ? descriptor.key : descriptor.key + '_' + descriptor.value;
}

bool WildcardMatches(std::string_view pattern, std::string_view text) {
  const std::size_t first_star = pattern.find('*');
  if (first_star == std::string_view::npos) return pattern == text;
  const std::string_view prefix = pattern.substr(0, first_star);
  const std::string_view suffix = pattern.substr(pattern.rfind('*') + 1);
  if (text.size() < prefix.size() + suffix.size()) return false;
  if (!text.starts_with(prefix) || !text.ends_with(suffix)) return false;
  text = text.substr(prefix.size(), text.size() - prefix.size() - suffix.size());
  // The middle parts follow in order, each at its leftmost place.
  std::size_t begin = first_star + 1;
  while (begin < pattern.size() - suffix.size()) {
    const std::size_t end = pattern.find('*', begin);
    const std::string_view part = pattern.substr(begin, end - begin);
    const std::size_t at = text.find(part);
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + part.size());
    begin = end + 1;
  }
  return true;
}

uint64_t NearLimit(uint32_t capacity, float ratio) {
  const float near = std::floor(static_cast<float>(capacity) * ratio);
  // Rounding to 32 bits may pass the capacity, and so may a ratio above 1.
  return std::min<uint64_t>(capacity, static_cast<uint64_t>(near));
}

}  // namespace weir
