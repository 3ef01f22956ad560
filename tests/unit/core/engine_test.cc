#include "limiter/core/engine.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::HarnessOptions;
using test::kSecondNs;
using test::On;
using test::SyncCheck;
using Kind = Outcome::Kind;

HarnessOptions GlobalQuota() {
  HarnessOptions options;
  options.engine.quota_mode = true;
  return options;
}

TEST(Engine, AnswersOnceWithOneOutcomePerDescriptorInOrder) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute), On("b").Fixed(7, Unit::kHour)});
  SyncCheck check;
  check.Add({{"b", "1"}}).Add({{"x", "1"}}).Add({{"a", "1"}}, 2);
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(check.answers(), 1);
  EXPECT_TRUE(check.domain_known);
  ASSERT_EQ(check.outcomes.size(), 3U);
  EXPECT_EQ(check[0].limit.hits, 7U);
  EXPECT_EQ(check[0].unit, Unit::kHour);
  EXPECT_EQ(check[0].decision.remaining, 6U);
  EXPECT_EQ(check[0].source, Source::kMemory);
  EXPECT_EQ(check[1].kind, Kind::kUnmatched);
  EXPECT_EQ(check[1].rule, nullptr);
  EXPECT_EQ(check[2].decision.remaining, 3U);
  EXPECT_EQ(check[2].rule->path, "a");
}

TEST(Engine, AnUnmatchedDescriptorPasses) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute), On("a", "free")});
  SyncCheck check;
  check.Add({{"x", "1"}}).Add({{"a", "free"}}).Add({});
  EXPECT_TRUE(harness.Run(check));
  for (const Outcome& outcome : check.outcomes) {
    EXPECT_EQ(outcome.kind, Kind::kUnmatched);
    EXPECT_FALSE(outcome.over_limit());
    EXPECT_EQ(outcome.source, Source::kNone);
  }
}

TEST(Engine, ARequestWithoutDescriptorsIsAnswered) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute)});
  SyncCheck check;
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(check.answers(), 1);
}

TEST(Engine, AnUnknownDomainPassesAlsoWithAnOverride) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute)});
  SyncCheck check("other");
  check.Add({{"a", "1"}}).Add({{"a", "1"}}).Override(0, Unit::kMinute);
  EXPECT_TRUE(harness.Run(check));
  EXPECT_FALSE(check.domain_known);
  EXPECT_EQ(check[0].kind, Kind::kUnmatched);
  EXPECT_EQ(check[1].kind, Kind::kUnmatched);
}

TEST(Engine, AnUnlimitedRulePassesWithoutTheStore) {
  EngineHarness harness({On("a").Unlimited()});
  const Outcome outcome = harness.Take({{"a", "1"}}, ~uint64_t{0});
  EXPECT_EQ(outcome.kind, Kind::kUnlimited);
  EXPECT_EQ(outcome.source, Source::kNone);
  EXPECT_FALSE(outcome.over_limit());
  EXPECT_EQ(harness.store.cells().bytes(), 0U);
}

TEST(Engine, OneDenialDeniesTheRequestAndOthersStayCharged) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute), On("b").Fixed(1, Unit::kMinute)});
  SyncCheck check;
  check.Add({{"a", "1"}}, 2).Add({{"b", "1"}}, 2);
  EXPECT_FALSE(harness.Run(check));
  EXPECT_FALSE(check[0].over_limit());
  EXPECT_TRUE(check[1].over_limit());
  EXPECT_EQ(harness.Take({{"a", "1"}}, 0).decision.remaining, 3U);
}

TEST(Engine, TheChargeModeReachesTheStore) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute), On("b").Fixed(1, Unit::kMinute)});
  SyncCheck check;
  check.charge_denied = ChargeDenied::kNever;
  check.Add({{"a", "1"}}, 2).Add({{"b", "1"}}, 2);
  EXPECT_FALSE(harness.Run(check));
  EXPECT_EQ(harness.Take({{"a", "1"}}, 0).decision.remaining, 5U);
  EXPECT_EQ(harness.Take({{"b", "1"}}, 0).decision.remaining, 1U);
}

TEST(Engine, EachValueHasItsOwnLimit) {
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)});
  EXPECT_TRUE(harness.Passes({{"a", "1"}}));
  EXPECT_FALSE(harness.Passes({{"a", "1"}}));
  EXPECT_TRUE(harness.Passes({{"a", "2"}}));
}

TEST(Engine, ValuesOfASharedThresholdShareOneLimit) {
  EngineHarness harness({On("a", "x*").ShareThreshold().Fixed(2, Unit::kMinute)});
  EXPECT_TRUE(harness.Passes({{"a", "x1"}}));
  EXPECT_TRUE(harness.Passes({{"a", "x2"}}));
  EXPECT_FALSE(harness.Passes({{"a", "x3"}}));
}

TEST(Engine, ACheckOfZeroChargesNothing) {
  EngineHarness harness({On("f").Fixed(2, Unit::kMinute), On("s").Sliding(2, Unit::kMinute),
                         On("t").TokenBucket(2, Unit::kMinute)});
  for (const char* key : {"f", "s", "t"}) {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(harness.Passes({{key, "1"}}, 0)) << key;
    EXPECT_TRUE(harness.Passes({{key, "1"}}, 2)) << key;
    EXPECT_EQ(harness.Passes({{key, "1"}}, 0), *key == 'f') << key;
  }
}

// "Check on request, debit on response" admits L + 1 on a fixed window: the reference's behaviour.
TEST(Engine, CheckThenDebitAdmitsOneMoreOnAFixedWindow) {
  EngineHarness harness({On("a").Fixed(2, Unit::kMinute)});
  int admitted = 0;
  for (int i = 0; i < 6; ++i) {
    if (!harness.Passes({{"a", "1"}}, 0)) continue;
    ++admitted;
    harness.Take({{"a", "1"}}, 1);
  }
  EXPECT_EQ(admitted, 3);
}

TEST(Engine, AMultipliedUnitCannotBeNamed) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute, 3), On("b").Fixed(5, Unit::kMinute, 1)});
  const Outcome multiplied = harness.Take({{"a", "1"}});
  EXPECT_EQ(multiplied.unit, Unit::kUnknown);
  EXPECT_EQ(multiplied.limit.window_ns, 180 * kSecondNs);
  EXPECT_EQ(harness.Take({{"b", "1"}}).unit, Unit::kMinute);
}

TEST(Engine, TheBurstIsTheCapacityOfATokenBucket) {
  EngineHarness harness({On("a").TokenBucket(10, Unit::kSecond, 20)});
  EXPECT_TRUE(harness.Passes({{"a", "1"}}, 20));
  EXPECT_FALSE(harness.Passes({{"a", "1"}}, 1));
  EXPECT_FALSE(harness.Passes({{"a", "2"}}, 21));
}

TEST(EngineReplaces, DropsEveryOtherMatchedLimitOfThatName) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute).Named("old"),
                         On("b").Fixed(5, Unit::kMinute).Replaces({"old"}),
                         On("c").Fixed(0, Unit::kMinute).Named("old")});
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"b", "1"}}).Add({{"c", "1"}});
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(check[0].kind, Kind::kUnmatched);
  EXPECT_EQ(check[1].kind, Kind::kLimited);
  EXPECT_EQ(check[2].kind, Kind::kUnmatched);
}

TEST(EngineReplaces, ChargesNothingForAReplacedLimit) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute).Named("old"),
                         On("b").Fixed(5, Unit::kMinute).Replaces({"old"})});
  SyncCheck check;
  check.Add({{"a", "1"}}, 3).Add({{"b", "1"}}, 3);
  harness.Run(check);
  EXPECT_EQ(harness.Take({{"a", "1"}}, 0).decision.remaining, 5U);
  EXPECT_EQ(harness.Take({{"b", "1"}}, 0).decision.remaining, 2U);
}

TEST(EngineReplaces, IsForTheRequestOnly) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute).Named("old"),
                         On("b").Fixed(5, Unit::kMinute).Replaces({"old"})});
  EXPECT_TRUE(harness.Passes({{"b", "1"}}));
  EXPECT_FALSE(harness.Passes({{"a", "1"}}));
}

TEST(EngineReplaces, AReplacedRuleStillReplacesOthers) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute).Named("one"),
                         On("b").Fixed(0, Unit::kMinute).Named("two").Replaces({"one"}),
                         On("c").Fixed(5, Unit::kMinute).Replaces({"two"})});
  for (const bool forward : {true, false}) {
    SyncCheck check;
    const char* keys[] = {"a", "b", "c"};
    for (int i = 0; i < 3; ++i) check.Add({{keys[forward ? i : 2 - i], "1"}});
    EXPECT_TRUE(harness.Run(check));
    EXPECT_EQ(check[forward ? 0 : 2].kind, Kind::kUnmatched);
    EXPECT_EQ(check[1].kind, Kind::kUnmatched);
  }
}

TEST(EngineReplaces, TwoRulesMayReplaceEachOther) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute).Named("one").Replaces({"two"}),
                         On("b").Fixed(0, Unit::kMinute).Named("two").Replaces({"one"})});
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"b", "1"}});
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(check[0].kind, Kind::kUnmatched);
  EXPECT_EQ(check[1].kind, Kind::kUnmatched);
}

TEST(EngineReplaces, AnUnlimitedRuleReplacesButIsNotReplaced) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute).Named("old").Replaces({"free"}),
                         On("b").Unlimited().Named("free").Replaces({"old"})});
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"b", "1"}});
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(check[0].kind, Kind::kUnmatched);
  EXPECT_EQ(check[1].kind, Kind::kUnlimited);
}

TEST(EngineReplaces, LeavesOverridesAndNamelessRulesAlone) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute),
                         On("b").Fixed(5, Unit::kMinute).Named("n"),
                         On("c").Fixed(5, Unit::kMinute).Replaces({"n"})});
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"b", "1"}}).Override(3, Unit::kMinute).Add({{"c", "1"}});
  harness.Run(check);
  EXPECT_EQ(check[0].kind, Kind::kLimited);
  EXPECT_EQ(check[1].kind, Kind::kLimited);
  EXPECT_EQ(check[1].limit.hits, 3U);
}

TEST(EngineReplaces, AReplacingRuleMatchedTwiceReplacesOnceAndKeepsBoth) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute).Named("n"),
                         On("c").Fixed(5, Unit::kMinute).Named("c").Replaces({"n"})});
  SyncCheck check;
  check.Add({{"c", "1"}}).Add({{"a", "1"}}).Add({{"c", "2"}});
  harness.Run(check);
  EXPECT_EQ(check[0].kind, Kind::kLimited);
  EXPECT_EQ(check[1].kind, Kind::kUnmatched);
  EXPECT_EQ(check[2].kind, Kind::kLimited);
}

TEST(EngineShadow, AShadowRuleIsCountedButNeverOver) {
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute).Shadow()});
  harness.Take({{"a", "1"}});
  SyncCheck check;
  check.Add({{"a", "1"}});
  EXPECT_TRUE(harness.Run(check));
  EXPECT_FALSE(check[0].decision.allowed);
  EXPECT_FALSE(check[0].over_limit());
  EXPECT_TRUE(check[0].shadowed());
  EXPECT_EQ(check[0].decision.remaining, 0U);
  EXPECT_FALSE(check.global_shadow);
}

TEST(EngineShadow, AShadowRuleDoesNotHideAnotherDenial) {
  EngineHarness harness(
      {On("a").Fixed(0, Unit::kMinute).Shadow(), On("b").Fixed(0, Unit::kMinute)});
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"b", "1"}});
  EXPECT_FALSE(harness.Run(check));
}

TEST(EngineShadow, GlobalShadowModeKeepsStatusesAndSaysSo) {
  HarnessOptions options;
  options.engine.shadow_mode = true;
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)}, options);
  SyncCheck check;
  check.Add({{"a", "1"}});
  harness.Run(check);
  EXPECT_FALSE(check.global_shadow);
  harness.Run(check);
  EXPECT_TRUE(check.global_shadow);
  EXPECT_FALSE(check.allowed);
  EXPECT_TRUE(check[0].over_limit());
}

struct QuotaCase {
  const char* name;
  std::vector<const char*> keys;
  bool allowed;
};

// "q…" are quota rules, "n…" normal ones, "s…" quota rules in shadow mode; "…0" are over, "…1"
// pass.
std::vector<DescriptorSpec> QuotaRules() {
  return {On("q0").Fixed(0, Unit::kMinute).Quota(),
          On("q1").Fixed(1000, Unit::kMinute).Quota(),
          On("n0").Fixed(0, Unit::kMinute),
          On("n1").Fixed(1000, Unit::kMinute),
          On("s0").Fixed(0, Unit::kMinute).Quota().Shadow(),
          On("s1").Fixed(1000, Unit::kMinute).Quota().Shadow(),
          On("p0").Fixed(0, Unit::kMinute).Shadow(),
          On("u").Unlimited()};
}

void ExpectQuotas(EngineHarness& harness, const std::vector<QuotaCase>& cases) {
  for (const QuotaCase& c : cases) {
    for (const ChargeDenied mode :
         {ChargeDenied::kFirst, ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
      SyncCheck check;
      check.charge_denied = mode;
      for (const char* key : c.keys) check.Add({{key, "1"}});
      EXPECT_EQ(harness.Run(check), c.allowed) << c.name << ", mode " << static_cast<int>(mode);
    }
  }
}

TEST(EngineQuota, DeniesOnlyWhenAllQuotasAreOverOrANormalLimitIs) {
  EngineHarness harness(QuotaRules());
  ExpectQuotas(harness, {{"one quota over", {"q0"}, false},
                         {"one quota passing", {"q1"}, true},
                         {"one of two over", {"q0", "q1"}, true},
                         {"both over", {"q0", "q0"}, false},
                         {"a normal limit passing does not help", {"q0", "n1"}, false},
                         {"a normal limit over denies", {"q1", "n0"}, false},
                         {"an unmatched descriptor does not help", {"q0", "x"}, false},
                         {"an unlimited one does not help", {"q0", "u"}, false},
                         {"a shadow rule does not help", {"q0", "p0"}, false},
                         {"a quota in shadow mode passes and counts", {"q0", "s0"}, true},
                         {"alone too", {"s0"}, true}});
}

TEST(EngineQuota, AQuotaThatIsOverKeepsItsStatus) {
  EngineHarness harness(QuotaRules());
  SyncCheck check;
  check.Add({{"q0", "1"}}).Add({{"q1", "1"}});
  EXPECT_TRUE(harness.Run(check));
  EXPECT_TRUE(check[0].over_limit());
}

TEST(EngineQuota, GlobalQuotaModeTreatsEachDescriptorAsAQuota) {
  EngineHarness harness(QuotaRules(), GlobalQuota());
  ExpectQuotas(harness, {{"one over", {"n0"}, false},
                         {"one of two over", {"n0", "n1"}, true},
                         {"both over", {"n0", "q0"}, false},
                         {"an unmatched descriptor passes", {"n0", "x"}, true},
                         {"an unlimited one is not counted", {"n0", "u"}, false},
                         {"a shadow rule passes", {"n0", "p0"}, true}});
}

TEST(EngineQuota, UnderGlobalQuotaModeAReplacedLimitPasses) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute).Named("old"),
                         On("b").Fixed(0, Unit::kMinute).Replaces({"old"})},
                        GlobalQuota());
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"b", "1"}});
  EXPECT_TRUE(harness.Run(check));
}

TEST(EngineQuota, UnderGlobalQuotaModeAnOverrideIsAQuotaToo) {
  EngineHarness harness({On("n1").Fixed(5, Unit::kMinute)}, GlobalQuota());
  SyncCheck check;
  check.Add({{"a", "1"}}).Override(0, Unit::kMinute).Add({{"n1", "1"}});
  EXPECT_TRUE(harness.Run(check));
  EXPECT_TRUE(check[0].over_limit());
}

TEST(EngineQuota, AnAllowedRequestIsChargedInWholeUnderNever) {
  EngineHarness harness(QuotaRules());
  SyncCheck check;
  check.charge_denied = ChargeDenied::kNever;
  check.Add({{"q0", "1"}}).Add({{"s0", "1"}}).Add({{"n1", "1"}}, 7);
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(harness.Take({{"n1", "1"}}, 0).decision.remaining, 993U);
}

TEST(EngineOverride, WinsOverTheRule) {
  EngineHarness harness({On("a").Fixed(0, Unit::kMinute).Named("n").Shadow()});
  SyncCheck check;
  check.Add({{"a", "1"}}, 2).Override(3, Unit::kHour);
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(check[0].rule, nullptr);
  EXPECT_EQ(check[0].limit.hits, 3U);
  EXPECT_EQ(check[0].limit.algorithm, Algorithm::kFixedWindow);
  EXPECT_EQ(check[0].unit, Unit::kHour);
  EXPECT_EQ(check[0].decision.remaining, 1U);
  EXPECT_EQ(check[0].near_limit, 2U);
  EXPECT_FALSE(harness.Run(check));
  EXPECT_TRUE(check[0].over_limit());
}

TEST(EngineOverride, LimitsWhatNoRuleMatches) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  SyncCheck check;
  check.Add({{"x", "1"}, {"y", "2"}}).Override(1, Unit::kMinute);
  EXPECT_TRUE(harness.Run(check));
  EXPECT_FALSE(harness.Run(check));
}

TEST(EngineOverride, WithoutEntriesIsUnmatched) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  SyncCheck check;
  check.Add({}).Override(0, Unit::kMinute);
  EXPECT_TRUE(harness.Run(check));
  EXPECT_EQ(check[0].kind, Outcome::Kind::kUnmatched);
}

TEST(EngineOverride, DoesNotTouchTheRulesState) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  SyncCheck check;
  check.Add({{"a", "1"}}, 4).Override(5, Unit::kMinute);
  harness.Run(check);
  EXPECT_EQ(harness.Take({{"a", "1"}}, 0).decision.remaining, 5U);
}

TEST(EngineOverride, CountsOnceForOneWindowAndApartForAnother) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  SyncCheck minute;
  minute.Add({{"a", "1"}}, 4).Override(5, Unit::kMinute);
  harness.Run(minute);
  SyncCheck higher;
  higher.Add({{"a", "1"}}, 4).Override(10, Unit::kMinute);
  EXPECT_TRUE(harness.Run(higher));  // a raised limit helps at once
  EXPECT_EQ(higher[0].decision.remaining, 2U);
  SyncCheck hour;
  hour.Add({{"a", "1"}}, 4).Override(5, Unit::kHour);
  EXPECT_TRUE(harness.Run(hour));
  EXPECT_EQ(hour[0].decision.remaining, 1U);
}

TEST(EngineOverride, ALowOneDoesNotPoisonAHigherOne) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  SyncCheck low;
  low.Add({{"a", "1"}}).Override(0, Unit::kMinute);
  EXPECT_FALSE(harness.Run(low));
  SyncCheck high;
  high.Add({{"a", "1"}}).Override(10, Unit::kMinute);
  EXPECT_TRUE(harness.Run(high));
}

TEST(EngineOverride, KnowsTheWeek) {
  EngineHarness harness({On("a").Fixed(5, Unit::kMinute)});
  SyncCheck check;
  check.Add({{"a", "1"}}).Override(5, Unit::kWeek);
  harness.Run(check);
  EXPECT_EQ(check[0].limit.window_ns, 604800 * kSecondNs);
  EXPECT_EQ(check[0].unit, Unit::kWeek);
}

TEST(EngineExplain, ShowsTheWalkAndTheRuleAndChargesNothing) {
  EngineHarness harness({On("a", "x*").Child(On("b").Fixed(1, Unit::kMinute))});
  const test::Entries entries = {{"a", "x1"}, {"b", "2"}};
  const Explanation explanation =
      harness.engine.Explain(harness.worker, "d", {.entries = entries, .limit = std::nullopt});
  EXPECT_TRUE(explanation.domain_known);
  ASSERT_EQ(explanation.steps.size(), 2U);
  EXPECT_EQ(explanation.steps[0].matched, "a_x*");
  EXPECT_EQ(explanation.outcome.rule->path, "a_x*.b");
  EXPECT_EQ(explanation.outcome.key, harness.Take(entries, 0).key);
  EXPECT_EQ(harness.Take(entries).decision.remaining, 0U);
}

TEST(EngineExplain, OutlivesAReload) {
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)});
  const test::Entries entries = {{"a", "1"}};
  const Explanation explanation =
      harness.engine.Explain(harness.worker, "d", {.entries = entries, .limit = std::nullopt});
  harness.Reload({On("other").Fixed(1, Unit::kMinute)});
  harness.Take({{"other", "1"}});
  harness.executor.RunAll();
  EXPECT_EQ(explanation.steps[0].matched, "a");
  EXPECT_EQ(explanation.outcome.rule->path, "a");
}

TEST(EngineExplain, SaysThatADomainIsUnknown) {
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)});
  const Explanation explanation = harness.engine.Explain(harness.worker, "other", {});
  EXPECT_FALSE(explanation.domain_known);
  EXPECT_TRUE(explanation.steps.empty());
}

}  // namespace
}  // namespace weir
