// The shared store against the memory store: over a remote that answers at once both decide and
// charge alike. Accepted differences:
//
//   - A denial from the deny cache costs nothing in the modes that drain denied keys, and of a
//     sliding window it knows less: retry_after is a lower bound, next_hit_after and remaining are
//     those of the denial.
//   - What smaller costs charged since the denial is not in a cached denial's remaining.
//   - A denial that comes of the same key standing twice in a request says when the key is as if
//     never used, not when the sum of both would pass. Under over-only such a key is charged the
//     denied cost if that passes alone, instead of being drained.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::Asking;
using test::FakeClock;
using test::kSecondNs;
using test::SharedHarness;
using test::SharedRequest;

constexpr int64_t kOffsetNs = 12'345 * kSecondNs + 678;  // of the store's clock

std::vector<Limit> LimitsOfKeys() {
  std::vector<Limit> limits;
  for (const uint32_t hits : {0U, 1U, 2U, 5U, 9U}) {
    for (int algorithm = 0; algorithm < 3; ++algorithm) {
      for (const int64_t window_ns : {3 * kSecondNs, 70 * kSecondNs}) {
        limits.push_back(test::LimitOf({.algorithm = static_cast<Algorithm>(algorithm),
                                        .hits = hits,
                                        .window_ns = window_ns,
                                        .precision = 4}));
      }
    }
  }
  return limits;
}

class Comparison {
 public:
  Comparison(ChargeDenied mode, uint32_t seed, bool cached)
      : random_(seed), cached_(cached), limits_(LimitsOfKeys()) {
    harness_.charge_denied = mode;
    harness_.remote.store().Advance(kOffsetNs);
  }

  void Run() {
    for (round_ = 0; round_ < 1'500; ++round_) {
      // Beyond a second no denial is remembered.
      const int64_t ns = cached_ ? Below(4) == 0 ? Below(kSecondNs / 2) : 0
                                 : kSecondNs + (Below(2) == 0 ? 0 : Below(kSecondNs));
      harness_.Advance(ns);
      Compare(Below(4) == 0 ? Single() : Takes());
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  uint64_t cached_denials() const { return cached_denials_; }

 private:
  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(bound));
  }
  uint64_t Key() { return random_() % limits_.size(); }
  uint64_t Hits() {
    static constexpr uint64_t kHits[] = {0, 1, 1, 1, 2, 3, 5, 6, uint64_t{1} << 32, ~uint64_t{0}};
    return kHits[random_() % 10];
  }

  std::vector<Ask> Single() {
    static constexpr Op kOps[] = {Op::kTake, Op::kPeek, Op::kReport, Op::kRefund, Op::kReset};
    const uint64_t key = Key();
    return {Asking::Of(limits_[key], key, Hits(), Weight::kEnforced, kOps[random_() % 5])};
  }
  // Takes of neighbouring keys, often one of them twice.
  std::vector<Ask> Takes() {
    const uint64_t base = Key();
    const bool over_only = harness_.charge_denied == ChargeDenied::kOverOnly;
    std::vector<Ask> asks(1 + random_() % (over_only ? 3 : 4));
    for (std::size_t i = 0; i < asks.size(); ++i) {
      const uint64_t key = (base + (over_only ? i : random_() % 3)) % limits_.size();
      const auto weight = static_cast<Weight>(key % 5 < 3 ? 0 : key % 5 - 2);
      asks[i] = Asking::Of(limits_[key], key, Hits(), weight);
    }
    if (random_() % 8 == 0) {
      const uint64_t key = (base + 3) % limits_.size();
      asks.push_back(Asking::Of(limits_[key], key, Hits(), Weight::kEnforced,
                                random_() % 2 == 0 ? Op::kReport : Op::kPeek));
    }
    return asks;
  }

  Instant StoreNow() const {
    const int64_t now_ns = harness_.remote.store().now_ns();
    return {now_ns, now_ns};
  }
  void AskOracle(std::vector<Ask>& asks) {
    test::AnsweredOnce answered;
    AcquireOptions options;
    options.now = StoreNow();
    options.charge_denied = harness_.charge_denied;
    oracle_.Acquire(asks, options, answered);
  }
  Decision PeekOracle(const Ask& ask) {
    std::vector<Ask> question = {ask};
    question[0].op = Op::kPeek;
    AskOracle(question);
    return question[0].grant.decision;
  }
  // What Weir takes as the cost of a denial that it remembers stands in the way of the rest.
  Ask AlwaysDenied(Weight weight) const { return Asking::Of(ban_, 1'000, 1, weight); }

  void Compare(const std::vector<Ask>& asks) {
    std::vector<Decision> before;
    before.reserve(asks.size());
    for (const Ask& ask : asks) before.push_back(PeekOracle(ask));
    SharedRequest request;
    request.asks = asks;
    harness_.Run(request);
    std::vector<Ask> expected = asks;
    for (std::size_t i = 0; i < asks.size(); ++i) {
      if (request[i].source == Source::kDeniedCache) expected[i] = AlwaysDenied(asks[i].weight);
    }
    AskOracle(expected);
    for (std::size_t i = 0; i < asks.size(); ++i) {
      SCOPED_TRACE("round " + std::to_string(round_) + ", ask " + std::to_string(i) + " of " +
                   std::to_string(asks.size()) + ", " + AlgorithmName(asks[i].limit->algorithm) +
                   ", hits " + std::to_string(asks[i].hits));
      if (request[i].source == Source::kDeniedCache) {
        ++cached_denials_;
        ASSERT_FALSE(before[i].allowed);
        ASSERT_FALSE(request[i].decision.allowed);
      } else {
        ASSERT_EQ(request[i].source, Source::kStore);
        CompareGrants(request[i], expected[i].grant, Twice(asks, i));
      }
      if (::testing::Test::HasFatalFailure()) return;
      // What was charged.
      Ask question = asks[i];
      question.hits = 1;
      const Decision held = harness_.remote.store().Peek(*question.limit, question.key, 1);
      const Decision wanted = PeekOracle(question);
      ASSERT_EQ(held.remaining, wanted.remaining);
      ASSERT_EQ(held.reset_after_ns, wanted.reset_after_ns);
    }
  }

  static bool Twice(const std::vector<Ask>& asks, std::size_t index) {
    for (std::size_t i = 0; i < index; ++i) {
      if (asks[i].key == asks[index].key) return true;
    }
    return false;
  }

  void CompareGrants(const Grant& grant, const Grant& wanted, bool twice) {
    ASSERT_EQ(grant.decision.allowed, wanted.decision.allowed);
    ASSERT_EQ(grant.decision.remaining, wanted.decision.remaining);
    ASSERT_EQ(grant.decision.reset_after_ns, wanted.decision.reset_after_ns);
    ASSERT_EQ(grant.decision.next_hit_after_ns, wanted.decision.next_hit_after_ns);
    ASSERT_EQ(grant.remaining_before, wanted.remaining_before);
    if (twice && !grant.decision.allowed) {
      ASSERT_GT(grant.decision.retry_after_ns, 0);
    } else {
      ASSERT_EQ(grant.decision.retry_after_ns, wanted.decision.retry_after_ns);
    }
  }

  std::mt19937_64 random_;
  const bool cached_;
  const std::vector<Limit> limits_;
  const Limit ban_ = test::Fixed(0);
  SharedHarness harness_;
  MemoryStore oracle_{{.keys_max = 4096, .ring_bytes_max = std::size_t{4} << 20}};
  int round_ = 0;
  uint64_t cached_denials_ = 0;
};

void CompareFor(ChargeDenied mode) {
  uint64_t cached_denials = 0;
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    for (const bool cached : {false, true}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + (cached ? ", with denials remembered" : ""));
      Comparison comparison(mode, seed, cached);
      comparison.Run();
      if (::testing::Test::HasFatalFailure()) return;
      if (!cached) {
        ASSERT_EQ(comparison.cached_denials(), 0U);
      }
      cached_denials += comparison.cached_denials();
    }
  }
  EXPECT_GT(cached_denials, 100U);
}

TEST(SharedStoreModel, AgreesWithTheMemoryStoreUnderFirst) { CompareFor(ChargeDenied::kFirst); }
TEST(SharedStoreModel, AgreesWithTheMemoryStoreUnderOverOnly) {
  CompareFor(ChargeDenied::kOverOnly);
}
TEST(SharedStoreModel, AgreesWithTheMemoryStoreUnderNever) { CompareFor(ChargeDenied::kNever); }

}  // namespace
}  // namespace weir
