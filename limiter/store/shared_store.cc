#include "limiter/store/shared_store.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "limiter/store/deny_cache.h"
#include "limiter/store/shared_request.h"

namespace weir {
namespace {

// When a call for a key that nobody heard of again no longer keeps others from being made.
constexpr int64_t kQuietMaxNs = 1'000'000'000;

}  // namespace

SharedStore::SharedStore(const SharedStoreOptions& options, Remote& remote, Clock& clock,
                         std::function<void()> wake)
    : remote_(remote),
      clock_(clock),
      wake_(std::move(wake)),
      policy_({.keys_max = options.keys_max,
               .ring_bytes_max = options.ring_bytes_max,
               .overflow = options.overflow},
              options.replicas),
      cells_(options.keys_max, 0, options.leases ? sizeof(Lease) : 0),
      flights_(options.lease, remote, clock, cells_, policy_),
      leases_(options.leases),
      waiting_max_(options.waiting_max) {}

SharedStore::~SharedStore() = default;

bool SharedStore::AnswerHere(Ask& ask, const Instant& now) {
  if (ask.op != Op::kTake) return false;
  bool refresh = false;
  {
    CellTable::Shard& shard = cells_.ShardOf(ask.key);
    ShardLock lock(shard);
    const Cell* const cell = shard.Find(ask.key);
    if (cell == nullptr) return false;
    if (!Leases(ask)) return AnswerDenied(*cell, now, ask);
    Lease& lease = LeaseOf(shard, *cell);
    const LeaseView view = ViewOf(ask, now);
    if (!SpendLease(view, ask, lease)) return AnswerDenied(*cell, now, ask);
    refresh =
        WantsRefresh(view, lease, flights_.rtt_ns()) && flights_.PlanOf(*ask.limit).life_ns > 0;
    if (refresh) lease.quiet_until_mono_ns = now.mono_ns + kQuietMaxNs;
  }
  if (refresh) RefreshSoon(ask);
  return true;
}

LeaseView SharedStore::ViewOf(const Ask& ask, const Instant& now) const {
  return {*ask.limit, now.mono_ns, remote_.history(), now.wall_ns, ask.lease};
}

LeaseState SharedStore::LeaseStateOf(const Limit& limit, LeaseCounters* counters, const Key* key) {
  LeaseState state;
  if (!leases_) {
    state.exact_because = "other programs count on the same keys";
  } else if (counters == nullptr) {
    state.exact_because = "its consistency is exact";
  }
  if (!state.exact_because.empty()) return state;
  const LeasePlan plan = flights_.PlanOf(limit);
  state.life_ns = plan.life_ns;
  state.exact_because = plan.exact_because;
  if (key == nullptr) return state;
  CellTable::Shard& shard = cells_.ShardOf(*key);
  ShardLock lock(shard);
  const Cell* const cell = shard.Find(*key);
  if (cell == nullptr) return state;
  const Lease& lease = LeaseOf(shard, *cell);
  const LeaseView view{limit, clock_.Now().mono_ns, remote_.history(), 0, counters};
  state.want = lease.want;
  state.hits = LiveHits(view, lease);
  if (state.hits > 0) state.ends_mono_ns = LiveUntil(view, lease);
  return state;
}

uint64_t SharedStore::LiveHitsOf(const Ask& ask) {
  CellTable::Shard& shard = cells_.ShardOf(ask.key);
  ShardLock lock(shard);
  const Cell* const cell = shard.Find(ask.key);
  return cell == nullptr ? 0 : LiveHits(ViewOf(ask, clock_.Now()), LeaseOf(shard, *cell));
}

bool SharedStore::Spend(Ask& ask, const Instant& now, uint64_t* untold) {
  CellTable::Shard& shard = cells_.ShardOf(ask.key);
  ShardLock lock(shard);
  const Cell* const cell = shard.Find(ask.key);
  if (cell == nullptr) return false;
  Lease& lease = LeaseOf(shard, *cell);
  const LeaseView view = ViewOf(ask, now);
  if (SpendLease(view, ask, lease)) return true;
  if (untold != nullptr) *untold = TakeSpent(view, lease);
  return false;
}

void SharedStore::UnspendIfDenied(std::span<Ask> asks, Verdict verdict, uint32_t history) {
  for (const Ask& ask : asks) verdict.Add(ask.weight, ask.grant.decision.allowed);
  if (verdict.allowed()) return;
  for (Ask& ask : asks) {
    if (ask.grant.lease_ends_mono_ns > 0) Unspend(ask, history);
  }
}

void SharedStore::Unspend(Ask& ask, uint32_t history) {
  CellTable::Shard& shard = cells_.ShardOf(ask.key);
  ShardLock lock(shard);
  const Cell* const cell = shard.Find(ask.key);
  // Hits of another history do not mix with those of this one.
  if (cell != nullptr && history == remote_.history()) {
    UnspendLease(ViewOf(ask, clock_.Now()), ask.hits, ask.grant.lease_ends_mono_ns,
                 LeaseOf(shard, *cell));
  }
  ask.grant.lease_ends_mono_ns = 0;
}

void SharedStore::RefreshSoon(const Ask& ask) {
  bool first = false;
  {
    MutexLock lock(mutex_);
    if (refreshes_.size() >= waiting_max_) return;
    first = parked_.empty() && refreshes_.empty();
    refreshes_.push_back({ask.key, *ask.limit, ask.lease});
  }
  if (first) wake_();
}

bool SharedStore::Reachable(const Ask& ask, const Secret& secret) const {
  return ask.counter.key.empty() ? remote_.Reachable(*ask.limit, ask.key, secret)
                                 : remote_.CounterReachable(*ask.limit, ask.counter.key);
}

void SharedStore::NoteTimeout(const Ask& ask) {
  if (ask.counter.key.empty()) {
    remote_.NoteTimeout(*ask.limit, ask.key);
  } else {
    remote_.NoteCounterTimeout(*ask.limit, ask.counter.key);
  }
}

void SharedStore::AnswerByPolicy(Ask& ask, const Instant& now) {
  if (Leases(ask)) {
    // The policy is for what no lease has hits for; and what was spent from leases is part of this
    // node's share of a window.
    Ask spent = ask;
    spent.hits = 0;
    if (Spend(ask, now, &spent.hits)) return;
    policy_.NoteAdmitted(spent, now);
  }
  policy_.Answer(ask, now, remote_.nodes(), remote_.OutagesOf(*ask.limit, ask.key));
}

SharedStore::Request* SharedStore::TakeRequest() {
  MutexLock lock(mutex_);
  return requests_.out() >= waiting_max_ ? nullptr : &requests_.Take(*this);
}

void SharedStore::Free(Request& request) {
  MutexLock lock(mutex_);
  requests_.Put(request);
}

// Whether what the ask spent is still to be spent when the request is answered at the latest, and
// in the same window of this node's clock.
bool SharedStore::Outlasts(const Ask& ask, const AcquireOptions& options) {
  if (ask.grant.lease_ends_mono_ns < options.deadline_mono_ns) return false;
  if (ask.limit->algorithm != Algorithm::kFixedWindow) return true;
  const int64_t wait_ns = options.deadline_mono_ns - options.now.mono_ns;
  const int64_t window_ns = ask.limit->window_ns;
  return options.now.wall_ns / window_ns == (options.now.wall_ns + wait_ns) / window_ns;
}

void SharedStore::Acquire(std::span<Ask> asks, const AcquireOptions& options, Answered& answered) {
  const auto takes = [](const Ask& ask) { return ask.op == Op::kTake; };
  const bool together = options.charge_denied != ChargeDenied::kFirst && asks.size() > 1 &&
                        std::any_of(asks.begin(), asks.end(), takes);
  const uint32_t history = remote_.history();  // at most as new as what is spent below
  std::size_t open = 0;
  absl::InlinedVector<bool, 32> here(asks.size());
  for (std::size_t i = 0; i < asks.size(); ++i) {
    here[i] = AnswerHere(asks[i], options.now);
    if (!here[i] && !Reachable(asks[i], options.secret)) {
      AnswerByPolicy(asks[i], options.now);
      here[i] = true;
    }
    open += here[i] ? 0 : 1;
  }
  if (open > 0) {
    for (std::size_t i = 0; i < asks.size(); ++i) {
      if (!here[i] || asks[i].grant.source != Source::kLease || Outlasts(asks[i], options))
        continue;
      // It would be answered together with the others, when its hits may have ended.
      Unspend(asks[i], history);
      here[i] = !Reachable(asks[i], options.secret);
      if (here[i]) AnswerByPolicy(asks[i], options.now);
      open += here[i] ? 0 : 1;
    }
  }
  Request* request = open > 0 ? TakeRequest() : nullptr;
  if (request == nullptr) {
    if (open > 0) stats_.waiting_refused.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < asks.size(); ++i) {
      if (!here[i]) AnswerByPolicy(asks[i], options.now);
    }
    if (together) UnspendIfDenied(asks, options.verdict, history);
    answered.OnAnswered();
    return;
  }
  request->Park(asks, options, answered, together, history);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    if (here[i]) request->MarkAnswered(i);
  }
  stats_.waiting.fetch_add(1, std::memory_order_relaxed);
  bool first = false;
  bool ended = false;
  {
    MutexLock lock(mutex_);
    ended = ended_;
    first = !ended && parked_.empty() && refreshes_.empty();
    if (!ended) parked_.push_back(request);
  }
  if (ended) request->End(options.now);  // nobody turns any more
  if (first) wake_();
}

int64_t SharedStore::Turn() {
  {
    MutexLock lock(mutex_);
    std::swap(parked_, taken_);
    std::swap(refreshes_, refreshing_);
  }
  const Instant now = clock_.Now();
  for (const LeaseRefresh& refresh : refreshing_) flights_.Refresh(refresh);
  refreshing_.clear();
  for (Request* request : taken_) {
    waits_.push({request->deadline_mono_ns(), request, request->generation()});
    request->Begin(now);
  }
  taken_.clear();
  remote_.Flush();
  while (!waits_.empty()) {
    const Wait wait = waits_.top();
    const bool over = wait.request->generation() != wait.generation;
    if (!over && wait.deadline_mono_ns > now.mono_ns) return wait.deadline_mono_ns;
    waits_.pop();
    if (!over) wait.request->End(now);
  }
  return kNeverNs;
}

void SharedStore::EndAll() {
  {
    MutexLock lock(mutex_);
    std::swap(parked_, taken_);
    ended_ = true;
  }
  const Instant now = clock_.Now();
  for (Request* request : taken_) request->End(now);
  taken_.clear();
  for (; !waits_.empty(); waits_.pop()) {
    const Wait& wait = waits_.top();
    if (wait.request->generation() == wait.generation) wait.request->End(now);
  }
  if (leases_) flights_.GiveBackAll();
}

void SharedStore::Learn(Ask& ask, const RemoteReply& reply, int64_t sent_mono_ns,
                        const Instant& now, bool looked) {
  ask.grant = {};
  ask.grant.decision = reply.decision;
  ask.grant.remaining_before = reply.remaining_before;
  ask.grant.source = Source::kStore;
  const bool question = ask.op == Op::kPeek || (ask.op == Op::kTake && ask.hits == 0);
  if (leases_ && ask.lease != nullptr && !looked && !Leases(ask)) {
    // What passes here is more than what is left at the store.
    const uint64_t live = LiveHitsOf(ask);
    Decision& decision = ask.grant.decision;
    decision.remaining = std::min<uint64_t>(decision.remaining + live, ask.limit->capacity);
    if (question) decision.allowed |= live > 0 && ask.hits <= live;
  }
  if (reply.decision.clock_fault) stats_.clock_faults.fetch_add(1, std::memory_order_relaxed);
  CellTable::Shard& shard = cells_.ShardOf(ask.key);
  if (ask.op == Op::kRefund || ask.op == Op::kReset) {
    ShardLock lock(shard);
    Cell* const cell = shard.Find(ask.key);
    if (cell != nullptr && leases_) {
      cell->shared = {};  // what is leased stays good
    } else if (cell != nullptr) {
      shard.Erase(ask.key);
    }
  } else if (!reply.decision.allowed && WorthNoting(ask)) {
    ShardLock lock(shard);
    Cell* cell = shard.Find(ask.key);
    if (cell == nullptr) cell = shard.Insert(ask.key, *ask.limit, now, Holds::kShared);
    if (cell == nullptr) return;
    NoteDenied(ask, sent_mono_ns, *cell);
    if (leases_) KeepCell(LeaseOf(shard, *cell), *cell);
  } else if (ask.op == Op::kReport || (ask.op == Op::kTake && reply.decision.allowed && !looked)) {
    policy_.NoteAdmitted(ask, now);
  }
}

}  // namespace weir
