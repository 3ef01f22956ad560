#include "limiter/rpc/health.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir {
namespace {

TEST(Health, ServesOnceRulesAreLoadedAndUntilItDrains) {
  Health health(false);
  EXPECT_FALSE(health.serving());
  health.SetRulesLoaded();
  EXPECT_TRUE(health.serving());
  EXPECT_TRUE(health.ready());
  health.SetDraining();
  EXPECT_FALSE(health.serving());
  EXPECT_FALSE(health.ready());
}

TEST(Health, MayServeWithoutRulesButIsNotReadyThen) {
  Health health(true);
  EXPECT_TRUE(health.serving());
  EXPECT_FALSE(health.ready());
}

TEST(Health, TellsSubscribersTheStateAndEachChangeOnce) {
  Health health(false);
  std::vector<Health::State> seen;
  const uint64_t id = health.Subscribe([&](Health::State state) { seen.push_back(state); });
  health.SetRulesLoaded();
  health.SetRulesLoaded();
  health.SetDraining();
  health.SetEnded();
  EXPECT_EQ(seen, (std::vector<Health::State>{Health::State::kNotServing, Health::State::kServing,
                                              Health::State::kNotServing, Health::State::kEnded}));
  health.Unsubscribe(id);
}

TEST(Health, TellsNothingAfterUnsubscribe) {
  Health health(true);
  int told = 0;
  health.Unsubscribe(health.Subscribe([&](Health::State) { ++told; }));
  health.SetDraining();
  EXPECT_EQ(told, 1);
}

TEST(Health, IsNotServingWhileItsStoreIsAway) {
  Health health(false);
  health.SetRulesLoaded();
  health.SetStoreConnected(false);
  EXPECT_FALSE(health.serving());
  health.SetStoreConnected(true);
  EXPECT_TRUE(health.serving());
}

}  // namespace
}  // namespace weir
