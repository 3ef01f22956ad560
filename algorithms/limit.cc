#include "algorithms/limit.h"

#include <string>
#include <vector>

#include "algorithms/saturate.h"

namespace weir {
namespace {

std::string TooLong(int64_t window_ns) {
  return "rate limit window is too long: " + std::to_string(window_ns / 1'000'000'000) +
         " seconds (maximum " + std::to_string(kWindowMaxNs / 1'000'000'000) + ")";
}

void PrepareTokenBucket(const LimitSpec& spec, Limit* limit, std::vector<std::string>* problems) {
  if (spec.hits == 0) return;  // a ban needs no rate and has no burst
  limit->capacity = spec.burst == 0 ? spec.hits : spec.burst;
  if (spec.window_ns < static_cast<int64_t>(spec.hits)) {
    problems->push_back("token_bucket rate is too high: at most 1000000000 hits per second");
    return;
  }
  // Rounded up, so that the rate is never above L/W (theory: integer GCRA, rounding of E).
  limit->emission_ns = (spec.window_ns + spec.hits - 1) / spec.hits;
  limit->burst_ns = ScaleCapped(limit->capacity, limit->emission_ns, INT64_MAX);
  if (limit->burst_ns > kWindowMaxNs) problems->push_back(TooLong(limit->burst_ns));
}

}  // namespace

const char* AlgorithmName(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kFixedWindow:
      return "fixed_window";
    case Algorithm::kSlidingWindow:
      return "sliding_window";
    case Algorithm::kTokenBucket:
      return "token_bucket";
  }
  return "unknown";
}

std::vector<std::string> MakeLimit(const LimitSpec& spec, Limit* limit) {
  std::vector<std::string> problems;
  *limit = Limit{};
  limit->algorithm = spec.algorithm;
  limit->hits = spec.hits;
  limit->capacity = spec.hits;
  limit->window_ns = spec.window_ns;
  if (spec.window_ns <= 0) {
    problems.push_back("rate limit window should be positive");
  } else if (spec.window_ns > kWindowMaxNs) {
    problems.push_back(TooLong(spec.window_ns));
  } else if (spec.algorithm == Algorithm::kTokenBucket) {
    PrepareTokenBucket(spec, limit, &problems);
  } else if (spec.algorithm == Algorithm::kSlidingWindow) {
    if (spec.precision < 1 || spec.precision > kPrecisionMax) {
      problems.push_back("precision should be between 1 and 100, but found " +
                         std::to_string(spec.precision));
    } else {
      limit->precision = spec.precision;
      // Rounded up: sub-buckets that together cover a little more than W only strengthen the bound.
      limit->bucket_ns = (spec.window_ns + spec.precision - 1) / spec.precision;
    }
  }
  return problems;
}

// The prices of a lease: a tenth of the burst while it lives; D of W + D + w at saturation.
int64_t LeaseLifeMaxNs(const Limit& limit) {
  switch (limit.algorithm) {
    case Algorithm::kTokenBucket:
      return std::min(limit.burst_ns / 10, kLeaseLifeMaxNs);
    case Algorithm::kSlidingWindow:
      return std::min(limit.window_ns / 20, kLeaseLifeMaxNs);
    case Algorithm::kFixedWindow:
      break;
  }
  return kLeaseLifeMaxNs;
}

}  // namespace weir
