#include "algorithms/token_bucket.h"

#include <algorithm>
#include <cstdint>

#include "algorithms/saturate.h"

namespace weir::token_bucket {
namespace {

// How far the bucket is from full, in time: 0 is full, burst_ns is empty. A TAT further ahead than
// empty can only come from a clock that stepped back; the clamp turns a ban into one full drain.
struct Level {
  int64_t used_ns;
  bool clock_fault;
};

Level LevelAt(const Limit& limit, const State& state, int64_t now_ns) {
  const int64_t used_ns = state.tat_ns - now_ns;
  if (used_ns <= 0) return {0, false};
  if (used_ns > limit.burst_ns) return {limit.burst_ns, true};
  return {used_ns, false};
}

// A bucket that is full is stored as never used: a TAT left at `now` would charge the key for a
// clock that steps back later.
void Store(State& state, Level level, int64_t now_ns) {
  state.tat_ns = level.used_ns == 0 ? 0 : now_ns + level.used_ns;
}

// Fills everything but `allowed` from the level after the decision, for a cost of `hits`.
Decision Describe(const Limit& limit, Level level, uint64_t hits) {
  Decision decision;
  decision.clock_fault = level.clock_fault;
  decision.reset_after_ns = level.used_ns;
  if (limit.hits == 0) {
    decision.retry_after_ns = kNeverNs;
    decision.next_hit_after_ns = kNeverNs;
    return decision;
  }
  const int64_t free_ns = limit.burst_ns - level.used_ns;
  decision.remaining = static_cast<uint64_t>(free_ns / limit.emission_ns);
  decision.next_hit_after_ns = std::max<int64_t>(0, limit.emission_ns - free_ns);
  if (hits > limit.capacity) {
    decision.retry_after_ns = kNeverNs;
  } else {
    const int64_t cost_ns = static_cast<int64_t>(std::max<uint64_t>(hits, 1)) * limit.emission_ns;
    decision.retry_after_ns = std::max<int64_t>(0, cost_ns - free_ns);
  }
  return decision;
}

Decision Allowed(const Limit& limit, Level level) {
  Decision decision = Describe(limit, level, 0);
  decision.allowed = true;
  decision.retry_after_ns = 0;
  return decision;
}

}  // namespace

Decision Peek(const Limit& limit, const State& state, int64_t now_ns, uint64_t hits) {
  Decision decision = Describe(limit, LevelAt(limit, state, now_ns), hits);
  decision.allowed = decision.retry_after_ns == 0;
  return decision;
}

Decision Take(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  Level level = LevelAt(limit, state, now_ns);
  // The clamp is kept even when the answer is a denial: left in place, the far-future value would
  // be clamped anew at each call and ban the key for as long as the clock stepped back.
  if (level.clock_fault) state.tat_ns = now_ns + level.used_ns;
  Decision decision = Describe(limit, level, hits);
  decision.allowed = decision.retry_after_ns == 0;
  if (!decision.allowed || hits == 0) return decision;
  level.used_ns += static_cast<int64_t>(hits) * limit.emission_ns;
  state.tat_ns = now_ns + level.used_ns;
  return Allowed(limit, level);
}

Decision Drain(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  Level level = LevelAt(limit, state, now_ns);
  if (limit.hits != 0 && hits != 0) {
    const int64_t free_ns = limit.burst_ns - level.used_ns;
    level.used_ns += free_ns / limit.emission_ns * limit.emission_ns;
  }
  Store(state, level, now_ns);
  return Describe(limit, level, hits);
}

Decision Report(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  Level level = LevelAt(limit, state, now_ns);
  level.used_ns += ScaleCapped(hits, limit.emission_ns, limit.burst_ns - level.used_ns);
  Store(state, level, now_ns);
  return Allowed(limit, level);
}

Decision Refund(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  Level level = LevelAt(limit, state, now_ns);
  level.used_ns -= ScaleCapped(hits, limit.emission_ns, level.used_ns);
  Store(state, level, now_ns);
  return Allowed(limit, level);
}

bool Idle(const State& state, int64_t now_ns) { return state.tat_ns <= now_ns; }

}  // namespace weir::token_bucket
