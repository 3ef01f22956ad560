#pragma once

// Sliding window of strict sub-buckets: the window W is cut into `precision` sub-buckets of width
// w; a request counts the current one and the previous `precision` full ones, without
// interpolation.
//
// Guarantee: in any interval of length W at most L hits are admitted, against any adversary.
// Price: at saturation at most 1/(precision + 1) of the throughput.
// Units: nanoseconds on one clock (callers pass the same clock for one state), hits.
// Source: strict sub-bucket counters; proof and cost in docs/algorithms.md.
//
// The state is a ring of RingWords(limit) words owned by the caller: the newest stamp, then one
// count per slot. All zero is a state never used. Every function is pure but for the ring; none
// can fail; any uint64 cost is safe, counts stop at kCountMax.
// REQUIRES: limit.algorithm == kSlidingWindow, now_ns >= 0 and below 2^62,
// ring.size() == RingWords(limit).

#include <cstddef>
#include <cstdint>
#include <span>

#include "algorithms/decision.h"
#include "algorithms/limit.h"

namespace weir::sliding_window {

// Sub-buckets kept: those of the window, the current one, and one ahead for a small step back.
inline std::size_t RingSlots(uint32_t precision) { return precision + 2; }
inline std::size_t RingWords(uint32_t precision) { return RingSlots(precision) + 1; }
inline constexpr std::size_t kRingWordsMax = kPrecisionMax + 3;

using Ring = std::span<uint64_t>;
using ConstRing = std::span<const uint64_t>;

// Charges `hits` if they pass, else charges nothing. hits == 0 is Peek(…, 0) with the clamp kept.
Decision Take(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits);

// What Take would answer; writes nothing. hits == 0 asks whether one hit would pass.
Decision Peek(const Limit& limit, ConstRing ring, int64_t now_ns, uint64_t hits);

// Charges what a denied request costs where denials are charged: the hits that are left. Answers
// for `hits` after it.
Decision Drain(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits);

// Charges the current sub-bucket unconditionally, also above L; always allowed.
Decision Report(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits);

// Gives hits back, from the newest sub-bucket of the window towards the oldest, never below zero;
// always allowed.
Decision Refund(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits);

// True when the state says nothing a fresh one would not.
bool Idle(const Limit& limit, ConstRing ring, int64_t now_ns);

}  // namespace weir::sliding_window
