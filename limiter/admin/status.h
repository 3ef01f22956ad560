#pragma once

// What the status page says, as plain values: gathered in one place, shown as HTML in another.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "limiter/admin/reload_history.h"
#include "limiter/core/engine.h"
#include "limiter/core/top_keys.h"

namespace weir {

// The store, for people.
struct StoreSummary {
  struct Server {
    std::string address;  // empty: none yet
    std::string state;
  };
  std::string kind;        // "memory", "redis"
  std::string state;       // of the worst server; empty: it has none
  int nodes = 0;           // that share it, as far as known
  uint64_t failovers = 0;  // other servers that took over
  std::vector<Server> servers;
};

// Counters of one series of rules: rules of a domain that share a name share it.
struct RuleSums {
  uint64_t decisions = 0;
  uint64_t denied = 0;  // also in shadow mode
  uint64_t granted = 0;
  uint64_t admitted = 0;
  uint64_t gone = 0;  // leased hits that expired or were given back

  // Leased and not spent, on this node.
  uint64_t live() const { return granted > admitted + gone ? granted - admitted - gone : 0; }
};

struct RuleStatus {
  std::string domain;
  std::string label;
  std::string limit;  // "100 per minute, sliding window"
  std::string place;  // "shop.yaml:12"
  std::string exact_because;
  bool unlimited = false;
  bool leased = false;
  bool shadow = false;
  bool quota = false;
  double decisions_per_s = 0;
  double denied_ratio = 0;  // of the same interval; not a number without decisions
  RuleSums sums;
  TopKeys top;  // some of them
};

struct Status {
  std::string version;
  std::vector<std::pair<std::string, std::string>> build;  // name, value
  int64_t wall_ns = 0;
  int64_t interval_ns = 0;   // that rates are over
  bool since_start = false;  // which begins with the process
  int refresh_s = 0;         // 0: not by itself
  bool show_keys = false;
  bool shadow_mode = false;  // global
  bool quota_mode = false;   // global
  // Domains whose limits are switched off; "*" is every domain.
  std::vector<std::string> enforcement_off_domains;
  std::size_t rules_count = 0;
  std::vector<RuleStatus> rules;  // the busiest, at most kRulesShown
  StoreSummary store;
  std::vector<Reload> reloads;
  std::string settings;

  static constexpr std::size_t kRulesShown = 100;
  static constexpr std::size_t kTopRulesShown = 20;  // with their keys
  static constexpr std::size_t kKeysShown = 5;       // of each
};

// Tells how fast counters move, from the two looks that it remembers: a look is measured against
// the one before it, and one that comes too soon after it against the one before that.
//
// Thread safety: one thread at a time.
class RuleRates {
 public:
  static constexpr int64_t kIntervalMinNs = 2'000'000'000;

  // Counters are taken to be 0 when the object is made.
  explicit RuleRates(int64_t now_ns) : before_{now_ns, {}}, last_{now_ns, {}} {}

  struct Interval {
    int64_t ns = 0;
    bool since_start = false;
  };
  // `sums` by rule slot. Returns the interval and puts what was counted before it into `base`.
  Interval Look(int64_t now_ns, const std::vector<RuleSums>& sums, std::vector<RuleSums>& base);

 private:
  struct Sample {
    int64_t ns;
    std::vector<RuleSums> sums;
  };
  Sample before_;
  Sample last_;
  bool before_is_start_ = true;
  bool last_is_start_ = true;
};

// By rule slot.
std::vector<RuleSums> SumRules(const Engine& engine);

// The rules with what they decided, the busiest first, and how many there are.
void FillRules(const Engine& engine, RuleRates& rates, Status& status);

}  // namespace weir
