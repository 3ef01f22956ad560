// What a reload keeps, what it starts anew, and where the old rules are destroyed.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "limiter/core/engine.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::HarnessOptions;
using test::kSecondNs;
using test::On;
using test::SyncCheck;

uint64_t RemainingOf(EngineHarness& harness) {
  return harness.Take({{"a", "1"}}, 1, Op::kPeek).decision.remaining;
}

TEST(EngineReload, StateOfUnchangedRulesSurvives) {
  const DescriptorSpec rules[] = {On("a").Fixed(10, Unit::kMinute),
                                  On("a").Sliding(10, Unit::kMinute),
                                  On("a").TokenBucket(10, Unit::kMinute, 20)};
  for (const DescriptorSpec& rule : rules) {
    EngineHarness harness({rule});
    harness.Take({{"a", "1"}}, 4);
    const uint64_t remaining = RemainingOf(harness);
    harness.Reload({On("new", "first"), rule, On("new").Fixed(1, Unit::kSecond)});
    EXPECT_EQ(RemainingOf(harness), remaining);
  }
}

TEST(EngineReload, ChangesThatDoNotConcernTheStateKeepIt) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 4);
  harness.Reload({On("a").Fixed(10, Unit::kMinute).Named("named").Shadow().DetailedMetric()});
  EXPECT_EQ(RemainingOf(harness), 6U);
}

TEST(EngineReload, AChangedLimitKeepsTheUsageOfWindows) {
  EngineHarness fixed({On("a").Fixed(10, Unit::kMinute)});
  fixed.Take({{"a", "1"}}, 4);
  fixed.Reload({On("a").Fixed(15, Unit::kMinute)});
  EXPECT_EQ(RemainingOf(fixed), 11U);
  fixed.Reload({On("a").Fixed(3, Unit::kMinute)});
  EXPECT_EQ(RemainingOf(fixed), 0U);
  EngineHarness sliding({On("a").Sliding(10, Unit::kMinute)});
  sliding.Take({{"a", "1"}}, 4);
  sliding.Reload({On("a").Sliding(15, Unit::kMinute)});
  EXPECT_EQ(RemainingOf(sliding), 11U);
  sliding.Reload({On("a").Sliding(3, Unit::kMinute)});
  EXPECT_EQ(RemainingOf(sliding), 0U);
}

TEST(EngineReload, ATokenBucketWithAnotherRateOrBurstStartsFull) {
  EngineHarness harness({On("a").TokenBucket(10, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 9);
  harness.Reload({On("a").TokenBucket(12, Unit::kMinute)});
  EXPECT_EQ(RemainingOf(harness), 12U);
  harness.Take({{"a", "1"}}, 9);
  harness.Reload({On("a").TokenBucket(12, Unit::kMinute, 30)});
  EXPECT_EQ(RemainingOf(harness), 30U);
}

TEST(EngineReload, AnotherAlgorithmOrWindowStartsAnew) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 4);
  harness.Reload({On("a").Fixed(10, Unit::kHour)});
  EXPECT_EQ(RemainingOf(harness), 10U);
  harness.Reload({On("a").Sliding(10, Unit::kMinute)});
  EXPECT_EQ(RemainingOf(harness), 10U);
  harness.Take({{"a", "1"}}, 4);
  harness.Reload({On("a").Sliding(10, Unit::kMinute, 20)});
  EXPECT_EQ(RemainingOf(harness), 10U);
}

TEST(EngineReload, ARemovedRuleNoLongerMatchesAndComesBackWithItsState) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 4);
  harness.Reload({});
  EXPECT_EQ(harness.Take({{"a", "1"}}).kind, Outcome::Kind::kUnmatched);
  harness.Reload({On("a").Fixed(10, Unit::kMinute)});
  EXPECT_EQ(RemainingOf(harness), 6U);
}

TEST(EngineReload, CountersOfAnUnchangedRuleGoOn) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 4);
  harness.Reload({On("z").Fixed(1, Unit::kMinute), On("a").Fixed(20, Unit::kMinute)});
  harness.Take({{"a", "1"}}, 3);
  const uint32_t slot = harness.engine.rules()->rules()[1].rule_slot;
  EXPECT_EQ(harness.RuleCount(slot).hits[0].Get(), 7U);
}

TEST(EngineReload, StatisticsFollowTheNewRule) {
  HarnessOptions options;
  options.engine.count_stats = true;
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute).DetailedMetric()}, options);
  harness.Take({{"a", "1"}});
  harness.Reload({On("a").Fixed(10, Unit::kMinute)});
  harness.Take({{"a", "1"}});
  const uint32_t slot = harness.engine.rules()->rules()[0].stat_slot;
  EXPECT_EQ(harness.series.stats()[slot].key1, "a");
  EXPECT_EQ(harness.StatCount(slot).total_hits.Get(), 1U);
}

// Over the series budget a value folds into the overflow of the rule that matches it now.
TEST(EngineReload, StatisticsOverTheBudgetFollowTheNewRuleToo) {
  HarnessOptions options;
  options.engine.count_stats = true;
  // The domain, its overrides, two rules and their overflow statistics, and nothing more.
  options.series_max = 1 + 3 * (SeriesRegistry::kSeriesPerRule + SeriesRegistry::kSeriesPerStat);
  EngineHarness harness({On("a", "*").Fixed(10, Unit::kMinute).DetailedMetric()}, options);
  const uint32_t wildcard_slot = harness.engine.rules()->rules()[0].stat_slot;
  harness.Reload({On("a").Fixed(10, Unit::kMinute).DetailedMetric()});
  const uint32_t bare_slot = harness.engine.rules()->rules()[0].stat_slot;
  harness.Take({{"a", "1"}}, 2);
  harness.Reload({On("a", "*").Fixed(10, Unit::kMinute).DetailedMetric()});
  harness.Take({{"a", "1"}}, 3);
  EXPECT_NE(bare_slot, wildcard_slot);
  EXPECT_EQ(harness.StatCount(bare_slot).total_hits.Get(), 2U);
  EXPECT_EQ(harness.StatCount(wildcard_slot).total_hits.Get(), 3U);
}

TEST(EngineReload, HasNoRulesUntilTheFirstAreSet) {
  test::FakeClock clock;
  test::ManualExecutor executor;
  SeriesRegistry series(100);
  MemoryStore store({.keys_max = 64});
  Engine engine({}, clock, store, executor, series);
  EXPECT_FALSE(engine.has_rules());
  EXPECT_EQ(engine.rules(), nullptr);
  engine.SetRules(RuleTable::Build({}, {}, series));
  EXPECT_TRUE(engine.has_rules());
  EXPECT_EQ(executor.pending(), 0U);
}

TEST(EngineReload, TheOldRulesDieOnTheExecutorWhenNobodyUsedThem) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  const std::weak_ptr<const RuleTable> old = harness.engine.rules();
  harness.Reload({});
  EXPECT_FALSE(old.expired());
  harness.executor.RunAll();
  EXPECT_TRUE(old.expired());
}

TEST(EngineReload, TheOldRulesDieOnTheExecutorAndNotUnderACheck) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  harness.Take({{"a", "1"}});
  const std::weak_ptr<const RuleTable> old = harness.engine.rules();
  harness.Reload({});
  harness.executor.RunAll();
  EXPECT_FALSE(old.expired());  // the worker still reads them
  harness.Take({{"a", "1"}});
  EXPECT_FALSE(old.expired());  // the worker let go of them, the executor has not run
  EXPECT_EQ(harness.executor.pending(), 1U);
  harness.executor.RunAll();
  EXPECT_TRUE(old.expired());
}

TEST(EngineReload, ACheckPostsNothingWhileRulesStand) {
  EngineHarness harness({On("a").Fixed(10, Unit::kMinute)});
  for (int i = 0; i < 10; ++i) harness.Take({{"a", "1"}});
  EXPECT_EQ(harness.executor.pending(), 0U);
}

// Rules are swapped while four threads check: each check sees one table or the other whole, the
// limit holds throughout, and all old tables are gone at the end.
TEST(EngineReload, UnderCheckingThreadsKeepsTheLimitAndLosesNothing) {
  constexpr uint32_t kLimit = 4'000;
  constexpr int kThreads = 4;
  EngineHarness harness({On("a").Fixed(kLimit, Unit::kMinute)});
  std::atomic<uint64_t> admitted{0};
  std::atomic<int> running{kThreads};
  std::vector<std::weak_ptr<const RuleTable>> tables;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      Worker& worker = harness.engine.AddWorker();
      threads.emplace_back([&harness, &worker, &admitted, &running] {
        SyncCheck check;
        check.Add({{"a", "1"}}).Add({{"b", "2"}});
        uint64_t mine = 0;
        for (int i = 0; i < 3'000; ++i) {
          harness.engine.Run(worker, check);
          mine += check[0].decision.allowed;
          ASSERT_EQ(check[0].kind, Outcome::Kind::kLimited);
          ASSERT_TRUE(check[1].kind == Outcome::Kind::kUnmatched || check[1].rule->path == "b");
        }
        admitted += mine;
        --running;
      });
    }
    for (int i = 0; running > 0; ++i) {
      std::vector<DescriptorSpec> rules = {On("a").Fixed(kLimit, Unit::kMinute)};
      if (i % 2 == 0) rules.push_back(On("b").Unlimited());
      tables.push_back(harness.engine.rules());
      harness.Reload(std::move(rules));
      harness.executor.RunAll();
    }
  }
  EXPECT_EQ(admitted, kLimit);
  // A worker lets go of its table at its next check.
  harness.engine.SetRules(RuleTable::Build({}, {}, harness.series));
  harness.executor.RunAll();
  int alive = 0;
  for (const auto& table : tables) alive += !table.expired();
  EXPECT_LE(alive, kThreads);
}

}  // namespace
}  // namespace weir
