#include "limiter/admin/pages.h"

#include <gtest/gtest.h>

#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::On;

std::string LineOf(On rule) {
  test::EngineHarness harness({std::move(rule)});
  return RlConfigLine(harness.engine.rules()->rules()[0]);
}

TEST(RlConfig, IsTheReferencesLineForARuleTheReferenceKnows) {
  EXPECT_EQ(LineOf(On("user", "x").Fixed(20, Unit::kMinute)),
            "d.user_x: unit=MINUTE requests_per_unit=20, shadow_mode: false, quota_mode: false");
}

TEST(RlConfig, AppendsWhatTheReferenceDoesNotKnow) {
  EXPECT_EQ(LineOf(On("user").TokenBucket(20, Unit::kMinute, 5)),
            "d.user: unit=MINUTE requests_per_unit=20, shadow_mode: false, quota_mode: false, "
            "algorithm: token_bucket, burst: 5");
  EXPECT_EQ(LineOf(On("user").Fixed(20, Unit::kMinute, 5)),
            "d.user: unit=MINUTE requests_per_unit=20, shadow_mode: false, quota_mode: false, "
            "unit_multiplier: 5");
}

TEST(RlConfig, ATextOfARuleFileCannotForgeALineOrMoveTheCursor) {
  EXPECT_EQ(LineOf(On("a\nb", "\x1b[2J").Fixed(1, Unit::kHour)),
            "d.a\\x0ab_\\x1b[2J: unit=HOUR requests_per_unit=1, shadow_mode: false, "
            "quota_mode: false");
}

const StoreSummary kMemory{
    .kind = "memory", .state = "", .nodes = 0, .failovers = 0, .servers = {}};
const StoreSummary kRedis{.kind = "redis",
                          .state = "recovering",
                          .nodes = 3,
                          .failovers = 0,
                          .servers = {{"10.0.0.1:6379", "connected"}, {"", "recovering"}}};

TEST(StoreText, IsOneLine) {
  EXPECT_EQ(StoreText(kMemory), "memory");
  EXPECT_EQ(StoreText(kRedis),
            "redis: recovering, 3 nodes; 10.0.0.1:6379 connected (no address yet) recovering");
  StoreSummary one = kRedis;
  one.nodes = 1;
  EXPECT_NE(StoreText(one).find(", 1 node;"), std::string::npos);
}

TEST(RulesJson, ListsRulesInFileOrderAndEscapesTheirText) {
  test::EngineHarness harness({On("b").Fixed(1, Unit::kHour), On("a", "\"\n").Unlimited()});
  const std::string json = RulesJson(harness.engine, kMemory);
  EXPECT_LT(json.find("\"path\": \"b\""), json.find("\"path\": \"a_\\\"\\n\""));
  EXPECT_NE(json.find("\"unlimited\": true"), std::string::npos);
}

TEST(RulesJson, SaysWhyARuleIsNotLeased) {
  test::EngineHarness harness({On("a").Fixed(1, Unit::kHour)});
  EXPECT_NE(RulesJson(harness.engine, kMemory)
                .find("\"exact_because\": \"the store lies in this process\""),
            std::string::npos);
}

TEST(RulesJson, SaysHowTheStoreIs) {
  test::EngineHarness harness({});
  EXPECT_EQ(RulesJson(harness.engine, kMemory),
            "{\n  \"store\": {\n    \"kind\": \"memory\"\n  },\n  \"rules\": []\n}\n");
  const std::string json = RulesJson(harness.engine, kRedis);
  EXPECT_NE(json.find("\"state\": \"recovering\""), std::string::npos);
  EXPECT_NE(json.find("\"nodes\": 3"), std::string::npos);
  EXPECT_NE(json.find("\"address\": \"10.0.0.1:6379\""), std::string::npos);
}

}  // namespace
}  // namespace weir
