#include "limiter/store/memory_store.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "absl/container/inlined_vector.h"
#include "algorithms/fixed_window.h"
#include "algorithms/saturate.h"
#include "algorithms/sliding_window.h"
#include "algorithms/token_bucket.h"

namespace weir {
namespace {

// What is done to one key's state.
enum class Step : uint8_t { kTake, kPeek, kReport, kRefund, kDrain };

struct TokenBucket {
  static constexpr auto kTake = &token_bucket::Take;
  static constexpr auto kPeek = &token_bucket::Peek;
  static constexpr auto kReport = &token_bucket::Report;
  static constexpr auto kRefund = &token_bucket::Refund;
  static constexpr auto kDrain = &token_bucket::Drain;
};

struct FixedWindow {
  static constexpr auto kTake = &fixed_window::Take;
  static constexpr auto kPeek = &fixed_window::Peek;
  static constexpr auto kReport = &fixed_window::Report;
  static constexpr auto kRefund = &fixed_window::Refund;
  static constexpr auto kDrain = &fixed_window::Drain;
};

struct SlidingWindow {
  static constexpr auto kTake = &sliding_window::Take;
  static constexpr auto kPeek = &sliding_window::Peek;
  static constexpr auto kReport = &sliding_window::Report;
  static constexpr auto kRefund = &sliding_window::Refund;
  static constexpr auto kDrain = &sliding_window::Drain;
};

template <typename Functions, typename State>
Decision Do(Step step, const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  switch (step) {
    case Step::kTake:
      return Functions::kTake(limit, state, now_ns, hits);
    case Step::kReport:
      return Functions::kReport(limit, state, now_ns, hits);
    case Step::kRefund:
      return Functions::kRefund(limit, state, now_ns, hits);
    case Step::kDrain:
      return Functions::kDrain(limit, state, now_ns, hits);
    case Step::kPeek:
      break;
  }
  return Functions::kPeek(limit, state, now_ns, hits);
}

int64_t TimeOf(Algorithm algorithm, const Instant& now) {
  return algorithm == Algorithm::kFixedWindow ? now.wall_ns : now.mono_ns;
}

// Applies a step to the state in a cell and notes until when it is live.
Decision Apply(Step step, const Limit& limit, Cell& cell, const Instant& now, uint64_t hits) {
  const int64_t now_ns = TimeOf(limit.algorithm, now);
  Decision decision;
  switch (limit.algorithm) {
    case Algorithm::kTokenBucket:
      decision = Do<TokenBucket>(step, limit, cell.token_bucket, now_ns, hits);
      break;
    case Algorithm::kFixedWindow:
      decision = Do<FixedWindow>(step, limit, cell.fixed.state, now_ns, hits);
      break;
    case Algorithm::kSlidingWindow: {
      sliding_window::Ring ring(cell.ring, sliding_window::RingWords(limit.precision));
      decision = Do<SlidingWindow>(step, limit, ring, now_ns, hits);
      break;
    }
  }
  if (step != Step::kPeek) cell.idle_at_ns = now_ns + decision.reset_after_ns;
  if (limit.algorithm == Algorithm::kFixedWindow) {
    cell.fixed.void_before_ns = (cell.fixed.state.window - 1) * limit.window_ns;
  }
  return decision;
}

// The state of a key never seen, outside the table.
struct UnheldState {
  Cell cell;
  std::array<uint64_t, sliding_window::kRingWordsMax> ring;  // zeroed only where it is used

  explicit UnheldState(const Limit& limit) {
    cell.algorithm = limit.algorithm;
    if (limit.algorithm != Algorithm::kSlidingWindow) return;
    ring.fill(0);
    cell.ring = ring.data();
  }
  void CopyTo(Cell& target, const Limit& limit) const {
    target.idle_at_ns = cell.idle_at_ns;
    if (limit.algorithm == Algorithm::kSlidingWindow) {
      std::copy_n(ring.begin(), sliding_window::RingWords(limit.precision), target.ring);
    } else if (limit.algorithm == Algorithm::kTokenBucket) {
      target.token_bucket = cell.token_bucket;
    } else {
      target.fixed = cell.fixed;
    }
  }
};

Step StepOf(Op op) {
  switch (op) {
    case Op::kTake:
      return Step::kTake;
    case Op::kReport:
      return Step::kReport;
    case Op::kRefund:
      return Step::kRefund;
    case Op::kPeek:
    case Op::kReset:
      break;
  }
  return Step::kPeek;
}

// Hits that would have passed before the decision charged any.
uint64_t RemainingBefore(Step step, const Limit& limit, const Decision& decision, uint64_t hits) {
  if (step != Step::kTake || !decision.allowed) return decision.remaining;
  return std::min<uint64_t>(limit.capacity, decision.remaining + hits);
}

Grant Decide(Step step, const Limit& limit, Cell& cell, const Instant& now, uint64_t hits,
             bool drain) {
  Grant grant;
  grant.source = Source::kMemory;
  if (step == Step::kReport) {  // charges past the limit: what was free must be read first
    grant.remaining_before = Apply(Step::kPeek, limit, cell, now, hits).remaining;
  }
  grant.decision = Apply(step, limit, cell, now, hits);
  if (step != Step::kReport) {
    grant.remaining_before = RemainingBefore(step, limit, grant.decision, hits);
  }
  if (step == Step::kTake && !grant.decision.allowed && drain && hits > 0) {
    const bool clock_fault = grant.decision.clock_fault;  // which the take has put right
    grant.decision = Apply(Step::kDrain, limit, cell, now, hits);
    grant.decision.clock_fault |= clock_fault;
  }
  return grant;
}

// The state as the algorithms' records in a shared store say it, but for the clock: times of token
// buckets and stamps of sub-buckets are on this process' monotonic one.
std::string RecordText(const Cell& cell) {
  switch (cell.algorithm) {
    case Algorithm::kTokenBucket:
      return std::to_string(cell.token_bucket.tat_ns);
    case Algorithm::kFixedWindow:
      return std::to_string(cell.fixed.state.window) + " " + std::to_string(cell.fixed.state.count);
    case Algorithm::kSlidingWindow:
      break;
  }
  std::string text;
  for (std::size_t i = 0; i < sliding_window::RingWords(cell.precision); ++i) {
    text += (i == 0 ? "" : " ") + std::to_string(cell.ring[i]);
  }
  return text;
}

}  // namespace

MemoryStore::MemoryStore(const MemoryStoreOptions& options)
    : overflow_(options.overflow), cells_(options.keys_max, options.ring_bytes_max) {}

void MemoryStore::Answer(CellTable::Shard& shard, Ask& ask, const Instant& now, bool drain,
                         bool start_empty) {
  Cell* cell = shard.Find(ask.key);
  if (cell == nullptr) {
    AnswerUnheld(shard, ask, now, drain, start_empty);
    return;
  }
  if (ask.record != nullptr) *ask.record = RecordText(*cell);
  ask.grant = Decide(StepOf(ask.op), *ask.limit, *cell, now, ask.hits, drain);
  if (ask.op == Op::kReset) {
    const uint64_t remaining_before = ask.grant.remaining_before;
    shard.Erase(ask.key);
    AnswerUnheld(shard, ask, now, drain, start_empty);
    ask.grant.remaining_before = remaining_before;
  }
}

// A key the table does not hold is decided on a state of its own, and gets a cell only if that
// state then says something: denials and questions of new keys cost no memory.
void MemoryStore::AnswerUnheld(CellTable::Shard& shard, Ask& ask, const Instant& now, bool drain,
                               bool start_empty) {
  const Limit& limit = *ask.limit;
  UnheldState state(limit);
  if (start_empty && limit.algorithm == Algorithm::kTokenBucket) {
    Apply(Step::kReport, limit, state.cell, now, limit.capacity);
  }
  ask.grant = Decide(StepOf(ask.op), limit, state.cell, now, ask.hits, drain);
  if (state.cell.IdleAt(now) || StepOf(ask.op) == Step::kPeek) return;
  Cell* cell = shard.Insert(ask.key, limit, now);
  if (cell != nullptr) {
    state.CopyTo(*cell, limit);
  } else if (ask.op == Op::kReport) {
    // The hits are lost, but a report is always allowed.
    ask.grant.source = Source::kPolicy;
    ask.grant.overflow = true;
  } else if (ask.grant.decision.allowed) {
    ask.grant = Refused(ask.grant);
  }
}

Grant MemoryStore::Refused(Grant grant) const {
  grant.source = Source::kPolicy;
  grant.overflow = true;
  if (overflow_ == Overflow::kDeny) {
    grant.remaining_before = 0;
    grant.decision.allowed = false;
    grant.decision.remaining = 0;
    grant.decision.retry_after_ns = grant.decision.reset_after_ns;
    grant.decision.next_hit_after_ns = grant.decision.reset_after_ns;
  }
  return grant;
}

// One request under ChargeDenied::kOverOnly or kNever: every take is looked at before any is
// charged. Lives for one call, under the locks of all its shards.
class MemoryStore::Together {
 public:
  Together(MemoryStore& store, std::span<Ask> asks, const AcquireOptions& options)
      : store_(store), asks_(asks), options_(options), plans_(asks.size()) {}

  // The locks are as many as the request has shards, which the analysis cannot follow.
  void Run() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::bitset<CellTable::kShards> shards;
    for (const Ask& ask : asks_) shards.set(CellTable::ShardIndex(ask.key));
    for (std::size_t i = 0; i < shards.size(); ++i) {
      if (shards[i]) store_.cells_.shard(i).Lock();
    }
    Verdict verdict = options_.verdict;
    for (std::size_t i = 0; i < asks_.size(); ++i) {
      Look(i);
      verdict.Add(asks_[i].weight, plans_[i].allowed);
    }
    for (std::size_t i = 0; i < asks_.size(); ++i) Charge(i, verdict.allowed());
    for (std::size_t i = 0; i < asks_.size(); ++i) Release(i);
    for (std::size_t i = 0; i < shards.size(); ++i) {
      if (shards[i]) store_.cells_.shard(i).Unlock();
    }
  }

 private:
  struct Plan {
    bool allowed = false;  // would pass, together with what earlier asks of the same key charge
    bool refused = false;  // no room: passes or not by the overflow policy
    bool created = false;  // a cell was made to hold it
    bool kept = false;     // its cell is kept from eviction until all is charged
  };

  bool Questions(std::size_t i) const {
    return asks_[i].op == Op::kTake || asks_[i].op == Op::kPeek;
  }

  // Whether ask i leaves less for later asks of its key, if the request passes.
  bool Charges(std::size_t i) const {
    if (asks_[i].op == Op::kReport) return true;
    return asks_[i].op == Op::kTake &&
           (plans_[i].allowed || options_.charge_denied == ChargeDenied::kOverOnly);
  }

  // The hits that earlier asks charge to the key of ask i.
  uint64_t HitsBefore(std::size_t i) const {
    uint64_t hits = 0;
    for (std::size_t j = 0; j < i; ++j) {
      if (asks_[j].key == asks_[i].key && Charges(j)) {
        hits = AddCapped(hits, asks_[j].hits, std::numeric_limits<uint64_t>::max());
      }
    }
    return hits;
  }

  // Fills the grant with what a charge would say, and makes sure a cell is there to charge.
  void Look(std::size_t i) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Ask& ask = asks_[i];
    Plan& plan = plans_[i];
    plan.allowed = true;
    if (!Questions(i)) return;  // always passes
    const Limit& limit = *ask.limit;
    const uint64_t before = HitsBefore(i);
    // A check of zero asks for one hit, but on a fixed window only whether the key is over.
    const bool one = ask.hits == 0 && before > 0 && limit.algorithm != Algorithm::kFixedWindow;
    const uint64_t hits =
        AddCapped(before, one ? 1 : ask.hits, std::numeric_limits<uint64_t>::max());
    CellTable::Shard& shard = store_.cells_.ShardOf(ask.key);
    Cell* cell = shard.Find(ask.key);
    if (cell != nullptr) {
      ask.grant = Decide(Step::kPeek, limit, *cell, options_.now, hits, false);
    } else {
      UnheldState state(limit);
      ask.grant = Decide(Step::kPeek, limit, state.cell, options_.now, hits, false);
      if (ask.op == Op::kTake && ask.grant.decision.allowed && ask.hits > 0) {
        cell = shard.Insert(ask.key, limit, options_.now);
        plan.created = cell != nullptr;
        plan.refused = cell == nullptr;
        if (plan.refused) {
          ask.grant =
              store_.Refused(Decide(Step::kTake, limit, state.cell, options_.now, hits, false));
        }
      }
    }
    ask.grant.remaining_before -= std::min(before, ask.grant.remaining_before);
    plan.allowed = ask.grant.decision.allowed;
    if (cell != nullptr && plan.allowed && ask.op == Op::kTake) {
      // So that the other keys of the request do not evict it.
      cell->kept = true;
      plan.kept = true;
    }
  }

  void Charge(std::size_t i, bool request_allowed) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Ask& ask = asks_[i];
    const Plan& plan = plans_[i];
    CellTable::Shard& shard = store_.cells_.ShardOf(ask.key);
    if (plan.refused) return;
    if (!Questions(i) || (request_allowed && plan.allowed)) {
      store_.Answer(shard, ask, options_.now, false, options_.start_empty);
    } else if (ask.op == Op::kTake && !plan.allowed &&
               options_.charge_denied == ChargeDenied::kOverOnly) {
      Drain(shard, ask);
    }
  }

  void Release(std::size_t i) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (!plans_[i].kept) return;
    CellTable::Shard& shard = store_.cells_.ShardOf(asks_[i].key);
    Cell* cell = shard.Find(asks_[i].key);
    if (cell == nullptr) return;
    cell->kept = false;
    if (plans_[i].created && cell->IdleAt(options_.now)) shard.Erase(asks_[i].key);
  }

  void Drain(CellTable::Shard& shard, Ask& ask) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (ask.hits == 0) return;
    const Limit& limit = *ask.limit;
    if (Cell* cell = shard.Find(ask.key); cell != nullptr) {
      ask.grant.decision = Apply(Step::kDrain, limit, *cell, options_.now, ask.hits);
      return;
    }
    UnheldState state(limit);
    ask.grant.decision = Apply(Step::kDrain, limit, state.cell, options_.now, ask.hits);
    if (state.cell.IdleAt(options_.now)) return;
    // Without room to remember the denial in, it stands all the same.
    if (Cell* cell = shard.Insert(ask.key, limit, options_.now); cell != nullptr) {
      state.CopyTo(*cell, limit);
    }
  }

  MemoryStore& store_;
  const std::span<Ask> asks_;
  const AcquireOptions& options_;
  absl::InlinedVector<Plan, 32> plans_;
};

void MemoryStore::Acquire(std::span<Ask> asks, const AcquireOptions& options, Answered& answered) {
  if (options.charge_denied != ChargeDenied::kFirst && asks.size() > 1) {
    Together(*this, asks, options).Run();
  } else {
    const bool drain = options.charge_denied != ChargeDenied::kNever;
    for (Ask& ask : asks) {
      CellTable::Shard& shard = cells_.ShardOf(ask.key);
      ShardLock lock(shard);
      Answer(shard, ask, options.now, drain, options.start_empty);
    }
  }
  answered.OnAnswered();
}

}  // namespace weir
