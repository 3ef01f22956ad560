#include "algorithms/token_bucket.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "algorithms/limit.h"

namespace weir::token_bucket {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kYearNs = 365 * 86'400 * kSecondNs;
constexpr int64_t kNow = 1'800'000'000 * kSecondNs;  // a wall clock in 2027

Limit Bucket(uint32_t hits, int64_t window_ns, uint32_t burst = 0) {
  Limit limit;
  const LimitSpec spec = {
      .algorithm = Algorithm::kTokenBucket, .hits = hits, .window_ns = window_ns, .burst = burst};
  EXPECT_TRUE(MakeLimit(spec, &limit).empty());
  return limit;
}

// Ten hits a second: E is 100 ms.
const Limit kTen = Bucket(10, kSecondNs);
constexpr int64_t kCellNs = kSecondNs / 10;

TEST(TokenBucket, AnswersOneTake) {
  struct Case {
    const char* name;
    int64_t used_ns;  // how far the bucket is from full before
    uint64_t hits;
    bool allowed;
    uint64_t remaining;
    int64_t reset_after_ns;
    int64_t retry_after_ns;
  };
  constexpr Case kCases[] = {
      {"never used, nothing asked", 0, 0, true, 10, 0, 0},
      {"never used, one", 0, 1, true, 9, kCellNs, 0},
      {"never used, the burst", 0, 10, true, 0, kSecondNs, 0},
      {"never used, one over the burst", 0, 11, false, 10, 0, kNeverNs},
      {"one left, one asked", 9 * kCellNs, 1, true, 0, kSecondNs, 0},
      {"one left, two asked", 9 * kCellNs, 2, false, 1, 9 * kCellNs, kCellNs},
      {"1 ns short of one", 9 * kCellNs + 1, 1, false, 0, 9 * kCellNs + 1, 1},
      {"empty, nothing asked", kSecondNs, 0, false, 0, kSecondNs, kCellNs},
      {"empty, one", kSecondNs, 1, false, 0, kSecondNs, kCellNs},
      {"empty, the burst", kSecondNs, 10, false, 0, kSecondNs, kSecondNs},
      {"2^32", 0, uint64_t{1} << 32, false, 10, 0, kNeverNs},
      {"2^63", 0, uint64_t{1} << 63, false, 10, 0, kNeverNs},
      {"2^64 / E, zero if the product wrapped", 0, uint64_t{1} << 63, false, 10, 0, kNeverNs},
      {"2^64-1", 0, UINT64_MAX, false, 10, 0, kNeverNs},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    State state = {.tat_ns = kNow + c.used_ns};
    const Decision decision = Take(kTen, state, kNow, c.hits);
    EXPECT_EQ(decision.allowed, c.allowed);
    EXPECT_EQ(decision.remaining, c.remaining);
    EXPECT_EQ(decision.reset_after_ns, c.reset_after_ns);
    EXPECT_EQ(decision.retry_after_ns, c.retry_after_ns);
    EXPECT_FALSE(decision.clock_fault);
  }
}

TEST(TokenBucket, ChargesNothingForADenial) {
  State state;
  Take(kTen, state, kNow, 8);
  const int64_t before = state.tat_ns;
  for (const uint64_t hits : {uint64_t{3}, uint64_t{10}, uint64_t{11}, UINT64_MAX}) {
    EXPECT_FALSE(Take(kTen, state, kNow, hits).allowed);
    EXPECT_EQ(state.tat_ns, before);
  }
}

TEST(TokenBucket, RefillsNoMoreThanTheBurstAfterAHugeGap) {
  State state;
  Take(kTen, state, 1, 10);
  const Decision decision = Take(kTen, state, (int64_t{1} << 62) - 1, 10);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.remaining, 0u);
}

TEST(TokenBucket, AdmitsABurstAndThenOneHitPerEmissionInterval) {
  State state;
  uint64_t admitted = 0;
  for (int64_t now = kNow; now < kNow + kSecondNs; now += kCellNs / 4) {
    while (Take(kTen, state, now, 1).allowed) ++admitted;
  }
  EXPECT_EQ(admitted, 10u + 9u) << "B + L in one window, less the hit that falls on its end";
}

TEST(TokenBucket, LosesAtMostOneInEOfTheRateToRounding) {
  // 7 hits per 100 ns: E = 15 ns instead of 14.29.
  const Limit limit = Bucket(7, 100);
  State state;
  uint64_t admitted = 0;
  constexpr int64_t kSpanNs = 100'000;
  for (int64_t now = 0; now < kSpanNs; ++now) admitted += Take(limit, state, now, 1).allowed;
  const uint64_t exact = kSpanNs * 7 / 100;
  EXPECT_LE(admitted, exact + 7);
  EXPECT_GE(admitted, exact - exact / 15);
}

TEST(TokenBucket, FitsAYearAndTheLargestLimit) {
  const Limit limit = Bucket(UINT32_MAX, kYearNs);
  State state;
  const Decision all = Take(limit, state, kNow, UINT32_MAX);
  EXPECT_TRUE(all.allowed);
  EXPECT_EQ(all.remaining, 0u);
  const Decision next = Take(limit, state, kNow, 1);
  EXPECT_EQ(next.retry_after_ns, limit.emission_ns);
  EXPECT_TRUE(Take(limit, state, kNow + next.retry_after_ns, 1).allowed);
}

TEST(TokenBucket, FitsTheLongestBucketAtTheLatestTime) {
  const Limit limit = Bucket(1, kWindowMaxNs);
  constexpr int64_t kLatest = (int64_t{1} << 62) - 1;
  State state;
  EXPECT_TRUE(Take(limit, state, kLatest, 1).allowed);
  EXPECT_EQ(Take(limit, state, kLatest, 1).retry_after_ns, kWindowMaxNs);
}

TEST(TokenBucket, BansWithALimitOfZero) {
  const Limit ban = Bucket(0, kSecondNs, 5);
  State state;
  for (const uint64_t hits : {uint64_t{0}, uint64_t{1}, uint64_t{5}, UINT64_MAX}) {
    for (const int64_t now : {int64_t{0}, kNow, kNow + kYearNs}) {
      const Decision decision = Take(ban, state, now, hits);
      EXPECT_FALSE(decision.allowed);
      EXPECT_EQ(decision.remaining, 0u);
      EXPECT_EQ(decision.retry_after_ns, kNeverNs);
      EXPECT_EQ(decision.next_hit_after_ns, kNeverNs);
      EXPECT_EQ(decision.reset_after_ns, 0);
    }
  }
  EXPECT_TRUE(Idle(state, 0));
}

TEST(TokenBucket, AdmitsLessForAsLongAsTheClockSteppedBack) {
  State state;
  Take(kTen, state, kNow, 5);
  const Decision decision = Take(kTen, state, kNow - 2 * kCellNs, 1);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.remaining, 2u) << "five charged, two more lie in the future, one taken";
  EXPECT_FALSE(decision.clock_fault);
}

TEST(TokenBucket, ClampsAFarFutureStateToOneFullDrain) {
  State state;
  Take(kTen, state, kNow + kYearNs, 1);  // the clock jumped a year ahead and comes back
  const Decision decision = Take(kTen, state, kNow, 1);
  EXPECT_FALSE(decision.allowed);
  EXPECT_TRUE(decision.clock_fault);
  EXPECT_EQ(decision.retry_after_ns, kCellNs);
  EXPECT_EQ(decision.reset_after_ns, kSecondNs);
}

TEST(TokenBucket, KeepsTheClampOnADenial) {
  State state = {.tat_ns = kNow + kYearNs};
  EXPECT_FALSE(Take(kTen, state, kNow, 1).allowed);
  EXPECT_EQ(state.tat_ns, kNow + kSecondNs);
  EXPECT_FALSE(Peek(kTen, state, kNow, 1).clock_fault);
  EXPECT_TRUE(Take(kTen, state, kNow + kCellNs, 1).allowed) << "else a ban for a year";
}

TEST(TokenBucket, KeepsTheClampOnEveryWritingCall) {
  for (Decision (*call)(const Limit&, State&, int64_t, uint64_t) : {Take, Drain, Report, Refund}) {
    State state = {.tat_ns = kNow + kYearNs};
    EXPECT_TRUE(call(kTen, state, kNow, 0).clock_fault);
    EXPECT_EQ(state.tat_ns, kNow + kSecondNs);
  }
}

TEST(TokenBucket, PeekWritesNothing) {
  for (const int64_t tat_ns : {int64_t{0}, kNow, kNow + kSecondNs, kNow + kYearNs}) {
    const State state = {.tat_ns = tat_ns};
    Peek(kTen, state, kNow, 3);
    EXPECT_EQ(state.tat_ns, tat_ns);
  }
}

TEST(TokenBucket, DrainTakesWholeHitsAndLeavesTheFraction) {
  State state = {.tat_ns = kNow + 7 * kCellNs + kCellNs / 3};  // 2.67 hits are left
  const Decision decision = Drain(kTen, state, kNow, 5);
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.remaining, 0u);
  EXPECT_EQ(state.tat_ns, kNow + 9 * kCellNs + kCellNs / 3);
  EXPECT_EQ(decision.next_hit_after_ns, kCellNs / 3);
}

TEST(TokenBucket, DrainDoesNotBanACallerThatHammersWithOneHit) {
  State charged;
  State plain;
  for (int64_t now = kNow; now < kNow + 10 * kSecondNs; now += kCellNs / 7) {
    const bool allowed = Take(kTen, charged, now, 1).allowed;
    EXPECT_EQ(Take(kTen, plain, now, 1).allowed, allowed);
    if (!allowed) Drain(kTen, charged, now, 1);
    ASSERT_EQ(charged.tat_ns, plain.tat_ns);
  }
}

TEST(TokenBucket, DrainOfNothingChargesNothing) {
  State state;
  Take(kTen, state, kNow, 4);
  const Decision decision = Drain(kTen, state, kNow, 0);
  EXPECT_EQ(decision.remaining, 6u);
  EXPECT_EQ(state.tat_ns, kNow + 4 * kCellNs);
}

TEST(TokenBucket, ReportChargesDownToEmptyAndNoFurther) {
  for (const uint64_t hits : {uint64_t{10}, uint64_t{11}, uint64_t{1} << 63, UINT64_MAX}) {
    State state;
    const Decision decision = Report(kTen, state, kNow, hits);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.remaining, 0u);
    EXPECT_EQ(state.tat_ns, kNow + kSecondNs) << "TAT - now <= B*E";
  }
}

TEST(TokenBucket, RefundNeverFillsAboveTheBurst) {
  for (const uint64_t hits : {uint64_t{4}, uint64_t{5}, uint64_t{1} << 63, UINT64_MAX}) {
    State state;
    Take(kTen, state, kNow, 4);
    const Decision decision = Refund(kTen, state, kNow, hits);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.remaining, 10u);
    EXPECT_FALSE(Take(kTen, state, kNow, 11).allowed);
    EXPECT_TRUE(Take(kTen, state, kNow, 10).allowed);
  }
}

TEST(TokenBucket, RefundOfAnUnusedKeyChargesNothingAfterAClockStepBack) {
  State unused;
  Refund(kTen, unused, kNow, 1);
  State refunded;
  Take(kTen, refunded, kNow, 3);
  Refund(kTen, refunded, kNow, 3);
  for (const State& state : {unused, refunded}) {
    EXPECT_EQ(Peek(kTen, state, kNow - kSecondNs, 1).remaining, 10u);
    EXPECT_TRUE(Idle(state, kNow - kSecondNs));
  }
}

TEST(TokenBucket, IsIdleOnceItIsFull) {
  State state;
  EXPECT_TRUE(Idle(state, 0));
  Take(kTen, state, kNow, 3);
  EXPECT_FALSE(Idle(state, kNow + 3 * kCellNs - 1));
  EXPECT_TRUE(Idle(state, kNow + 3 * kCellNs));
}

}  // namespace
}  // namespace weir::token_bucket
