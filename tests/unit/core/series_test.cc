#include "limiter/core/series.h"

#include <gtest/gtest.h>

#include <string>

#include "limiter/core/counters.h"

namespace weir {
namespace {

TEST(StatLabelText, ReplacesWhatStatsdWouldMisread) {
  EXPECT_EQ(StatLabelText("key_a:b|c"), "key_a_b_c");
  EXPECT_EQ(StatLabelText("::|"), "___");
  EXPECT_EQ(StatLabelText(""), "");
}

TEST(StatLabelText, ReplacesTheDotsOfAnIpv4Address) {
  EXPECT_EQ(StatLabelText("remote_address_10.0.0.1"), "remote_address_10_0_0_1");
  EXPECT_EQ(StatLabelText("10.0.0.1"), "10_0_0_1");
  EXPECT_EQ(StatLabelText("10.0.0.0/24"), "10_0_0_0/24");
  EXPECT_EQ(StatLabelText("from 1.2.3.4 to 5.6.7.8."), "from 1_2_3_4 to 5_6_7_8.");
  EXPECT_EQ(StatLabelText("1.2.3.4:8080"), "1_2_3_4_8080");
}

TEST(StatLabelText, KeepsOtherDots) {
  EXPECT_EQ(StatLabelText("host_api.example.com"), "host_api.example.com");
  EXPECT_EQ(StatLabelText("version_1.2.3"), "version_1.2.3");
  EXPECT_EQ(StatLabelText("1.2.3."), "1.2.3.");
  EXPECT_EQ(StatLabelText("1..2.3.4"), "1..2.3.4");
  EXPECT_EQ(StatLabelText("."), ".");
}

// The reference's pattern is four groups of one to three digits, wherever they stand.
TEST(StatLabelText, FindsAddressesInsideLongerNumbersAsTheReferenceDoes) {
  EXPECT_EQ(StatLabelText("1234.5.6.7"), "1234_5_6_7");
  EXPECT_EQ(StatLabelText("1.2.3.4567"), "1_2_3_4567");
  EXPECT_EQ(StatLabelText("1.2.3.4.5.6.7.8"), "1_2_3_4.5_6_7_8");
}

TEST(SeriesRegistry, GivesTheSameSlotForTheSameLabels) {
  SeriesRegistry series(1000);
  const uint32_t rule = series.RuleSlot({"d", "a"});
  EXPECT_EQ(series.RuleSlot({"d", "a"}), rule);
  EXPECT_NE(series.RuleSlot({"d", "b"}), rule);
  EXPECT_NE(series.RuleSlot({"e", "a"}), rule);
  const uint32_t stat = series.StatSlot({"d", "a", "b"});
  EXPECT_EQ(series.StatSlot({"d", "a", "b"}), stat);
  EXPECT_EQ(series.DynamicStatSlot({"d", "a", "b"}, 0), stat);
  EXPECT_NE(series.StatSlot({"d", "a", ""}), stat);
  EXPECT_EQ(series.DomainSlot("d"), series.DomainSlot("d"));
  EXPECT_NE(series.DomainSlot("d"), series.DomainSlot("e"));
}

TEST(SeriesRegistry, ListsLabelsBySlot) {
  SeriesRegistry series(1000);
  const uint32_t rule = series.RuleSlot({"d", "a"});
  const uint32_t stat = series.StatSlot({"d", "k1", "k2"});
  const uint32_t domain = series.DomainSlot("d");
  EXPECT_EQ(series.rules()[rule].rule, "a");
  EXPECT_EQ(series.stats()[stat].key2, "k2");
  EXPECT_EQ(series.domains()[domain], "d");
}

TEST(SeriesRegistry, TheFirstSlotsTakeWhatTheBudgetRefuses) {
  SeriesRegistry series(0);
  EXPECT_EQ(series.RuleSlot({"d", "a"}), 0U);
  EXPECT_EQ(series.StatSlot({"d", "a", ""}), 0U);
  EXPECT_EQ(series.DomainSlot("d"), 0U);
  EXPECT_EQ(series.rules()[0].rule, kOverflowLabel);
  EXPECT_EQ(series.stats()[0].key1, kOverflowLabel);
  EXPECT_EQ(series.domains()[0], kUnknownDomainLabel);
  EXPECT_EQ(series.dropped(), 3U);
}

// Values from the wire must not keep rules of a later reload without series.
TEST(SeriesRegistry, RuntimeValuesSpendAtMostHalfOfTheBudget) {
  constexpr std::size_t kMax = 20 * SeriesRegistry::kSeriesPerStat;
  SeriesRegistry series(kMax);
  const uint32_t own = series.StatSlot({"d", "rule", ""});
  for (int i = 0; i < 100; ++i) {
    const uint32_t slot = series.DynamicStatSlot({"d", "rule", std::to_string(i)}, own);
    EXPECT_EQ(slot == own, i >= 10) << i;
  }
  EXPECT_EQ(series.dropped(), 90U);
  EXPECT_NE(series.StatSlot({"d", "later", ""}), 0U);
}

TEST(SeriesRegistry, TheBudgetIsTheSumOverAllKinds) {
  SeriesRegistry series(SeriesRegistry::kSeriesPerRule + SeriesRegistry::kSeriesPerStat + 1);
  EXPECT_NE(series.RuleSlot({"d", "a"}), 0U);
  EXPECT_NE(series.StatSlot({"d", "a", ""}), 0U);
  EXPECT_NE(series.DomainSlot("d"), 0U);
  EXPECT_EQ(series.dropped(), 0U);
  EXPECT_EQ(series.DomainSlot("e"), 0U);
  EXPECT_EQ(series.dropped(), 1U);
}

TEST(SeriesRegistry, ValuesOverTheBudgetFoldIntoTheGivenSlot) {
  SeriesRegistry series(2 * SeriesRegistry::kSeriesPerStat);
  const uint32_t overflow = series.StatSlot({"d", "a", kOverflowLabel});
  const uint32_t first = series.DynamicStatSlot({"d", "a_1", ""}, overflow);
  EXPECT_NE(first, overflow);
  EXPECT_EQ(series.DynamicStatSlot({"d", "a_2", ""}, overflow), overflow);
  EXPECT_EQ(series.DynamicStatSlot({"d", "a_1", ""}, overflow), first);
  EXPECT_EQ(series.stats().size(), 3U);
  EXPECT_EQ(series.dropped(), 1U);
}

TEST(SlotTable, GrowsWithoutMovingWhatItHolds) {
  SlotTable<Counter> table;
  EXPECT_EQ(table.Find(70), nullptr);
  Counter& counter = table.At(70);
  counter.Add(3);
  table.At(SlotTable<Counter>::kSlotsMax - 1).Add(1);
  ASSERT_NE(table.Find(70), nullptr);
  EXPECT_EQ(table.Find(70), &counter);
  EXPECT_EQ(table.Find(70)->Get(), 3U);
  EXPECT_EQ(table.Find(71)->Get(), 0U);
  EXPECT_EQ(table.Find(0), nullptr);
}

TEST(MethodCounters, SortsDurationsByInclusiveUpperBounds) {
  MethodCounters counters;
  counters.Observe(0, kDurationBoundsNs[0]);
  counters.Observe(0, kDurationBoundsNs[0] + 1);
  counters.Observe(3, kDurationBoundsNs.back() + 1);
  counters.Observe(99, 0);
  EXPECT_EQ(counters.duration_buckets[0].Get(), 2U);
  EXPECT_EQ(counters.duration_buckets[1].Get(), 1U);
  EXPECT_EQ(counters.duration_buckets[kDurationBoundsNs.size()].Get(), 1U);
  EXPECT_EQ(counters.requests[0].Get(), 2U);
  EXPECT_EQ(counters.requests[3].Get(), 1U);
  EXPECT_EQ(counters.requests[2].Get(), 1U);  // a code that does not exist is UNKNOWN
}

}  // namespace
}  // namespace weir
