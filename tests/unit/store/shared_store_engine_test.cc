// Checks through an engine on the shared store: how long they wait, and what a failed one says.

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "limiter/core/engine.h"
#include "tests/support/executors.h"
#include "tests/support/rule_builder.h"
#include "tests/support/sync_check.h"
#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::kMillisecondNs;
using test::On;
using test::SharedHarness;
using test::SyncCheck;

class SharedEngineTest : public ::testing::Test {
 protected:
  SharedEngineTest()
      : engine_({.store_wait_ns = 8 * kMillisecondNs}, shared_.clock, shared_.store, executor_,
                series_),
        worker_(engine_.AddWorker()) {
    worker_.inbox().SetWake([this] { ++wakes_; });
    Load({On("a").Fixed(5, Unit::kMinute)});
  }

  void Load(std::vector<DescriptorSpec> rules,
            OnStoreFailure on_store_failure = OnStoreFailure::kError) {
    RuleTableOptions options;
    options.on_store_failure = on_store_failure;
    engine_.SetRules(RuleTable::Build(test::Domain("d", std::move(rules)), options, series_));
  }
  // How long a check waits until it is answered by policy.
  int64_t WaitNs(int64_t left_ns) {
    SyncCheck check;
    check.Add({{"a", "1"}});
    check.left_ns = left_ns;
    engine_.Run(worker_, check);
    shared_.Turn();
    const int64_t start_ns = shared_.clock.Now().mono_ns;
    if (shared_.next_turn_ns != kNeverNs) shared_.clock.Advance(shared_.next_turn_ns - start_ns);
    shared_.Turn();
    worker_.inbox().Deliver();
    EXPECT_EQ(check.answers(), 1);
    EXPECT_TRUE(check.failed);
    return shared_.clock.Now().mono_ns - start_ns;
  }
  void Exchange(SyncCheck& check) {
    engine_.Run(worker_, check);
    shared_.Exchange();
    worker_.inbox().Deliver();
    EXPECT_EQ(check.answers(), 1);
  }
  void Fail(SyncCheck& check) {
    engine_.Run(worker_, check);
    shared_.Turn();
    shared_.remote.FailAll();
    worker_.inbox().Deliver();
    EXPECT_EQ(check.answers(), 1);
  }

  SharedHarness shared_;
  test::ManualExecutor executor_;
  SeriesRegistry series_{1'000};
  Engine engine_;
  Worker& worker_;
  int wakes_ = 0;
};

TEST_F(SharedEngineTest, ACheckIsAnsweredThroughItsWorkersInbox) {
  SyncCheck check;
  check.Add({{"a", "1"}});
  engine_.Run(worker_, check);
  EXPECT_EQ(check.answers(), 0);
  shared_.Turn();
  shared_.remote.Deliver();
  EXPECT_EQ(check.answers(), 0);
  EXPECT_EQ(wakes_, 1);
  worker_.inbox().Deliver();
  EXPECT_EQ(check.answers(), 1);
  EXPECT_TRUE(check.allowed);
  EXPECT_EQ(check[0].source, Source::kStore);
  EXPECT_EQ(check[0].decision.remaining, 4U);
}

TEST_F(SharedEngineTest, WaitsForStoreWaitOrHalfOfWhatIsLeft) {
  EXPECT_EQ(WaitNs(60'000 * kMillisecondNs), 8 * kMillisecondNs);
  EXPECT_EQ(WaitNs(16 * kMillisecondNs), 8 * kMillisecondNs);
  EXPECT_EQ(WaitNs(10 * kMillisecondNs), 5 * kMillisecondNs);
  EXPECT_EQ(WaitNs(1), 0);
  EXPECT_EQ(WaitNs(0), 0);
  EXPECT_EQ(WaitNs(-kMillisecondNs), 0);  // it ended before the check began
}

TEST_F(SharedEngineTest, ACheckMayOutliveTheRulesItWasMatchedWith) {
  SyncCheck check;
  check.Add({{"a", "1"}});
  engine_.Run(worker_, check);
  Load({On("b").Fixed(7, Unit::kMinute)});
  SyncCheck newer;
  newer.Add({{"b", "1"}});
  engine_.Run(worker_, newer);
  executor_.RunAll();
  shared_.Exchange();
  worker_.inbox().Deliver();
  EXPECT_EQ(check[0].limit.hits, 5U);
  EXPECT_EQ(newer[0].limit.hits, 7U);
  EXPECT_GT(executor_.RunAll(), 0U);  // the old table goes on the executor, not under the check
}

TEST_F(SharedEngineTest, TheErrorPolicyFailsTheCheck) {
  Load({On("a").Fixed(5, Unit::kMinute), On("s").Fixed(5, Unit::kMinute).Shadow()});
  SyncCheck check;
  check.Add({{"a", "1"}}).Add({{"s", "1"}});
  Fail(check);
  EXPECT_TRUE(check.failed);
  SyncCheck again;
  again.Add({{"a", "1"}});
  Exchange(again);
  EXPECT_FALSE(again.failed);
}

TEST_F(SharedEngineTest, AShadowRuleFailsNoCheck) {
  Load({On("a").Fixed(5, Unit::kMinute), On("s").Fixed(5, Unit::kMinute).Shadow()});
  SyncCheck shadow;
  shadow.Add({{"s", "1"}});
  Fail(shadow);
  EXPECT_FALSE(shadow.failed);
  EXPECT_TRUE(shadow.allowed);
}

TEST_F(SharedEngineTest, AnOverrideHasThePolicyOfTheSettings) {
  for (const OnStoreFailure policy :
       {OnStoreFailure::kAllow, OnStoreFailure::kDeny, OnStoreFailure::kError}) {
    Load({On("a").Fixed(5, Unit::kMinute)}, policy);
    SyncCheck check;
    check.Add({{"a", "1"}}).Override(3, Unit::kHour);
    Fail(check);
    EXPECT_EQ(check.allowed, policy == OnStoreFailure::kAllow);
    EXPECT_EQ(check.failed, policy == OnStoreFailure::kError);
    EXPECT_EQ(check[0].source, Source::kPolicy);
  }
}

TEST_F(SharedEngineTest, ARulesOwnPolicyCountsMore) {
  DescriptorSpec rule = On("a").Fixed(5, Unit::kMinute);
  rule.rate_limit->on_store_failure = OnStoreFailure::kAllow;
  Load({rule}, OnStoreFailure::kError);
  SyncCheck check;
  check.Add({{"a", "1"}});
  Fail(check);
  EXPECT_FALSE(check.failed);
  EXPECT_TRUE(check.allowed);
}

// Two limits on the same entries and window share a key, whose denial holds for one L only.
TEST_F(SharedEngineTest, ADenialUnderOneOverrideDoesNotDenyAnother) {
  SyncCheck small;
  small.Add({{"a", "1"}}, 4).Override(3, Unit::kHour);
  Exchange(small);
  EXPECT_FALSE(small.allowed);
  SyncCheck large;
  large.Add({{"a", "1"}}, 4).Override(30, Unit::kHour);
  Exchange(large);
  EXPECT_EQ(large[0].key, small[0].key);
  EXPECT_TRUE(large.allowed);
}

}  // namespace
}  // namespace weir
