#pragma once

// A memory store asked directly, without rules.

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <list>
#include <utility>
#include <vector>

#include "limiter/store/memory_store.h"
#include "tests/support/fake_clock.h"

namespace weir::test {

inline Limit LimitOf(const LimitSpec& spec) {
  Limit limit;
  EXPECT_TRUE(MakeLimit(spec, &limit).empty());
  return limit;
}

inline Limit Fixed(uint32_t hits, int64_t window_ns = 60 * kSecondNs) {
  return LimitOf({.hits = hits, .window_ns = window_ns});
}
inline Limit Sliding(uint32_t hits, int64_t window_ns = 60 * kSecondNs) {
  return LimitOf({.algorithm = Algorithm::kSlidingWindow, .hits = hits, .window_ns = window_ns});
}
inline Limit Bucket(uint32_t hits, int64_t window_ns = 60 * kSecondNs) {
  return LimitOf({.algorithm = Algorithm::kTokenBucket, .hits = hits, .window_ns = window_ns});
}

// Keys of tests: small numbers, spread over shards.
inline Key KeyOf(uint64_t n) { return {n * 0x9e3779b97f4a7c15, n}; }

class AnsweredOnce final : public Answered {
 public:
  void OnAnswered() override { ++times_; }
  int times() const { return times_; }

 private:
  int times_ = 0;
};

// Thread safety: one thread; the clock and the store may be shared.
class Asking {
 public:
  Asking(MemoryStore& store, FakeClock& clock) : store_(store), clock_(clock) {}

  ChargeDenied charge_denied = ChargeDenied::kFirst;
  Verdict verdict;

  // Asks as one request; the grants stand in the asks afterwards.
  void Acquire(std::span<Ask> asks) {
    AnsweredOnce answered;
    AcquireOptions options;
    options.now = clock_.Now();
    options.charge_denied = charge_denied;
    options.verdict = verdict;
    store_.Acquire(asks, options, answered);
    EXPECT_EQ(answered.times(), 1);
  }

  Grant One(const Limit& limit, uint64_t key, Op op, uint64_t hits = 1) {
    Ask ask = Of(limit, key, hits, Weight::kEnforced, op);
    Acquire({&ask, 1});
    return ask.grant;
  }
  bool Take(const Limit& limit, uint64_t key, uint64_t hits = 1) {
    return One(limit, key, Op::kTake, hits).decision.allowed;
  }
  uint64_t Remaining(const Limit& limit, uint64_t key) {
    return One(limit, key, Op::kPeek).decision.remaining;
  }

  static Ask Of(const Limit& limit, uint64_t key, uint64_t hits = 1,
                Weight weight = Weight::kEnforced, Op op = Op::kTake) {
    Ask ask;
    ask.limit = &limit;
    ask.key = KeyOf(key);
    ask.op = op;
    ask.weight = weight;
    ask.hits = hits;
    return ask;
  }

 private:
  MemoryStore& store_;
  FakeClock& clock_;
};

inline uint64_t KeysHeld(const MemoryStore& store) {
  return store.cells().keys(Algorithm::kFixedWindow) +
         store.cells().keys(Algorithm::kSlidingWindow) +
         store.cells().keys(Algorithm::kTokenBucket);
}

}  // namespace weir::test
