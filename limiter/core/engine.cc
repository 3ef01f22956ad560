#include "limiter/core/engine.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/core/accounting.h"
#include "limiter/core/shared_key.h"

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

// The key of an override names no rule: what identifies it are its entries and its window.
constexpr char kOverridePath[] = "";

Key EntriesKey(SipHasher hasher, std::span<const Entry> entries, const Rule* rule) {
  hasher.Word(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    hasher.String(entries[i].key);
    const bool shared = rule != nullptr && rule->any_shared && rule->levels[i].shared;
    hasher.String(shared ? std::string_view(rule->levels[i].pattern) : entries[i].value);
  }
  return KeyOf(hasher);
}

// Whether the descriptor counts as a quota that passes whatever the store says: a quota in shadow
// mode, and under global quota mode what no limit applies to.
bool PassesAsQuota(const Outcome& outcome, bool global_quota_mode) {
  if (outcome.kind == Outcome::Kind::kUnmatched) return global_quota_mode;
  return outcome.kind == Outcome::Kind::kLimited && outcome.shadowed() &&
         (global_quota_mode || (outcome.rule != nullptr && outcome.rule->quota_mode));
}

// Until when a check waits for its store, on the monotonic clock.
int64_t DeadlineNs(const Instant& now, int64_t store_wait_ns, int64_t left_ns) {
  return now.mono_ns + std::min(store_wait_ns, std::max<int64_t>(left_ns, 0) / 2);
}

}  // namespace

void Check::OnAnswered() {
  if (answered_in_run_ != nullptr) *answered_in_run_ = true;
  Engine& engine = *engine_;
  const std::shared_ptr<const RuleTable> kept = std::move(table_);
  engine.Finish(*worker_, *this);
  OnChecked();
  // This may be the last reference: a large table takes long to destroy.
  if (kept.use_count() == 1) engine.executor_.Post([kept] {});
}

Engine::Engine(const EngineOptions& options, Clock& clock, Store& store, Executor& executor,
               SeriesRegistry& series)
    : options_(options), clock_(clock), store_(store), executor_(executor), series_(series) {}

Worker& Engine::AddWorker() {
  MutexLock lock(mutex_);
  workers_.push_back(std::make_unique<Worker>(options_.keep_key_texts));
  return *workers_.back();
}

void Engine::SetRules(std::shared_ptr<const RuleTable> table) {
  {
    MutexLock lock(mutex_);
    if (table != nullptr) table->SwitchEnforcement(enforcement_off_);
    std::swap(table_, table);
    // Release: who reads the new version finds the new table under the lock.
    version_.fetch_add(1, std::memory_order_release);
  }
  if (table != nullptr) executor_.Post([old = std::move(table)] {});
}

void Engine::SetEnforcementOff(const EnforcementOff& off) {
  MutexLock lock(mutex_);
  enforcement_off_ = off;
  if (table_ != nullptr) table_->SwitchEnforcement(off);
}

EnforcementState Engine::enforcement() const {
  MutexLock lock(mutex_);
  EnforcementState state;
  state.all = enforcement_off_.all;
  for (const std::string& domain : enforcement_off_.domains) {
    const bool known = table_ != nullptr && table_->FindDomain(domain) != nullptr;
    (known ? state.domains : state.unknown).push_back(domain);
  }
  return state;
}

std::shared_ptr<const RuleTable> Engine::rules() const {
  MutexLock lock(mutex_);
  return table_;
}

const RuleTable& Engine::Refresh(Worker& worker) {
  const uint64_t version = version_.load(std::memory_order_acquire);
  if (worker.table_version_ != version) {
    std::shared_ptr<const RuleTable> old = rules();
    std::swap(worker.table_, old);
    worker.table_version_ = version;
    // Slots of statistics outlive tables, but a rule may now key its series otherwise.
    worker.stat_slots_.clear();
    // This may be the last reference: a large table takes long to destroy.
    if (old != nullptr) executor_.Post([old = std::move(old)] {});
  }
  return *worker.table_;
}

void Engine::MatchOne(Worker& worker, const RuleTable& table, const RuleTable::Domain& domain,
                      const Descriptor& descriptor, Outcome& outcome) {
  if (descriptor.entries.empty()) return;
  const bool off = RuleTable::EnforcementIsOff(domain);
  if (descriptor.limit.has_value()) {
    const LimitOverride& limit = *descriptor.limit;
    MakeLimit({.hits = limit.requests_per_unit, .window_ns = UnitSeconds(limit.unit) * kSecondNs},
              &outcome.limit);
    outcome.kind = Outcome::Kind::kLimited;
    outcome.unit = limit.unit;
    outcome.weight = off                   ? Weight::kShadow
                     : options_.quota_mode ? Weight::kQuota
                                           : Weight::kEnforced;
    const RuleTableOptions& options = table.options();
    outcome.near_limit = NearLimit(outcome.limit.capacity, options.near_limit_ratio);
    outcome.key = EntriesKey(KeyPrefix(options.secret, options.key_prefix,
                                       RuleTable::NameOf(domain), kOverridePath, outcome.limit),
                             descriptor.entries, nullptr);
    return;
  }
  const Rule* rule = table.Find(domain, descriptor.entries, worker.scratch_);
  if (rule == nullptr) return;
  outcome.rule = rule;
  if (rule->unlimited) {
    outcome.kind = Outcome::Kind::kUnlimited;
    return;
  }
  outcome.kind = Outcome::Kind::kLimited;
  outcome.limit = rule->limit;
  outcome.near_limit = rule->near_limit;
  // The response's unit cannot express a multiplied window.
  outcome.unit = rule->unit_multiplier == 1 ? rule->unit : Unit::kUnknown;
  outcome.weight = rule->shadow_mode || off                  ? Weight::kShadow
                   : rule->quota_mode || options_.quota_mode ? Weight::kQuota
                                                             : Weight::kEnforced;
  outcome.key = EntriesKey(rule->key_prefix, descriptor.entries, rule);
}

void Engine::ApplyReplaces(Check& check) {
  for (std::size_t i = 0; i < check.outcomes.size(); ++i) {
    const Rule* replacing = check.outcomes[i].rule;
    if (replacing == nullptr) continue;
    for (const std::string& name : replacing->replaces) {
      for (std::size_t j = 0; j < check.outcomes.size(); ++j) {
        Outcome& outcome = check.outcomes[j];
        // A replaced rule still replaces others, so its `rule` stays until all are applied.
        if (j != i && outcome.kind == Outcome::Kind::kLimited && outcome.rule != nullptr &&
            outcome.rule->name == name) {
          outcome.kind = Outcome::Kind::kUnmatched;
        }
      }
    }
  }
}

void Engine::Match(Worker& worker, const RuleTable& table, Check& check) {
  check.outcomes.clear();
  check.outcomes.resize(check.descriptors.size());
  const RuleTable::Domain* domain = table.FindDomain(check.domain);
  check.domain_ = domain;
  check.domain_known = domain != nullptr;
  if (domain != nullptr) {
    for (std::size_t i = 0; i < check.descriptors.size(); ++i) {
      MatchOne(worker, table, *domain, check.descriptors[i], check.outcomes[i]);
    }
    if (table.any_replaces()) ApplyReplaces(check);
  }
}

// Denials and local shares are remembered by `Ask::key`: made from the counter's key they end with
// its window, and descriptors that count on one counter are one key.
void Engine::NameCounters(const RuleTable& table, Check& check) {
  // Not one more below: asks view them.
  if (check.counter_keys_.size() < check.asks_.size()) {
    check.counter_keys_.resize(check.asks_.size());
  }
  for (std::size_t a = 0; a < check.asks_.size(); ++a) {
    Ask& ask = check.asks_[a];
    const int64_t start_ns = WindowStartNs(*ask.limit, check.now.wall_ns);
    std::string& key = check.counter_keys_[a];
    key.clear();
    AppendSharedKey(table.options().key_prefix, RuleTable::NameOf(*check.domain_),
                    check.descriptors[check.asked_[a]].entries,
                    check.outcomes[check.asked_[a]].rule, start_ns, key);
    SipHasher hasher(table.options().secret);
    hasher.String(key);
    ask.key = KeyOf(hasher);
    ask.counter = {key, start_ns + ask.limit->window_ns};
  }
}

void Engine::Run(Worker& worker, Check& check) {
  const RuleTable& table = Refresh(worker);
  check.engine_ = this;
  check.worker_ = &worker;
  check.failed = false;
  check.global_shadow = false;
  Match(worker, table, check);
  check.asks_.clear();
  check.asked_.clear();
  check.quota_passes_ = false;
  check.now = clock_.Now();
  AcquireOptions acquire;
  acquire.now = check.now;
  acquire.charge_denied = check.charge_denied;
  acquire.deadline_mono_ns = DeadlineNs(check.now, options_.store_wait_ns, check.left_ns);
  acquire.secret = table.options().secret;
  acquire.inbox = &worker.inbox_;
  for (std::size_t i = 0; i < check.outcomes.size(); ++i) {
    const Outcome& outcome = check.outcomes[i];
    if (outcome.kind == Outcome::Kind::kLimited) {
      Ask& ask = check.asks_.emplace_back();
      ask.limit = &outcome.limit;
      ask.key = outcome.key;
      ask.op = check.descriptors[i].op;
      ask.weight = outcome.weight;
      ask.on_store_failure = outcome.rule != nullptr ? outcome.rule->on_store_failure
                                                     : table.options().on_store_failure;
      ask.hits = check.descriptors[i].hits;
      ask.lease = outcome.rule != nullptr ? outcome.rule->lease_counters : nullptr;
      check.asked_.push_back(static_cast<uint32_t>(i));
    }
    check.quota_passes_ |= PassesAsQuota(outcome, options_.quota_mode);
  }
  std::string* const record = std::exchange(check.record, nullptr);
  if (!check.asks_.empty()) check.asks_[0].record = record;
  if (options_.shared_counters) NameCounters(table, check);
  if (check.quota_passes_) acquire.verdict.Add(Weight::kQuota, true);
  bool answered = false;
  check.answered_in_run_ = &answered;
  if (check.asks_.empty()) {
    check.OnAnswered();
  } else {
    store_.Acquire(check.asks_, acquire, check);
  }
  if (answered) return;  // and the check may be gone
  // It waits: meanwhile the worker may go on to newer rules.
  check.answered_in_run_ = nullptr;
  check.table_ = worker.table_;
}

void Engine::Finish(Worker& worker, Check& check) {
  Verdict verdict;
  for (std::size_t a = 0; a < check.asks_.size(); ++a) {
    const Ask& ask = check.asks_[a];
    Outcome& outcome = check.outcomes[check.asked_[a]];
    outcome.decision = ask.grant.decision;
    outcome.remaining_before = ask.grant.remaining_before;
    outcome.source = ask.grant.source;
    verdict.Add(outcome.weight, outcome.decision.allowed);
    check.failed |= ask.grant.failed && !outcome.shadowed();
  }
  if (check.quota_passes_) verdict.Add(Weight::kQuota, true);
  check.allowed = verdict.allowed();
  check.global_shadow = options_.shadow_mode && !check.allowed;
  if (check.counted) Count(worker, check);
}

void Engine::Count(Worker& worker, const Check& check) {
  const Accounting accounting(worker.counters_, series_, worker.stat_slots_, options_.count_stats,
                              options_.shadow_mode);
  if (check.global_shadow) worker.counters_.global_shadow.Add(1);
  const RuleTable::Domain* domain = check.domain_;
  for (std::size_t i = 0, a = 0; i < check.outcomes.size(); ++i) {
    const bool asked = a < check.asked_.size() && check.asked_[a] == i;
    if (asked) {
      const Outcome& outcome = check.outcomes[i];
      const Descriptor& descriptor = check.descriptors[i];
      accounting.Count(outcome, descriptor, check.asks_[a++].grant, *domain);
      if (!outcome.decision.allowed && options_.deny_log != nullptr) {
        NoteDenial(worker, check, outcome);
      }
      const bool charges = descriptor.op == Op::kTake || descriptor.op == Op::kReport;
      if (charges && outcome.rule != nullptr && worker.top_keys_.Due()) {
        worker.top_keys_.Sample({*outcome.rule, outcome.key, descriptor.entries, descriptor.hits,
                                 !outcome.decision.allowed, check.now.mono_ns});
      }
    } else if (check.outcomes[i].kind == Outcome::Kind::kUnmatched &&
               check.outcomes[i].rule == nullptr) {  // a replaced limit did match
      worker.counters_.unmatched.At(domain == nullptr ? 0 : RuleTable::DomainSlot(*domain)).Add(1);
    }
  }
}

void Engine::NoteDenial(Worker& worker, const Check& check, const Outcome& outcome) {
  worker.counters_.denials.Add(1);
  if (!options_.deny_log->Due(check.now.mono_ns)) return;
  Denial denial;
  denial.domain = RuleTable::NameOf(*check.domain_);
  denial.rule = outcome.rule != nullptr ? outcome.rule->label : kOverrideLabel;
  denial.source = outcome.source;
  denial.shadow = outcome.shadowed() || check.global_shadow;
  denial.key_hash = outcome.key.hi;
  // Writing may block, which a check must not.
  executor_.Post([this, denial = std::move(denial)]() mutable {
    uint64_t denials = 0;
    VisitCounters([&](const WorkerCounters& counters) { denials += counters.denials.Get(); });
    options_.deny_log->Log(std::move(denial), denials);
  });
}

LeaseState Engine::LeaseStateOf(const Rule& rule) const {
  return store_.LeaseStateOf(rule.limit, rule.lease_counters, nullptr);
}

// Workers live as long as the engine: their sketches are read without its lock.
std::vector<const KeySampler*> Engine::KeySamplers() const {
  MutexLock lock(mutex_);
  std::vector<const KeySampler*> samplers;
  for (const auto& worker : workers_) samplers.push_back(&worker->top_keys_);
  return samplers;
}

TopKeys Engine::TopKeysOf(uint32_t rule_slot, std::size_t k) const {
  const int64_t now_ns = clock_.Now().mono_ns;
  TopKeys all;
  for (const KeySampler* sampler : KeySamplers()) sampler->MergeInto(rule_slot, now_ns, all);
  KeepTop(k, all);
  return all;
}

std::vector<uint32_t> Engine::TopKeySlots() const {
  std::vector<uint32_t> slots;
  for (const KeySampler* sampler : KeySamplers()) sampler->SlotsInto(slots);
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  return slots;
}

Explanation Engine::Explain(Worker& worker, std::string_view domain, const Descriptor& descriptor) {
  Explanation explanation;
  const RuleTable& table = Refresh(worker);
  explanation.now = clock_.Now();
  explanation.table = worker.table_;
  const RuleTable::Domain* found = table.FindDomain(domain);
  explanation.domain_known = found != nullptr;
  if (found == nullptr) return explanation;
  MatchOne(worker, table, *found, descriptor, explanation.outcome);
  if (options_.shared_counters && explanation.outcome.kind == Outcome::Kind::kLimited) {
    const int64_t start_ns = WindowStartNs(explanation.outcome.limit, explanation.now.wall_ns);
    AppendSharedKey(table.options().key_prefix, domain, descriptor.entries,
                    explanation.outcome.rule, start_ns, explanation.counter_key);
  }
  const Outcome& outcome = explanation.outcome;
  if (outcome.kind == Outcome::Kind::kLimited) {
    explanation.lease = store_.LeaseStateOf(
        outcome.limit, outcome.rule != nullptr ? outcome.rule->lease_counters : nullptr,
        &outcome.key);
  }
  if (!descriptor.limit.has_value()) {
    table.Find(*found, descriptor.entries, worker.scratch_, &explanation.steps);
  }
  return explanation;
}

}  // namespace weir
