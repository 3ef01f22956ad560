// What a check adds to Weir's own counters.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "limiter/core/engine.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::HarnessOptions;
using test::kSecondNs;
using test::On;
using test::SyncCheck;

constexpr std::size_t kOk = 0;
constexpr std::size_t kOver = 1;
constexpr std::size_t kEnforce = 0;
constexpr std::size_t kShadow = 1;
constexpr auto kMemory = static_cast<std::size_t>(Source::kMemory);
constexpr auto kPolicy = static_cast<std::size_t>(Source::kPolicy);

// The sum of all decisions of a rule, to see that nothing else moved.
uint64_t AllDecisions(const RuleCounters& counters) {
  uint64_t sum = 0;
  for (const auto& code : counters.decisions) {
    for (const auto& mode : code) {
      for (const Counter& source : mode) sum += source.Get();
    }
  }
  return sum;
}

const RuleCounters& OfFirstRule(EngineHarness& harness) {
  return harness.RuleCount(harness.engine.rules()->rules()[0].rule_slot);
}

uint64_t Unmatched(EngineHarness& harness, std::size_t slot) {
  const Counter* counter = harness.worker.counters().unmatched.Find(slot);
  return counter == nullptr ? 0 : counter->Get();
}

uint64_t UnmatchedInD(EngineHarness& harness) {
  return Unmatched(harness, RuleTable::DomainSlot(*harness.engine.rules()->FindDomain("d")));
}

TEST(EngineMetrics, CountDecisionsAndHitsByCode) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 3);
  harness.Take({{"a", "1"}}, 3);
  harness.Take({{"a", "2"}}, 2);
  const RuleCounters& counters = OfFirstRule(harness);
  EXPECT_EQ(counters.decisions[kOk][kEnforce][kMemory].Get(), 2U);
  EXPECT_EQ(counters.decisions[kOver][kEnforce][kMemory].Get(), 1U);
  EXPECT_EQ(AllDecisions(counters), 3U);
  EXPECT_EQ(counters.hits[kOk].Get(), 5U);
  EXPECT_EQ(counters.hits[kOver].Get(), 3U);
}

TEST(EngineMetrics, CountEachDescriptorOfARequestOnItsRule) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute), On("b").Fixed(5, Unit::kMinute)});
  SyncCheck check;
  check.Add({{"x", ""}}).Add({{"b", "1"}}, 2).Add({{"a", "1"}}, 3);
  harness.Run(check);
  EXPECT_EQ(OfFirstRule(harness).hits[kOk].Get(), 3U);
  EXPECT_EQ(harness.RuleCount(harness.engine.rules()->rules()[1].rule_slot).hits[kOk].Get(), 2U);
  EXPECT_EQ(UnmatchedInD(harness), 1U);
}

TEST(EngineMetrics, CountDecisionsNearTheLimit) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  const RuleCounters& counters = OfFirstRule(harness);
  harness.Take({{"a", "1"}}, 8);
  EXPECT_EQ(counters.near_limit.Get(), 0U);
  harness.Take({{"a", "1"}}, 1);
  EXPECT_EQ(counters.near_limit.Get(), 1U);
  harness.Take({{"a", "1"}}, 0);
  EXPECT_EQ(counters.near_limit.Get(), 1U);
  harness.Take({{"a", "1"}}, 5);  // crosses
  EXPECT_EQ(counters.near_limit.Get(), 2U);
  harness.Take({{"a", "1"}}, 5);  // is over
  EXPECT_EQ(counters.near_limit.Get(), 2U);
}

TEST(EngineMetrics, CountShadowRulesAsShadow) {
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute).Shadow()});
  harness.Take({{"a", "1"}});
  harness.Take({{"a", "1"}});
  EXPECT_EQ(OfFirstRule(harness).decisions[kOk][kShadow][kMemory].Get(), 1U);
  EXPECT_EQ(OfFirstRule(harness).decisions[kOver][kShadow][kMemory].Get(), 1U);
  EXPECT_EQ(AllDecisions(OfFirstRule(harness)), 2U);
  EXPECT_EQ(harness.worker.counters().global_shadow.Get(), 0U);
}

TEST(EngineMetrics, CountEverythingAsShadowUnderGlobalShadowMode) {
  HarnessOptions options;
  options.engine.shadow_mode = true;
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)}, options);
  for (int i = 0; i < 3; ++i) harness.Take({{"a", "1"}});
  EXPECT_EQ(OfFirstRule(harness).decisions[kOk][kShadow][kMemory].Get(), 1U);
  EXPECT_EQ(OfFirstRule(harness).decisions[kOver][kShadow][kMemory].Get(), 2U);
  EXPECT_EQ(harness.worker.counters().global_shadow.Get(), 2U);
}

TEST(EngineMetrics, CountUnmatchedByDomainAndUnknownDomainsTogether) {
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)});
  SyncCheck unmatched;
  unmatched.Add({{"x", ""}}).Add({{"y", ""}});
  harness.Run(unmatched);
  SyncCheck unknown("made up by a caller");
  unknown.Add({{"a", ""}}).Add({{"a", ""}}).Add({{"a", ""}});
  harness.Run(unknown);
  EXPECT_EQ(UnmatchedInD(harness), 2U);
  EXPECT_EQ(Unmatched(harness, 0), 3U);
  for (const std::string& domain : harness.series.domains()) {
    EXPECT_NE(domain, "made up by a caller");
  }
}

TEST(EngineMetrics, CountUnlimitedAndReplacedLimitsNeitherAsDecisionsNorAsUnmatched) {
  EngineHarness harness(
      {On("a").Fixed(1, Unit::kMinute).Named("old"), On("b").Unlimited().Replaces({"old"})});
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"b", "1"}});
  harness.Run(check);
  EXPECT_EQ(AllDecisions(OfFirstRule(harness)), 0U);
  EXPECT_EQ(OfFirstRule(harness).hits[kOk].Get(), 0U);
  EXPECT_EQ(AllDecisions(harness.RuleCount(harness.engine.rules()->rules()[1].rule_slot)), 0U);
  EXPECT_EQ(UnmatchedInD(harness), 0U);
}

TEST(EngineMetrics, CountOverridesOfADomainTogether) {
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)});
  const std::size_t rules_before = harness.series.rules().size();
  for (const char* value : {"1", "2", "3"}) {
    SyncCheck check;
    check.Add({{"a", value}}, 2).Override(5, Unit::kMinute);
    harness.Run(check);
  }
  const auto table = harness.engine.rules();
  const uint32_t slot = RuleTable::OverrideRuleSlot(*table->FindDomain("d"));
  EXPECT_EQ(harness.RuleCount(slot).hits[kOk].Get(), 6U);
  EXPECT_EQ(AllDecisions(OfFirstRule(harness)), 0U);
  EXPECT_EQ(harness.series.rules().size(), rules_before);
  EXPECT_EQ(harness.series.rules()[slot].rule, "_override");
}

TEST(EngineMetrics, CountOnlyChargesAsHits) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 3, Op::kReport);
  harness.Take({{"a", "1"}}, 2, Op::kRefund);
  harness.Take({{"a", "1"}}, 1, Op::kPeek);
  EXPECT_EQ(OfFirstRule(harness).hits[kOk].Get(), 3U);
  EXPECT_EQ(OfFirstRule(harness).hits[kOver].Get(), 0U);
}

TEST(EngineMetrics, StayStillForAQuestion) {
  HarnessOptions options;
  options.engine.count_stats = true;
  options.engine.shadow_mode = true;
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute)}, options);
  SyncCheck check;
  check.counted = false;
  check.Add({{"a", "1"}}).Add({{"x", ""}});
  EXPECT_FALSE(harness.Run(check));
  EXPECT_EQ(AllDecisions(OfFirstRule(harness)), 0U);
  EXPECT_EQ(UnmatchedInD(harness), 0U);
  EXPECT_EQ(harness.worker.counters().global_shadow.Get(), 0U);
  EXPECT_EQ(harness.StatCount(harness.engine.rules()->rules()[0].stat_slot).total_hits.Get(), 0U);
}

TEST(EngineMetrics, CountAnswersOfTheOverflowPolicy) {
  HarnessOptions options;
  options.store = {.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kAllow};
  EngineHarness harness({On("a").Sliding(5, Unit::kMinute)}, options);
  EXPECT_TRUE(harness.Passes({{"a", "1"}}));
  EXPECT_EQ(OfFirstRule(harness).decisions[kOk][kEnforce][kPolicy].Get(), 1U);
  EXPECT_EQ(OfFirstRule(harness).overflow.Get(), 1U);
}

TEST(EngineMetrics, CountClockFaults) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  harness.Take({{"a", "1"}});
  harness.clock.StepWall(-600 * kSecondNs);
  harness.Take({{"a", "1"}});
  EXPECT_EQ(harness.worker.counters().clock_faults.Get(), 1U);
  harness.Take({{"a", "1"}});
  EXPECT_EQ(harness.worker.counters().clock_faults.Get(), 1U);
}

TEST(EngineMetrics, RulesOverTheSeriesBudgetFoldIntoOne) {
  HarnessOptions options;
  options.series_max = 0;
  options.engine.count_stats = true;
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute), On("b").Fixed(5, Unit::kMinute)},
                        options);
  harness.Take({{"a", "1"}});
  harness.Take({{"b", "1"}}, 2);
  EXPECT_EQ(harness.RuleCount(0).hits[kOk].Get(), 3U);
  EXPECT_EQ(harness.StatCount(0).total_hits.Get(), 3U);
}

TEST(EngineMetrics, EachWorkerHasCountersOfItsOwnAndExportersSeeAll) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  Worker& second = harness.engine.AddWorker();
  SyncCheck check;
  check.Add({{"a", "1"}}, 2);
  harness.Run(check);
  harness.engine.Run(second, check);
  const uint32_t slot = harness.engine.rules()->rules()[0].rule_slot;
  uint64_t sum = 0;
  int workers = 0;
  harness.engine.VisitCounters([&](const WorkerCounters& counters) {
    ++workers;
    sum += counters.rules.Find(slot)->hits[kOk].Get();
  });
  EXPECT_EQ(workers, 2);
  EXPECT_EQ(sum, 4U);
  EXPECT_EQ(OfFirstRule(harness).hits[kOk].Get(), 2U);
}

}  // namespace
}  // namespace weir
