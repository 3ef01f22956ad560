#include "limiter/core/accounting.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::Entries;
using test::HarnessOptions;
using test::kSecondNs;
using test::On;
using test::SyncCheck;

HarnessOptions CountingStats() {
  HarnessOptions options;
  options.engine.count_stats = true;
  return options;
}

// One row of the reference's arithmetic: a decision on a limit of 10 with a threshold of 8.
struct HitCase {
  const char* name;
  uint64_t before;  // hits charged before
  uint64_t hits;
  bool allowed;
  uint64_t over;
  uint64_t near;
  uint64_t within;
};

constexpr uint64_t kMost = ~uint64_t{0};

constexpr HitCase kHitCases[] = {
    {"far below", 0, 3, true, 0, 0, 3},
    {"up to the threshold", 5, 3, true, 0, 0, 3},
    {"across the threshold", 7, 2, true, 0, 1, 2},
    {"above the threshold", 8, 2, true, 0, 2, 2},
    {"exactly full from empty", 0, 10, true, 0, 2, 10},
    {"across the limit from below the threshold", 7, 5, false, 2, 2, 0},
    {"across the limit from above the threshold", 9, 5, false, 4, 1, 0},
    {"across the limit from empty", 0, 11, false, 1, 2, 0},
    {"already full", 10, 3, false, 3, 0, 0},
    {"a check of zero when full", 10, 0, true, 0, 0, 0},
    {"a check of zero when over", 10, 0, false, 0, 0, 0},
    {"a check of zero when free", 3, 0, true, 0, 0, 0},
    {"the largest cost", 4, kMost, false, kMost - 6, 2, 0},
};

TEST(SplitHits, FollowsTheReferencesArithmetic) {
  for (const HitCase& c : kHitCases) {
    Grant grant;
    grant.decision.allowed = c.allowed;
    grant.remaining_before = 10 - c.before;
    const HitSplit split = SplitHits(10, 8, c.hits, grant);
    EXPECT_EQ(split.over, c.over) << c.name;
    EXPECT_EQ(split.near, c.near) << c.name;
    EXPECT_EQ(split.within, c.within) << c.name;
  }
}

TEST(SplitHits, UnderABanAllHitsAreOver) {
  Grant grant;
  const HitSplit split = SplitHits(0, 0, 3, grant);
  EXPECT_EQ(split.over, 3U);
  EXPECT_EQ(split.near, 0U);
  EXPECT_EQ(split.within, 0U);
}

// The same sequence of decisions on each algorithm gives the same sums.
TEST(Accounting, SumsAlongASequenceAreThoseOfTheReference) {
  const DescriptorSpec rules[] = {On("k").Fixed(10, Unit::kHour), On("k").Sliding(10, Unit::kHour),
                                  On("k").TokenBucket(10, Unit::kHour)};
  for (const DescriptorSpec& rule : rules) {
    EngineHarness harness({rule}, CountingStats());
    const StatCounters& stats = harness.StatCount(harness.engine.rules()->rules()[0].stat_slot);
    harness.Take({{"k", "v"}}, 7);
    harness.Take({{"k", "v"}}, 2);
    EXPECT_EQ(stats.total_hits.Get(), 9U);
    EXPECT_EQ(stats.within_limit.Get(), 9U);
    EXPECT_EQ(stats.near_limit.Get(), 1U);
    EXPECT_EQ(stats.over_limit.Get(), 0U);
    harness.Take({{"k", "v"}}, 4);  // crosses with 3
    EXPECT_EQ(stats.over_limit.Get(), 3U);
    EXPECT_EQ(stats.near_limit.Get(), 2U);
    harness.Take({{"k", "v"}}, 2);  // already over
    EXPECT_EQ(stats.total_hits.Get(), 15U);
    EXPECT_EQ(stats.over_limit.Get(), 5U);
    EXPECT_EQ(stats.near_limit.Get(), 2U);
    EXPECT_EQ(stats.within_limit.Get(), 9U);
    EXPECT_EQ(stats.shadow_mode.Get(), 0U);
  }
}

TEST(Accounting, AShadowRuleCountsItsOverLimitHitsTwice) {
  EngineHarness harness({On("k").Fixed(2, Unit::kHour).Shadow()}, CountingStats());
  const StatCounters& stats = harness.StatCount(harness.engine.rules()->rules()[0].stat_slot);
  harness.Take({{"k", "v"}}, 5);
  EXPECT_EQ(stats.over_limit.Get(), 3U);
  EXPECT_EQ(stats.shadow_mode.Get(), 3U);
  EXPECT_EQ(stats.within_limit.Get(), 0U);
}

TEST(Accounting, GlobalShadowModeIsNoShadowRule) {
  HarnessOptions options = CountingStats();
  options.engine.shadow_mode = true;
  EngineHarness harness({On("k").Fixed(2, Unit::kHour)}, options);
  harness.Take({{"k", "v"}}, 5);
  EXPECT_EQ(harness.StatCount(harness.engine.rules()->rules()[0].stat_slot).shadow_mode.Get(), 0U);
}

TEST(Accounting, ARefundIsCountedApartAndNeverAsHits) {
  EngineHarness harness({On("k").Fixed(5, Unit::kHour)}, CountingStats());
  const uint32_t slot = harness.engine.rules()->rules()[0].stat_slot;
  harness.Take({{"k", "v"}}, 3);
  harness.Take({{"k", "v"}}, 2, Op::kRefund);
  EXPECT_EQ(harness.StatCount(slot).negative_hits.Get(), 2U);
  EXPECT_EQ(harness.StatCount(slot).total_hits.Get(), 3U);
  EXPECT_EQ(harness.StatCount(slot).within_limit.Get(), 3U);
}

TEST(Accounting, AReportPastTheLimitCountsWhatWentOver) {
  EngineHarness harness({On("k").Fixed(5, Unit::kHour)}, CountingStats());
  const uint32_t slot = harness.engine.rules()->rules()[0].stat_slot;
  harness.Take({{"k", "v"}}, 7, Op::kReport);
  EXPECT_EQ(harness.StatCount(slot).total_hits.Get(), 7U);
  EXPECT_EQ(harness.StatCount(slot).over_limit.Get(), 2U);
  EXPECT_EQ(harness.StatCount(slot).within_limit.Get(), 0U);
}

TEST(Accounting, ADenialByTheOverflowPolicyIsOverTheLimit) {
  HarnessOptions options = CountingStats();
  options.store = {.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny};
  EngineHarness harness({On("k").Sliding(5, Unit::kHour)}, options);
  const uint32_t slot = harness.engine.rules()->rules()[0].stat_slot;
  EXPECT_FALSE(harness.Passes({{"k", "v"}}, 3));
  EXPECT_EQ(harness.StatCount(slot).over_limit.Get(), 3U);
  EXPECT_EQ(harness.StatCount(slot).within_limit.Get(), 0U);
  EXPECT_EQ(harness.StatCount(slot).total_hits.Get(), 3U);
}

TEST(Accounting, OneKeyTwiceInARequestIsSplitAfterItsFirstHits) {
  for (const ChargeDenied mode :
       {ChargeDenied::kFirst, ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    EngineHarness harness({On("k").Fixed(5, Unit::kHour)}, CountingStats());
    const uint32_t slot = harness.engine.rules()->rules()[0].stat_slot;
    SyncCheck check;
    check.charge_denied = mode;
    check.Add({{"k", "v"}}, 4).Add({{"k", "v"}}, 4);
    harness.Run(check);
    EXPECT_EQ(harness.StatCount(slot).within_limit.Get(), 4U) << static_cast<int>(mode);
    EXPECT_EQ(harness.StatCount(slot).over_limit.Get(), 3U) << static_cast<int>(mode);
    EXPECT_EQ(harness.StatCount(slot).near_limit.Get(), 1U) << static_cast<int>(mode);
  }
}

TEST(Accounting, NothingIsKeptUnlessAskedFor) {
  EngineHarness harness({On("k").Fixed(5, Unit::kHour).DetailedMetric()});
  const std::size_t stats_before = harness.series.stats().size();
  harness.Take({{"k", "v"}});
  EXPECT_EQ(harness.series.stats().size(), stats_before);
}

// The labels of the one statistic that a take moved.
SeriesRegistry::StatLabels MovedBy(EngineHarness& harness, Entries entries,
                                   std::optional<LimitOverride> limit = std::nullopt) {
  SyncCheck check;
  check.Add(std::move(entries));
  check.descriptors[0].limit = limit;
  const auto total = [&harness](uint32_t slot) {
    const StatCounters* stats = harness.worker.counters().stats.Find(slot);
    return stats == nullptr ? 0 : stats->total_hits.Get();
  };
  std::vector<uint64_t> before(harness.series.stats().size() + 1);
  for (uint32_t slot = 0; slot < before.size(); ++slot) before[slot] = total(slot);
  harness.Run(check);
  const std::vector<SeriesRegistry::StatLabels> labels = harness.series.stats();
  for (uint32_t slot = 0; slot < labels.size(); ++slot) {
    if (total(slot) != before[slot]) return labels[slot];
  }
  return {"", "nothing moved", ""};
}

void ExpectLabels(const SeriesRegistry::StatLabels& labels, std::string key1, std::string key2) {
  EXPECT_EQ(labels.domain, "d");
  EXPECT_EQ(labels.key1, key1);
  EXPECT_EQ(labels.key2, key2);
}

TEST(StatisticLabels, AreTheConfiguredTextByDefault) {
  EngineHarness harness({On("a", "x").Fixed(5, Unit::kHour), On("b", "y*").Fixed(5, Unit::kHour),
                         On("c").Child(On("e", "z").Fixed(5, Unit::kHour))},
                        CountingStats());
  ExpectLabels(MovedBy(harness, {{"a", "x"}}), "a_x", "");
  ExpectLabels(MovedBy(harness, {{"b", "y1"}}), "b_y*", "");
  ExpectLabels(MovedBy(harness, {{"c", "v"}, {"e", "z"}}), "c", "e_z");
}

TEST(StatisticLabels, HoldRuntimeValuesOfAllLevelsUnderDetailedMetric) {
  EngineHarness harness({On("a").Child(On("b", "x*").Fixed(5, Unit::kHour).DetailedMetric())},
                        CountingStats());
  ExpectLabels(MovedBy(harness, {{"a", "1"}, {"b", "x2"}}), "a_1", "b_x2");
  ExpectLabels(MovedBy(harness, {{"a", "10.0.0.1"}, {"b", "x:|"}}), "a_10_0_0_1", "b_x__");
  ExpectLabels(MovedBy(harness, {{"a", ""}, {"b", "x"}}), "a", "b_x");
}

TEST(StatisticLabels, HoldTheRuntimeValueOfMarkedLevelsUnderValueToMetric) {
  EngineHarness harness({On("a").ValueToMetric().Child(On("b", "x*").Fixed(5, Unit::kHour)),
                         On("c").Child(On("e", "y*").ValueToMetric().Fixed(5, Unit::kHour))},
                        CountingStats());
  ExpectLabels(MovedBy(harness, {{"a", "1"}, {"b", "x2"}}), "a_1", "b_x*");
  ExpectLabels(MovedBy(harness, {{"a", ""}, {"b", "x2"}}), "a", "b_x*");
  ExpectLabels(MovedBy(harness, {{"c", "1"}, {"e", "y2"}}), "c", "e_y2");
}

TEST(StatisticLabels, HoldThePatternOfSharedLevels) {
  EngineHarness harness(
      {On("a", "x*").ShareThreshold().ValueToMetric().Fixed(5, Unit::kHour),
       On("b", "y*").ShareThreshold().Child(On("c").Fixed(5, Unit::kHour).DetailedMetric())},
      CountingStats());
  ExpectLabels(MovedBy(harness, {{"a", "x1"}}), "a_x*", "");
  ExpectLabels(MovedBy(harness, {{"b", "y1"}, {"c", "2"}}), "b_y*", "c_2");
}

TEST(StatisticLabels, OfAnOverrideAreAllItsEntries) {
  EngineHarness harness({On("a").Fixed(5, Unit::kHour)}, CountingStats());
  const LimitOverride limit{3, Unit::kMinute};
  ExpectLabels(MovedBy(harness, {{"a", "1"}}, limit), "a_1", "");
  ExpectLabels(MovedBy(harness, {{"x", "1"}, {"y", ""}, {"z", "3"}}, limit), "x_1", "y");
}

TEST(StatisticLabels, DoNotMixUpValuesWithEmbeddedZeros) {
  EngineHarness harness({On("a").Child(On("b").Fixed(5, Unit::kHour).DetailedMetric())},
                        CountingStats());
  const std::string one("1\0b_2", 5);
  const std::string two("2\0b_3", 5);
  ExpectLabels(MovedBy(harness, {{"a", one}, {"b", "3"}}), "a_" + one, "b_3");
  ExpectLabels(MovedBy(harness, {{"a", "1"}, {"b", two}}), "a_1", "b_" + two);
}

TEST(StatisticLabels, OverTheBudgetFoldIntoTheRulesOverflow) {
  HarnessOptions options = CountingStats();
  // The domain, its override rule and override statistic, the rule and its statistic, and two more.
  options.series_max = 1 + 2 * SeriesRegistry::kSeriesPerRule + 4 * SeriesRegistry::kSeriesPerStat;
  EngineHarness harness({On("a").Fixed(5, Unit::kHour).DetailedMetric()}, options);
  ExpectLabels(MovedBy(harness, {{"a", "1"}}), "a_1", "");
  ExpectLabels(MovedBy(harness, {{"a", "2"}}), "a_2", "");
  ExpectLabels(MovedBy(harness, {{"a", "3"}}), "a", kOverflowLabel);
  ExpectLabels(MovedBy(harness, {{"a", "4"}}), "a", kOverflowLabel);
  ExpectLabels(MovedBy(harness, {{"a", "1"}}), "a_1", "");
  EXPECT_EQ(harness.series.dropped(), 2U);
  ExpectLabels(MovedBy(harness, {{"x", "9"}}, LimitOverride{3, Unit::kMinute}), kOverflowLabel, "");
}

TEST(StatisticLabels, StayRightWhenManyValuesPassThrough) {
  EngineHarness harness({On("a").Fixed(5, Unit::kHour).DetailedMetric()}, [] {
    HarnessOptions options = CountingStats();
    options.series_max = 100'000;
    return options;
  }());
  for (int i = 0; i < 5000; ++i) {
    const std::string value = std::to_string(i);
    harness.Take({{"a", value}});
  }
  ExpectLabels(MovedBy(harness, {{"a", "0"}}), "a_0", "");
  ExpectLabels(MovedBy(harness, {{"a", "4999"}}), "a_4999", "");
}

}  // namespace
}  // namespace weir
