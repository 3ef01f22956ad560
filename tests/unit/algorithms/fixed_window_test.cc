#include "algorithms/fixed_window.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "algorithms/limit.h"

namespace weir::fixed_window {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kYearNs = 365 * 86'400 * kSecondNs;
constexpr int64_t kEdge = 1'800'000'000 * kSecondNs;  // a window begins here
constexpr int64_t kNow = kEdge + kSecondNs / 4;
constexpr int64_t kLeftNs = kSecondNs - kSecondNs / 4;

Limit Window(uint32_t hits, int64_t window_ns = kSecondNs) {
  Limit limit;
  EXPECT_TRUE(MakeLimit({.hits = hits, .window_ns = window_ns}, &limit).empty());
  return limit;
}

const Limit kTen = Window(10);

State Counted(uint64_t count) { return {.window = kEdge / kSecondNs, .count = count}; }

TEST(FixedWindow, AnswersOneTake) {
  struct Case {
    const char* name;
    uint64_t count;
    uint64_t hits;
    bool allowed;
    uint64_t remaining;
    int64_t reset_after_ns;
    int64_t retry_after_ns;
    int64_t next_hit_after_ns;
  };
  constexpr Case kCases[] = {
      {"empty, nothing asked", 0, 0, true, 10, 0, 0, 0},
      {"empty, one", 0, 1, true, 9, kLeftNs, 0, 0},
      {"empty, the limit", 0, 10, true, 0, kLeftNs, 0, kLeftNs},
      {"empty, one over the limit", 0, 11, false, 10, 0, kNeverNs, 0},
      {"one left, one asked", 9, 1, true, 0, kLeftNs, 0, kLeftNs},
      {"one left, two asked", 9, 2, false, 1, kLeftNs, kLeftNs, 0},
      {"exactly full, nothing asked", 10, 0, true, 0, kLeftNs, 0, kLeftNs},
      {"exactly full, one", 10, 1, false, 0, kLeftNs, kLeftNs, kLeftNs},
      {"over, nothing asked", 11, 0, false, 0, kLeftNs, kLeftNs, kLeftNs},
      {"over, one over the limit", 11, 11, false, 0, kLeftNs, kNeverNs, kLeftNs},
      {"2^32", 0, uint64_t{1} << 32, false, 10, 0, kNeverNs, 0},
      {"2^63", 0, uint64_t{1} << 63, false, 10, 0, kNeverNs, 0},
      {"2^64-1, minus one if the sum wrapped", 5, UINT64_MAX, false, 5, kLeftNs, kNeverNs, 0},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    State state = Counted(c.count);
    const Decision decision = Take(kTen, state, kNow, c.hits);
    EXPECT_EQ(decision.allowed, c.allowed);
    EXPECT_EQ(decision.remaining, c.remaining);
    EXPECT_EQ(decision.reset_after_ns, c.reset_after_ns);
    EXPECT_EQ(decision.retry_after_ns, c.retry_after_ns);
    EXPECT_EQ(decision.next_hit_after_ns, c.next_hit_after_ns);
    EXPECT_FALSE(decision.clock_fault);
    EXPECT_EQ(state.count, c.count + (c.allowed ? c.hits : 0)) << "a denial charges nothing";
  }
}

TEST(FixedWindow, StartsAnewExactlyAtTheEdge) {
  State state = Counted(10);
  EXPECT_FALSE(Take(kTen, state, kEdge + kSecondNs - 1, 1).allowed);
  EXPECT_TRUE(Take(kTen, state, kEdge + kSecondNs, 1).allowed);
}

TEST(FixedWindow, AdmitsTwiceTheLimitAroundAnEdgeAndNoMore) {
  State state;
  uint64_t admitted = 0;
  for (int64_t now = kEdge - 5; now < kEdge + 5; ++now) {
    while (Take(kTen, state, now, 1).allowed) ++admitted;
  }
  EXPECT_EQ(admitted, 20u);
}

TEST(FixedWindow, StartsAnewAfterAHugeGap) {
  State state;
  Take(kTen, state, 0, 10);
  const Decision decision = Take(kTen, state, (int64_t{1} << 62) - 1, 1);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.remaining, 9u);
}

TEST(FixedWindow, StaysInTheNewerWindowAfterASmallStepBack) {
  State state = Counted(10);
  const Decision decision = Take(kTen, state, kEdge - 1, 1);
  EXPECT_FALSE(decision.allowed) << "the count is not lost";
  EXPECT_EQ(decision.retry_after_ns, kSecondNs + 1);
  EXPECT_FALSE(decision.clock_fault);
}

TEST(FixedWindow, BelievesTheClockAfterAStepBackOfMoreThanAWindow) {
  State state = Counted(10);
  const Decision decision = Take(kTen, state, kEdge - kSecondNs - 1, 1);
  EXPECT_TRUE(decision.allowed) << "else the key is stuck until time catches up";
  EXPECT_TRUE(decision.clock_fault);
  EXPECT_EQ(decision.remaining, 9u);
  EXPECT_FALSE(Take(kTen, state, kEdge - kSecondNs - 1, 1).clock_fault);
}

TEST(FixedWindow, FitsAYearAndTheLongestWindow) {
  for (const int64_t window_ns : {kYearNs, kWindowMaxNs}) {
    for (const int64_t now : {kNow, (int64_t{1} << 62) - 1}) {
      const Limit limit = Window(1, window_ns);
      State state;
      EXPECT_TRUE(Take(limit, state, now, 1).allowed);
      const Decision denied = Take(limit, state, now, 1);
      EXPECT_EQ(denied.retry_after_ns, window_ns - now % window_ns);
    }
  }
}

TEST(FixedWindow, BansWithALimitOfZero) {
  const Limit ban = Window(0);
  State state;
  for (const uint64_t hits : {uint64_t{1}, uint64_t{2}, UINT64_MAX}) {
    const Decision decision = Take(ban, state, kNow, hits);
    EXPECT_FALSE(decision.allowed);
    EXPECT_EQ(decision.remaining, 0u);
    EXPECT_EQ(decision.retry_after_ns, kNeverNs);
    EXPECT_EQ(decision.next_hit_after_ns, kNeverNs);
  }
  EXPECT_TRUE(Peek(ban, state, kNow, 0).allowed) << "a check of zero asks for nothing";
  EXPECT_TRUE(Idle(ban, state, kNow));
}

TEST(FixedWindow, PeekWritesNothing) {
  const State state = Counted(3);
  for (const int64_t now : {kNow, kNow + kSecondNs, kNow - kSecondNs, int64_t{0}}) {
    Peek(kTen, state, now, 3);
    EXPECT_EQ(state.window, kEdge / kSecondNs);
    EXPECT_EQ(state.count, 3u);
  }
}

TEST(FixedWindow, DrainChargesTheRequestThatCrossesInFull) {
  State state = Counted(7);
  const Decision decision = Drain(kTen, state, kNow, 5);
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.remaining, 0u);
  EXPECT_EQ(state.count, 12u);
  EXPECT_FALSE(Peek(kTen, state, kNow, 0).allowed) << "the key is over, not only full";
}

TEST(FixedWindow, DrainChargesLaterDenialsNothing) {
  State state = Counted(7);
  for (int i = 0; i < 5; ++i) Drain(kTen, state, kNow, 5);
  EXPECT_EQ(state.count, 12u);
}

TEST(FixedWindow, DrainOfAFullKeyCrosses) {
  State state = Counted(10);
  Drain(kTen, state, kNow, 1);
  EXPECT_EQ(state.count, 11u);
  Drain(kTen, state, kNow, 1);
  EXPECT_EQ(state.count, 11u);
}

TEST(FixedWindow, CountsStopAtTheirMaximum) {
  State state = Counted(5);
  Drain(kTen, state, kNow, UINT64_MAX);
  EXPECT_EQ(state.count, kCountMax);
  Report(kTen, state, kNow, UINT64_MAX);
  EXPECT_EQ(state.count, kCountMax);
}

TEST(FixedWindow, ReportChargesAboveTheLimit) {
  State state = Counted(8);
  const Decision decision = Report(kTen, state, kNow, 5);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.remaining, 0u);
  EXPECT_EQ(state.count, 13u);
}

TEST(FixedWindow, RefundStopsAtACountOfZero) {
  for (const uint64_t hits : {uint64_t{4}, uint64_t{5}, uint64_t{1} << 63, UINT64_MAX}) {
    State state = Counted(4);
    const Decision decision = Refund(kTen, state, kNow, hits);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.remaining, 10u);
    EXPECT_EQ(state.count, 0u);
    EXPECT_TRUE(Idle(kTen, state, kNow));
  }
}

TEST(FixedWindow, RefundOfAnEarlierWindowGivesNothing) {
  State state = Counted(10);
  EXPECT_EQ(Refund(kTen, state, kNow + kSecondNs, 5).remaining, 10u);
  EXPECT_TRUE(Take(kTen, state, kNow + kSecondNs, 10).allowed);
  EXPECT_FALSE(Take(kTen, state, kNow + kSecondNs, 1).allowed);
}

TEST(FixedWindow, IsIdleOnceItsWindowEnded) {
  const State state = Counted(1);
  EXPECT_FALSE(Idle(kTen, state, kEdge));
  EXPECT_FALSE(Idle(kTen, state, kEdge + kSecondNs - 1));
  EXPECT_TRUE(Idle(kTen, state, kEdge + kSecondNs));
}

}  // namespace
}  // namespace weir::fixed_window
