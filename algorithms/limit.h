#pragma once

// What a rule enforces, as the algorithms read it: plain numbers, prepared once when rules are
// loaded so that a decision multiplies and compares and does nothing else.
//
// Thread safety: immutable after MakeLimit, shared freely.

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

enum class Algorithm : uint8_t { kFixedWindow = 0, kSlidingWindow = 1, kTokenBucket = 2 };

// The spelling of rule files, metrics and `weir.v1`: "fixed_window", "sliding_window",
// "token_bucket".
const char* AlgorithmName(Algorithm algorithm);

// The longest window, and the longest time a full token bucket takes to refill, in nanoseconds:
// twice this still fits an int64 beside a wall-clock time (design: 2^61).
inline constexpr int64_t kWindowMaxNs = int64_t{1} << 61;
inline constexpr uint32_t kPrecisionMax = 100;
inline constexpr uint32_t kPrecisionDefault = 10;
// Counts stop here instead of wrapping; exact in a Lua double too.
inline constexpr uint64_t kCountMax = uint64_t{1} << 52;

// What a rule says, before it is checked. Units: `hits` per `window_ns`; `burst` in hits.
struct LimitSpec {
  Algorithm algorithm = Algorithm::kFixedWindow;
  uint32_t hits = 0;  // L. 0 is a ban: nothing ever passes.
  int64_t window_ns = 0;
  uint32_t burst = 0;                      // token_bucket: 0 means L
  uint32_t precision = kPrecisionDefault;  // sliding_window: sub-buckets per window
};

// A checked limit with everything that needs a division worked out.
struct Limit {
  Algorithm algorithm = Algorithm::kFixedWindow;
  uint32_t hits = 0;        // L
  uint32_t capacity = 0;    // the most hits one decision can admit: L, or the burst
  uint32_t precision = 0;   // sliding_window: Bk; else 0
  int64_t window_ns = 0;    // W
  int64_t emission_ns = 0;  // token_bucket: E = ceil(W/L); 0 for a ban
  int64_t burst_ns = 0;     // token_bucket: B*E, at most kWindowMaxNs
  int64_t bucket_ns = 0;    // sliding_window: w = ceil(W/Bk)
  bool operator==(const Limit&) const = default;
};

// Prepares `spec`. Returns the problems found, each a sentence fit for a rule file's error; empty
// means `*limit` is filled. Fails for: a window that is not positive or above kWindowMaxNs, a
// token bucket whose B*E exceeds it or whose rate is above one hit per nanosecond (it could not be
// expressed in integer nanoseconds), a precision outside 1..kPrecisionMax.
std::vector<std::string> MakeLimit(const LimitSpec& spec, Limit* limit);

inline constexpr int64_t kLeaseLifeMaxNs = 10'000'000'000;
// The longest life of a lease of this limit, at most kLeaseLifeMaxNs. All nodes that share a
// sliding window must agree on it, whether they lease or not: what lies further ahead is a clock
// fault to them.
int64_t LeaseLifeMaxNs(const Limit& limit);

}  // namespace weir
