#pragma once

// The compiled rules: an immutable snapshot that finds the rule of a descriptor. A reload builds a
// new one and swaps it whole.
//
// Matching (the reference's procedure, docs/rules.md): entries are walked from the first; at each
// level the exact `key_value` wins, then the first wildcard in file order, then the bare `key`.
// There is no way back, and a rule counts only on the last entry.
//
// Thread safety: immutable after Build but for the switch of enforcement, shared freely.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "algorithms/limit.h"
#include "limiter/core/descriptor.h"
#include "limiter/core/enforcement.h"
#include "limiter/core/key.h"
#include "limiter/core/rule_spec.h"
#include "limiter/core/series.h"

namespace weir {

// A descriptor node with a rate_limit, ready to decide with.
struct Rule {
  std::string domain;
  std::string path;   // composite keys joined by '.': "user_*.op_read"
  std::string label;  // in metrics and answers: the name, else the path
  std::string name;
  Limit limit;  // unset when unlimited
  Unit unit = Unit::kUnknown;
  uint32_t unit_multiplier = 1;
  bool unlimited = false;
  bool shadow_mode = false;
  bool quota_mode = false;
  bool detailed_metric = false;
  Consistency consistency = Consistency::kExact;
  OnStoreFailure on_store_failure = OnStoreFailure::kLocalShare;
  std::vector<std::string> replaces;
  MetadataMap metadata;
  Position position;

  // How each level enters keys and statistics.
  struct Level {
    std::string key;        // as configured
    std::string composite;  // `key` or `key_value` as configured
    bool shared = false;    // share_threshold: the pattern stands for the value
    bool value_to_metric = false;
    bool wildcard = false;
    std::string pattern;  // the configured value
  };
  std::vector<Level> levels;
  bool any_shared = false;
  bool dynamic_stats = false;  // detailed_metric or value_to_metric: series per runtime value

  SipHasher key_prefix;     // everything of the key that is the same for all requests
  uint64_t near_limit = 0;  // floor(capacity * near_limit_ratio)
  uint32_t rule_slot = 0;
  LeaseCounters* lease_counters = nullptr;  // of the registry; nullptr: it is not leased
  uint32_t stat_slot = 0;                   // also the overflow slot of dynamic statistics
};

struct RuleTableOptions {
  Secret secret;
  std::string key_prefix;
  Consistency consistency = Consistency::kLeased;
  bool leases = false;  // the store has leases for rules that may be leased
  OnStoreFailure on_store_failure = OnStoreFailure::kLocalShare;
  float near_limit_ratio = 0.8F;  // 32-bit as in the reference, so that thresholds agree
};

class RuleTable {
 public:
  enum class Match : uint8_t { kNone = 0, kExact = 1, kWildcard = 2, kKey = 3 };

  // One step of a walk, for explanations. Views into the table; empty when nothing matched.
  struct Step {
    std::string_view matched;
    Match match = Match::kNone;
    bool has_rule = false;
    bool has_children = false;
  };

  struct Domain;  // opaque

  // REQUIRES: `domains` passed the checks of the config folder (every limit is valid).
  static std::shared_ptr<const RuleTable> Build(const std::vector<DomainSpec>& domains,
                                                const RuleTableOptions& options,
                                                SeriesRegistry& series);
  ~RuleTable();

  // nullptr: no such domain.
  const Domain* FindDomain(std::string_view domain) const;

  // The rule for the entries, nullptr if none. `scratch` is reused between calls so that a warm
  // call does not allocate. `steps`, if given, receives one step per level walked.
  const Rule* Find(const Domain& domain, std::span<const Entry> entries, std::string& scratch,
                   std::vector<Step>* steps = nullptr) const;

  // The slot of unmatched descriptors of the domain, and of its overrides' statistics.
  static std::string_view NameOf(const Domain& domain);
  static uint32_t DomainSlot(const Domain& domain);
  static uint32_t OverrideRuleSlot(const Domain& domain);
  static uint32_t OverrideStatSlot(const Domain& domain);

  // Whether verdicts of the domain are counted and not enforced, whatever its rules say.
  static bool EnforcementIsOff(const Domain& domain);
  // Applies `off` to all domains of the table, at once for every check that begins from now on.
  void SwitchEnforcement(const EnforcementOff& off) const;

  // Rules in file order.
  std::span<const Rule> rules() const { return rules_; }
  bool any_replaces() const { return any_replaces_; }
  const RuleTableOptions& options() const { return options_; }

  RuleTable(const RuleTable&) = delete;
  RuleTable& operator=(const RuleTable&) = delete;

 private:
  friend class RuleTableBuilder;
  struct Node;
  RuleTable();

  RuleTableOptions options_;
  std::vector<Rule> rules_;
  std::vector<Node> nodes_;
  absl::flat_hash_map<std::string, std::unique_ptr<Domain>> domains_;
  bool any_replaces_ = false;
};

// What a node is found by: `key`, or `key_value` where it names a value, joined unescaped as the
// reference does.
std::string CompositeKey(const DescriptorSpec& descriptor);

// True if `text` matches `pattern`, in which each '*' stands for any characters, none included.
bool WildcardMatches(std::string_view pattern, std::string_view text);

// floor(capacity * ratio) in 32-bit floating point, as the reference computes it; at most the
// capacity.
uint64_t NearLimit(uint32_t capacity, float ratio);

}  // namespace weir
