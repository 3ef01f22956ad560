#include "algorithms/sliding_window.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "algorithms/limit.h"

namespace weir::sliding_window {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kYearNs = 365 * 86'400 * kSecondNs;
constexpr int64_t kEdge = 1'800'000'000 * kSecondNs;  // a sub-bucket begins here
constexpr int64_t kBucketNs = kSecondNs / 10;

// A limit and its state.
struct Key {
  Limit limit;
  std::vector<uint64_t> ring;

  explicit Key(uint32_t hits, int64_t window_ns = kSecondNs, uint32_t precision = 10) {
    const LimitSpec spec = {.algorithm = Algorithm::kSlidingWindow,
                            .hits = hits,
                            .window_ns = window_ns,
                            .precision = precision};
    EXPECT_TRUE(MakeLimit(spec, &limit).empty());
    ring.assign(RingWords(precision), 0);
  }
  Decision Take(int64_t now, uint64_t hits) { return sliding_window::Take(limit, ring, now, hits); }
  Decision Peek(int64_t now, uint64_t hits) const {
    return sliding_window::Peek(limit, ring, now, hits);
  }
  Decision Drain(int64_t now, uint64_t hits) {
    return sliding_window::Drain(limit, ring, now, hits);
  }
  Decision Report(int64_t now, uint64_t hits) {
    return sliding_window::Report(limit, ring, now, hits);
  }
  Decision Refund(int64_t now, uint64_t hits) {
    return sliding_window::Refund(limit, ring, now, hits);
  }
  bool Idle(int64_t now) const { return sliding_window::Idle(limit, ring, now); }
};

TEST(SlidingWindow, AnswersOneTake) {
  // Charged at the start of a sub-bucket, asked a quarter of one later: what is charged leaves
  // when eleven sub-buckets have begun since.
  constexpr int64_t kAskedNs = kBucketNs / 4;
  constexpr int64_t kLeavesNs = 11 * kBucketNs - kAskedNs;
  struct Case {
    const char* name;
    uint64_t charged;
    uint64_t hits;
    bool allowed;
    uint64_t remaining;
    int64_t reset_after_ns;
    int64_t retry_after_ns;
    int64_t next_hit_after_ns;
  };
  constexpr Case kCases[] = {
      {"empty, nothing asked", 0, 0, true, 10, 0, 0, 0},
      {"empty, one", 0, 1, true, 9, kLeavesNs, 0, 0},
      {"empty, the limit", 0, 10, true, 0, kLeavesNs, 0, kLeavesNs},
      {"empty, one over the limit", 0, 11, false, 10, 0, kNeverNs, 0},
      {"one left, one asked", 9, 1, true, 0, kLeavesNs, 0, kLeavesNs},
      {"one left, two asked", 9, 2, false, 1, kLeavesNs, kLeavesNs, 0},
      {"exactly full, nothing asked", 10, 0, false, 0, kLeavesNs, kLeavesNs, kLeavesNs},
      {"exactly full, one", 10, 1, false, 0, kLeavesNs, kLeavesNs, kLeavesNs},
      {"over, one", 15, 1, false, 0, kLeavesNs, kLeavesNs, kLeavesNs},
      {"2^32", 0, uint64_t{1} << 32, false, 10, 0, kNeverNs, 0},
      {"2^63", 0, uint64_t{1} << 63, false, 10, 0, kNeverNs, 0},
      {"2^64-1, minus one if the sum wrapped", 5, UINT64_MAX, false, 5, kLeavesNs, kNeverNs, 0},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Key key(10);
    if (c.charged > 0) key.Report(kEdge, c.charged);
    const std::vector<uint64_t> before = key.ring;
    const Decision decision = key.Take(kEdge + kAskedNs, c.hits);
    EXPECT_EQ(decision.allowed, c.allowed);
    EXPECT_EQ(decision.remaining, c.remaining);
    EXPECT_EQ(decision.reset_after_ns, c.reset_after_ns);
    EXPECT_EQ(decision.retry_after_ns, c.retry_after_ns);
    EXPECT_EQ(decision.next_hit_after_ns, c.next_hit_after_ns);
    EXPECT_FALSE(decision.clock_fault);
    EXPECT_TRUE(c.allowed || key.ring == before) << "a denial charges nothing";
  }
}

TEST(SlidingWindow, CountsTheCurrentSubBucketAndAllFullOnesBefore) {
  Key key(10);
  key.Take(kEdge + kBucketNs - 1, 10);  // the last instant of its sub-bucket
  EXPECT_FALSE(key.Peek(kEdge + kBucketNs - 1 + kSecondNs, 1).allowed) << "exactly W later";
  EXPECT_FALSE(key.Peek(kEdge + 11 * kBucketNs - 1, 1).allowed);
  EXPECT_TRUE(key.Peek(kEdge + 11 * kBucketNs, 10).allowed);
}

TEST(SlidingWindow, RetryWalksTheOldestSubBuckets) {
  Key key(10);
  for (int i = 0; i < 5; ++i) key.Take(kEdge + i * kBucketNs, 2);
  const int64_t now = kEdge + 5 * kBucketNs;
  struct Case {
    uint64_t hits;
    int64_t leaves;  // how many sub-buckets must leave
  };
  for (const Case& c : {Case{1, 1}, Case{2, 1}, Case{3, 2}, Case{4, 2}, Case{9, 5}, Case{10, 5}}) {
    EXPECT_EQ(key.Peek(now, c.hits).retry_after_ns, (c.leaves - 1 + 11 - 5) * kBucketNs) << c.hits;
  }
  EXPECT_EQ(key.Peek(now, 11).retry_after_ns, kNeverNs);
}

TEST(SlidingWindow, LosesAtMostOneInPrecisionPlusOneOfTheThroughputAtSaturation) {
  for (const uint32_t precision : {1u, 2u, 10u, 100u}) {
    Key key(1000, kSecondNs, precision);
    uint64_t admitted = 0;
    constexpr int64_t kSpanNs = 200 * kSecondNs;
    const int64_t step_ns = key.limit.bucket_ns / 2;
    for (int64_t now = kEdge; now < kEdge + kSpanNs; now += step_ns) {
      const uint64_t room = key.Peek(now, 0).remaining;
      if (room > 0 && key.Take(now, room).allowed) admitted += room;
    }
    const uint64_t asked = 200'000;
    EXPECT_GE(admitted, asked - asked / (precision + 1)) << precision;
    EXPECT_LE(admitted, asked) << precision;
  }
}

TEST(SlidingWindow, ForgetsEverythingAfterAHugeGap) {
  Key key(10);
  key.Take(0, 10);
  const Decision decision = key.Take((int64_t{1} << 62) - 1, 10);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.remaining, 0u);
}

TEST(SlidingWindow, KeepsHitsOneSubBucketAheadAfterASmallStepBack) {
  Key key(10);
  key.Take(kEdge, 9);
  const Decision decision = key.Take(kEdge - 1, 2);
  EXPECT_FALSE(decision.allowed);
  EXPECT_FALSE(decision.clock_fault);
  EXPECT_EQ(decision.retry_after_ns, 11 * kBucketNs + 1);
}

TEST(SlidingWindow, LetsAFarFutureHitLeaveAfterOneWindow) {
  Key key(10);
  key.Take(kEdge + kYearNs, 10);  // the clock jumped a year ahead and comes back
  const Decision denied = key.Take(kEdge, 1);
  EXPECT_FALSE(denied.allowed);
  EXPECT_TRUE(denied.clock_fault);
  EXPECT_EQ(denied.retry_after_ns, 11 * kBucketNs);
  EXPECT_FALSE(key.Take(kEdge + 11 * kBucketNs - 1, 1).clock_fault) << "kept even on a denial";
  EXPECT_TRUE(key.Take(kEdge + 11 * kBucketNs, 10).allowed) << "else a ban for a year";
}

TEST(SlidingWindow, TellsTheNextHitWhenTheLastOnePassesDuringAClockFault) {
  Key key(2);
  key.Take(kEdge + kYearNs, 1);
  const Decision decision = key.Take(kEdge, 1);
  EXPECT_TRUE(decision.allowed);
  EXPECT_TRUE(decision.clock_fault);
  EXPECT_EQ(decision.remaining, 0u);
  EXPECT_EQ(decision.next_hit_after_ns, 11 * kBucketNs);
}

TEST(SlidingWindow, LosesNoHitWhenTheClockStepsBackFromAnEmptySubBucket) {
  // A write that charges nothing moves the ring ahead; the clock then steps back over it.
  Key key(10);
  key.Take(kEdge, 9);
  key.Report(kEdge + 5 * kBucketNs, 0);
  const int64_t now = kEdge + 2 * kBucketNs;
  EXPECT_TRUE(key.Take(now, 1).allowed);
  EXPECT_FALSE(key.Take(now, 1).allowed) << "the nine hits are still in the window";
}

TEST(SlidingWindow, FitsAYearAndTheLongestWindowAtTheLatestTime) {
  for (const int64_t window_ns : {kYearNs, kWindowMaxNs}) {
    for (const uint32_t precision : {1u, 2u, 100u}) {
      for (const int64_t now : {kEdge, (int64_t{1} << 62) - 1}) {
        Key key(1, window_ns, precision);
        const int64_t width_ns = key.limit.bucket_ns;
        EXPECT_TRUE(key.Take(now, 1).allowed);
        const Decision denied = key.Take(now, 1);
        EXPECT_EQ(denied.retry_after_ns, (precision + 1) * width_ns - now % width_ns);
        const Decision behind = key.Take(now - now % width_ns - 1, 1);
        EXPECT_EQ(behind.retry_after_ns, (precision + 1) * width_ns + 1) << "one step back";
      }
    }
  }
}

TEST(SlidingWindow, BansWithALimitOfZero) {
  Key key(0);
  for (const uint64_t hits : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
    const Decision decision = key.Take(kEdge, hits);
    EXPECT_FALSE(decision.allowed);
    EXPECT_EQ(decision.remaining, 0u);
    EXPECT_EQ(decision.retry_after_ns, kNeverNs);
    EXPECT_EQ(decision.next_hit_after_ns, kNeverNs);
  }
  EXPECT_TRUE(key.Idle(kEdge));
}

TEST(SlidingWindow, PeekWritesNothing) {
  Key key(10);
  key.Take(kEdge, 3);
  const std::vector<uint64_t> before = key.ring;
  for (const int64_t now : {kEdge, kEdge + kYearNs, kEdge - kSecondNs, int64_t{0}}) {
    key.Peek(now, 3);
    EXPECT_EQ(key.ring, before);
  }
}

TEST(SlidingWindow, DrainTakesTheHitsThatAreLeft) {
  Key key(10);
  key.Take(kEdge, 7);
  const Decision decision = key.Drain(kEdge + kBucketNs, 5);
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.remaining, 0u);
  EXPECT_EQ(decision.retry_after_ns, 10 * kBucketNs) << "the seven leave first";
  EXPECT_EQ(key.Drain(kEdge + kBucketNs, 5).reset_after_ns, 11 * kBucketNs);
  EXPECT_EQ(key.Peek(kEdge + 11 * kBucketNs, 0).remaining, 7u) << "the second drain took nothing";
}

TEST(SlidingWindow, DrainOfNothingChargesNothing) {
  Key key(10);
  key.Take(kEdge, 7);
  EXPECT_EQ(key.Drain(kEdge, 0).remaining, 3u);
}

TEST(SlidingWindow, ReportChargesAboveTheLimitAndStopsAtTheMaximum) {
  Key key(10);
  key.Report(kEdge, 15);
  EXPECT_EQ(key.Peek(kEdge, 0).remaining, 0u);
  EXPECT_EQ(key.Refund(kEdge, 6).remaining, 1u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(key.Report(kEdge, UINT64_MAX).allowed);
  EXPECT_EQ(key.Refund(kEdge, kCountMax - 1).remaining, 9u);
}

TEST(SlidingWindow, RefundTakesFromTheNewestSubBucketTowardsTheOldest) {
  Key key(10);
  key.Take(kEdge, 4);
  key.Take(kEdge + kBucketNs, 4);
  EXPECT_EQ(key.Refund(kEdge + 2 * kBucketNs, 5).remaining, 7u);
  EXPECT_EQ(key.Peek(kEdge + 11 * kBucketNs - 1, 0).remaining, 7u);
  EXPECT_EQ(key.Peek(kEdge + 11 * kBucketNs, 0).remaining, 10u) << "three were left in the oldest";
}

TEST(SlidingWindow, RefundsSettledAtOnceCostNoThroughput) {
  Key key(10'000);
  uint64_t used = 0;
  constexpr int kBuckets = 2'000;
  for (int i = 0; i < kBuckets; ++i) {
    const int64_t now = kEdge + i * kBucketNs;
    for (int call = 0; call < 50 && key.Take(now, 100).allowed; ++call) {
      key.Refund(now, 80);
      used += 20;
    }
  }
  // 0.33 of the limit if refunds came from the oldest sub-bucket.
  EXPECT_GE(used, uint64_t{10'000} * kBuckets / 10 * 90 / 100);
}

TEST(SlidingWindow, RefundStopsAtTheFullLimit) {
  for (const uint64_t hits : {uint64_t{4}, uint64_t{5}, uint64_t{1} << 63, UINT64_MAX}) {
    Key key(10);
    key.Take(kEdge, 4);
    EXPECT_EQ(key.Refund(kEdge + kBucketNs, hits).remaining, 10u);
    EXPECT_TRUE(key.Idle(kEdge + kBucketNs));
    EXPECT_FALSE(key.Take(kEdge + kBucketNs, 11).allowed);
    EXPECT_TRUE(key.Take(kEdge + kBucketNs, 10).allowed);
  }
}

TEST(SlidingWindow, RefundOfHitsThatLeftTheWindowGivesNothing) {
  Key key(10);
  key.Take(kEdge, 10);
  EXPECT_EQ(key.Refund(kEdge + 11 * kBucketNs, 5).remaining, 10u);
  EXPECT_TRUE(key.Take(kEdge + 11 * kBucketNs, 10).allowed);
  EXPECT_FALSE(key.Take(kEdge + 11 * kBucketNs, 1).allowed);
}

TEST(SlidingWindow, IsIdleOnceTheNewestHitLeft) {
  Key key(10);
  EXPECT_TRUE(key.Idle(0));
  key.Take(kEdge, 1);
  EXPECT_FALSE(key.Idle(kEdge + 11 * kBucketNs - 1));
  EXPECT_TRUE(key.Idle(kEdge + 11 * kBucketNs));
}

}  // namespace
}  // namespace weir::sliding_window
