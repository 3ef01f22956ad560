#pragma once

// The way of a check: descriptor → rule → key → store → decision.
//
//   Worker  one per thread that checks: its rule snapshot, scratch space and counters
//   Check   one request: descriptors in, outcomes out; owned by the caller until OnChecked
//   Engine  what they share: rules, store, options
//
// A warm check on the memory store takes no lock shared by all threads and does not allocate.
//
// Thread safety: Engine from any thread; a Worker and a Check from one thread at a time.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "limiter/core/clock.h"
#include "limiter/core/counters.h"
#include "limiter/core/deny_log.h"
#include "limiter/core/descriptor.h"
#include "limiter/core/enforcement.h"
#include "limiter/core/executor.h"
#include "limiter/core/inbox.h"
#include "limiter/core/mutex.h"
#include "limiter/core/policy.h"
#include "limiter/core/rule_table.h"
#include "limiter/core/series.h"
#include "limiter/core/store.h"
#include "limiter/core/top_keys.h"

namespace weir {

struct EngineOptions {
  bool shadow_mode = false;  // global: verdicts are counted, never enforced
  bool quota_mode = false;   // global: every rule as if quota_mode
  bool count_stats = false;  // keep the reference's statistics (StatCounters)
  // How long a request waits for a shared store at most, and never longer than half of what is left
  // of its own deadline.
  int64_t store_wait_ns = 10'000'000;
  // Asks name the counter that they share with envoyproxy/ratelimit. REQUIRES: all rules are fixed
  // windows of whole seconds.
  bool shared_counters = false;
  DenyLog* deny_log = nullptr;  // outlives the executor's tasks; nullptr: denials are not logged
  bool keep_key_texts = false;  // of top keys; else only their hashes are known
};

// What became of one descriptor.
struct Outcome {
  enum class Kind : uint8_t {
    kUnmatched,  // no rule, an unknown domain, or replaced: passes, nothing is enforced
    kUnlimited,  // an unlimited rule: passes
    kLimited,    // `decision` and `limit` hold
  };
  Kind kind = Kind::kUnmatched;
  // Of the rules the check was matched with: valid in OnChecked. nullptr for an override or when
  // nothing matched; a replaced limit keeps it.
  const Rule* rule = nullptr;
  Limit limit;  // what was enforced: the rule's or the override's
  Unit unit = Unit::kUnknown;
  uint64_t near_limit = 0;        // hits from which on a count is near the limit
  Decision decision;              // as the store gave it, before shadow mode
  uint64_t remaining_before = 0;  // hits that would have passed before it charged any
  Source source = Source::kNone;
  Weight weight = Weight::kEnforced;
  Key key;

  bool shadowed() const { return weight == Weight::kShadow; }
  // Whether this descriptor is answered with "over the limit".
  bool over_limit() const { return !decision.allowed && !shadowed() && kind == Kind::kLimited; }
};

class Engine;

// One request. Reused between requests: its vectors keep their capacity.
class Check : private Answered {
 public:
  // In.
  std::string_view domain;
  std::vector<Descriptor> descriptors;
  ChargeDenied charge_denied = ChargeDenied::kFirst;
  bool counted = true;  // false: a question about the state, not a decision; moves no metric
  // Where to write what the store holds for the first descriptor (Ask::record), or nullptr. For
  // this run only.
  std::string* record = nullptr;
  // How long the caller still waits.
  int64_t left_ns = std::numeric_limits<int64_t>::max();

  // Out, valid in OnChecked: one outcome per descriptor, in the same order.
  Instant now;  // when it was decided
  std::vector<Outcome> outcomes;
  bool domain_known = false;
  bool allowed = true;         // the verdict over all descriptors, before global shadow mode
  bool failed = false;         // the store did not answer, and a rule's policy is to say so
  bool global_shadow = false;  // the verdict was a denial that global shadow mode turned into OK

  ~Check() override = default;
  // Told once, on the worker's thread, possibly before Engine::Run returns. May destroy the check.
  // A store that answers late tells through the worker's inbox.
  virtual void OnChecked() = 0;

 private:
  friend class Engine;
  void OnAnswered() override;

  Engine* engine_ = nullptr;
  class Worker* worker_ = nullptr;
  // While Run is on the stack: tells it that the answer has come.
  bool* answered_in_run_ = nullptr;
  const RuleTable::Domain* domain_ = nullptr;  // of the rules the check was matched with
  // Of a request that waits for its store: the rules its outcomes point to.
  std::shared_ptr<const RuleTable> table_;
  std::vector<Ask> asks_;
  std::vector<uint32_t> asked_;            // asks_[i] belongs to outcomes[asked_[i]]
  std::vector<std::string> counter_keys_;  // of asks_; some may be left over
  bool quota_passes_ = false;              // a quota passes without being asked for
};

class Worker {
 public:
  explicit Worker(bool keep_key_texts) : top_keys_(keep_key_texts) {}

  WorkerCounters& counters() { return counters_; }
  const WorkerCounters& counters() const { return counters_; }
  // Where late answers arrive. The thread of the worker sets its wake before its first check and
  // delivers.
  Inbox& inbox() { return inbox_; }

 private:
  friend class Engine;
  std::shared_ptr<const RuleTable> table_;
  uint64_t table_version_ = 0;
  std::string scratch_;
  // Slots of statistics keyed by runtime values, by their text; bounded, cleared when full.
  absl::flat_hash_map<std::string, uint32_t> stat_slots_;
  KeySampler top_keys_;
  WorkerCounters counters_;
  Inbox inbox_;
};

// Everything an explanation needs beyond a check.
struct Explanation {
  bool domain_known = false;
  std::vector<RuleTable::Step> steps;
  Outcome outcome;
  Instant now;
  LeaseState lease;                        // of an outcome that is limited
  std::string counter_key;                 // of the window that is now; see shared_counters
  std::shared_ptr<const RuleTable> table;  // keeps the views alive
};

class Engine {
 public:
  // All arguments outlive the engine.
  Engine(const EngineOptions& options, Clock& clock, Store& store, Executor& executor,
         SeriesRegistry& series);

  // A new worker, owned by the engine and counted by exporters from now on.
  Worker& AddWorker();

  // Publishes new rules. The old snapshot is destroyed on the executor, never under a check.
  void SetRules(std::shared_ptr<const RuleTable> table);
  // nullptr until the first SetRules.
  std::shared_ptr<const RuleTable> rules() const;

  // Switches enforcement off for these domains and on for all others, at once, and for rules that
  // come later too.
  void SetEnforcementOff(const EnforcementOff& off);
  // What is switched off now, for exporters and pages.
  EnforcementState enforcement() const;

  // Decides a request. REQUIRES: has_rules().
  void Run(Worker& worker, Check& check);
  bool has_rules() const { return version_.load(std::memory_order_acquire) != 0; }

  // Which rule decides the entries, and how; nothing is charged.
  Explanation Explain(Worker& worker, std::string_view domain, const Descriptor& descriptor);

  // How requests on keys of the rule are decided. REQUIRES: the rule is not unlimited.
  LeaseState LeaseStateOf(const Rule& rule) const;

  // The keys of the rule with this slot that took the most hits lately, at most `k`.
  TopKeys TopKeysOf(uint32_t rule_slot, std::size_t k) const;
  // The slots of rules about whose keys something is known, in ascending order.
  std::vector<uint32_t> TopKeySlots() const;

  Clock& clock() { return clock_; }
  Instant now() const { return clock_.Now(); }
  const EngineOptions& options() const { return options_; }
  SeriesRegistry& series() { return series_; }
  const SeriesRegistry& series() const { return series_; }

  // For exporters: calls `visit` with the counters of each worker.
  template <typename Visit>
  void VisitCounters(Visit visit) const {
    MutexLock lock(mutex_);
    for (const auto& worker : workers_) visit(worker->counters());
  }

 private:
  friend class Check;

  const RuleTable& Refresh(Worker& worker);
  void Match(Worker& worker, const RuleTable& table, Check& check);
  void MatchOne(Worker& worker, const RuleTable& table, const RuleTable::Domain& domain,
                const Descriptor& descriptor, Outcome& outcome);
  void ApplyReplaces(Check& check);
  void NameCounters(const RuleTable& table, Check& check);
  void Finish(Worker& worker, Check& check);
  void Count(Worker& worker, const Check& check);
  void NoteDenial(Worker& worker, const Check& check, const Outcome& outcome);
  std::vector<const KeySampler*> KeySamplers() const;

  const EngineOptions options_;
  Clock& clock_;
  Store& store_;
  Executor& executor_;
  SeriesRegistry& series_;
  // The version changes after the table does; a worker that sees an old version keeps its snapshot
  // for one more check, which is as if the check had come a moment earlier.
  std::atomic<uint64_t> version_{0};
  mutable Mutex mutex_;
  std::shared_ptr<const RuleTable> table_ ABSL_GUARDED_BY(mutex_);
  EnforcementOff enforcement_off_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Worker>> workers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
