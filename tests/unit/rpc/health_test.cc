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
  std::vector<bool> seen;
  const uint64_t id = health.Subscribe([&](bool serving) { seen.push_back(serving); });
  health.SetRulesLoaded();
  health.SetRulesLoaded();
  EXPECT_EQ(seen, (std::vector<bool>{false, true}));
  health.Unsubscribe(id);
  health.SetDraining();
  EXPECT_EQ(seen.size(), 2U);
}

}  // namespace
}  // namespace weir
