// Bugs seen in public rate limiters, each as a test that fails where the bug is present.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "algorithms/limit.h"
#include "tests/unit/algorithms/lockstep.h"
#include "tests/unit/algorithms/oracle.h"

namespace weir {
namespace {

using lockstep::FixedWindowSubject;
using lockstep::SlidingWindowSubject;
using lockstep::TokenBucketSubject;
using oracle::Kind;

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kNow = 1'800'000'000 * kSecondNs;

template <typename Subject>
class PublicBugs : public testing::Test {
 protected:
  static Subject Key(uint32_t hits, int64_t window_ns = kSecondNs) {
    return Subject(
        LimitSpec{.algorithm = Subject::kAlgorithm, .hits = hits, .window_ns = window_ns});
  }
};

using Subjects = testing::Types<TokenBucketSubject, FixedWindowSubject, SlidingWindowSubject>;
TYPED_TEST_SUITE(PublicBugs, Subjects);

// Bug 1: one hit is tested, then the whole cost is charged.
TYPED_TEST(PublicBugs, CostIgnoredInTheCheck) {
  auto key = this->Key(10);
  EXPECT_EQ(key.Apply(Kind::kTake, kNow, 11).retry_after_ns, kNeverNs) << "B + 1 never passes";
  EXPECT_TRUE(key.Apply(Kind::kTake, kNow, 9).allowed);
  EXPECT_FALSE(key.Apply(Kind::kTake, kNow, 2).allowed) << "2 asked, 1 left";
  EXPECT_TRUE(key.Apply(Kind::kTake, kNow, 1).allowed);
}

// Bug 1, second half: the first hit of a key is charged as one whatever it costs.
TYPED_TEST(PublicBugs, FirstHitOfAKeyChargedAsOne) {
  for (const uint64_t cost : {1u, 2u, 7u, 10u}) {
    auto key = this->Key(10);
    EXPECT_EQ(key.Apply(Kind::kTake, kNow, cost).remaining, 10 - cost);
  }
}

// Bug 2: times are cut to whole seconds before they are compared, so whoever comes less than a
// second early passes.
TYPED_TEST(PublicBugs, EarlyByLessThanTheUnitOfTheComparison) {
  auto key = this->Key(1, 60 * kSecondNs);
  key.Apply(Kind::kTake, kNow, 1);
  const int64_t passes = kNow + key.Peek(kNow, 1).retry_after_ns;
  for (const int64_t early_ns : {int64_t{1}, int64_t{999}, int64_t{1'000'000}, kSecondNs - 1}) {
    EXPECT_FALSE(key.Apply(Kind::kTake, passes - early_ns, 1).allowed) << early_ns;
  }
  EXPECT_TRUE(key.Apply(Kind::kTake, passes, 1).allowed);
}

// Bug 3: rounding to nearest admits half a hit early, so a burst of 10 becomes 10.5.
TEST(TokenBucketPublicBugs, HalfAHitRoundedUp) {
  for (const uint32_t burst : {1u, 10u}) {
    for (const int64_t window_ns : {kSecondNs, kSecondNs / 3}) {
      const LimitSpec spec = {
          .algorithm = Algorithm::kTokenBucket, .hits = 10, .window_ns = window_ns, .burst = burst};
      TokenBucketSubject key(spec);
      oracle::RationalBucket exact(spec);
      const int64_t half_ns = key.limit.emission_ns / 2;
      uint64_t denied = 0;
      for (int i = 0; i < 200; ++i) {
        const int64_t now = kNow + i / 2 * half_ns + i % 2;  // half a hit later, and 1 ns after
        for (uint32_t ask = 0; ask <= burst; ++ask) {
          const bool allowed = key.Apply(Kind::kTake, now, 1).allowed;
          EXPECT_TRUE(!allowed || exact.Take(now, 1)) << "burst " << burst << " call " << i;
          denied += allowed ? 0 : 1;
        }
      }
      EXPECT_GT(denied, 100u);
    }
  }
}

// Theory, "do not mix roundings": a cost of ceil(h*W/L) against a tolerance of B*ceil(W/L) admits
// 6,000 hits above a burst of 3,000,000.
TEST(TokenBucketPublicBugs, CostAndToleranceRoundedDifferently) {
  const LimitSpec spec = {
      .algorithm = Algorithm::kTokenBucket, .hits = 3'000'000, .window_ns = kSecondNs};
  TokenBucketSubject key(spec);
  uint64_t admitted = 0;
  for (const uint64_t hits : {1'000'000u, 1'000'000u, 1'000'000u, 6'000u, 1'000u, 1u}) {
    if (key.Apply(Kind::kTake, kNow, hits).allowed) admitted += hits;
  }
  EXPECT_EQ(admitted, 3'000'000u);
}

// Bug 5 at the level of an algorithm: no history may leave a key banned for good. After the worst
// calls, and a clock that came back from far ahead, every key is as if never used within two
// windows and one sub-bucket.
TYPED_TEST(PublicBugs, ImmortalCounter) {
  auto key = this->Key(10);
  for (const int64_t ahead_ns : {int64_t{0}, kSecondNs, int64_t{1} << 60}) {
    key.Apply(Kind::kReport, kNow + ahead_ns, UINT64_MAX);
    key.Apply(Kind::kDrain, kNow + ahead_ns, UINT64_MAX);
  }
  key.Apply(Kind::kTake, kNow, 1);
  const int64_t later = kNow + 2 * kSecondNs + kSecondNs / 10;
  EXPECT_TRUE(key.Idle(later));
  EXPECT_TRUE(key.Apply(Kind::kTake, later, 10).allowed);
}

// Bug 6 at the level of an algorithm: reset and retry come from the same `now` as the decision, so
// a caller that waits exactly as told is admitted and one that waits 1 ns less is not.
TYPED_TEST(PublicBugs, ResetComputedFromAnotherClock) {
  for (const int64_t offset_ns : {int64_t{0}, int64_t{1}, kSecondNs / 3, kSecondNs - 1}) {
    auto key = this->Key(3);
    const int64_t now = kNow + offset_ns;
    key.Apply(Kind::kTake, now, 3);
    const Decision denied = key.Apply(Kind::kTake, now, 3);
    EXPECT_FALSE(key.Peek(now + denied.retry_after_ns - 1, 3).allowed);
    EXPECT_TRUE(key.Peek(now + denied.retry_after_ns, 3).allowed);
    EXPECT_FALSE(key.Idle(now + denied.reset_after_ns - 1));
    EXPECT_TRUE(key.Idle(now + denied.reset_after_ns));
  }
}

// A cost from 2^63 on taken as a negative number: a denial becomes a refund.
TYPED_TEST(PublicBugs, HugeCostTakenAsNegative) {
  for (const uint64_t cost : {uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 4}) {
    auto key = this->Key(10);
    key.Apply(Kind::kTake, kNow, 10);
    EXPECT_FALSE(key.Apply(Kind::kTake, kNow, cost).allowed);
    EXPECT_EQ(key.Peek(kNow, 1).remaining, 0u);
    key.Apply(Kind::kDrain, kNow, cost);
    EXPECT_EQ(key.Apply(Kind::kReport, kNow, cost).remaining, 0u);
  }
}

}  // namespace
}  // namespace weir
