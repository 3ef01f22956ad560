#pragma once

// Token bucket as integer GCRA: one number, the theoretical arrival time (TAT), is the whole state.
// The level is a line in time, so the instant at which it reaches "full" determines it.
//
// Guarantee: in any interval of length T at most B + (L/W)*T hits are admitted, and always
//            TAT - now <= B*E.
// Worst case in any window W: B + L.
// Units: nanoseconds on one clock (callers pass the same clock for one state), hits.
// Price: E = ceil(W/L) makes the rate at most 1/E (relative, E in ns) lower than asked.
// Source: ITU-T I.371 generic cell rate algorithm; rounding and clamp in docs/algorithms.md.
//
// Every function is pure but for `state`; none can fail; any uint64 cost is safe.
// REQUIRES: limit.algorithm == kTokenBucket, now_ns >= 0 and below 2^62.

#include <cstdint>

#include "algorithms/decision.h"
#include "algorithms/limit.h"

namespace weir::token_bucket {

struct State {
  int64_t tat_ns = 0;  // zero: never used
};

// Charges `hits` if they pass, else charges nothing. hits == 0 is Peek(…, 0) with the clamp kept.
Decision Take(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// What Take would answer; writes nothing. hits == 0 asks whether one hit would pass.
Decision Peek(const Limit& limit, const State& state, int64_t now_ns, uint64_t hits);

// Charges what a denied request costs where denials are charged: the whole hits that are left,
// never a fraction of one (a fraction would ban a caller that hammers). Answers for `hits` after
// it.
Decision Drain(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// Charges unconditionally, at most down to empty; always allowed.
Decision Report(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// Gives hits back, never above the burst; always allowed.
Decision Refund(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// True when the state says nothing a fresh one would not.
bool Idle(const State& state, int64_t now_ns);

}  // namespace weir::token_bucket
