#pragma once

// Fixed window: a count per window, windows aligned to the epoch of the clock passed in.
//
// Guarantee: in each aligned window at most L hits are admitted.
// Worst case in any window W: 2L, all of it possibly within an instant around the edge.
// Units: nanoseconds since the epoch of a wall clock, hits.
// Source: the reference service's algorithm; the rules for denied hits and for a check of zero are
//         those its callers rely on (docs/algorithms.md).
//
// Every function is pure but for `state`; none can fail; any uint64 cost is safe, counts stop at
// kCountMax. REQUIRES: limit.algorithm == kFixedWindow, now_ns >= 0 and below 2^62.

#include <cstdint>

#include "algorithms/decision.h"
#include "algorithms/limit.h"

namespace weir::fixed_window {

struct State {
  int64_t window = 0;  // floor(now / W) of the last charge
  uint64_t count = 0;  // zero: never used
};

// Charges `hits` if they pass, else charges nothing. hits == 0 is Peek(…, 0).
Decision Take(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// What Take would answer; writes nothing. hits == 0 is denied only if the count is above L: a key
// that is exactly full answers a check of zero with allowed, as the reference does.
Decision Peek(const Limit& limit, const State& state, int64_t now_ns, uint64_t hits);

// Charges what a denied request costs where denials are charged: the request that crosses the
// limit in full, later ones nothing. Answers for `hits` after it.
Decision Drain(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// Charges unconditionally, also above L; always allowed.
Decision Report(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// Gives hits of the current window back, never below a count of zero; always allowed.
Decision Refund(const Limit& limit, State& state, int64_t now_ns, uint64_t hits);

// True when the state says nothing a fresh one would not.
bool Idle(const Limit& limit, const State& state, int64_t now_ns);

}  // namespace weir::fixed_window
