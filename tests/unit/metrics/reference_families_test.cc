#include "limiter/metrics/reference_families.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/metrics/scrape.h"

namespace weir {
namespace {

TestedOptions WithStats() {
  TestedOptions options;
  options.engine.count_stats = true;
  return options;
}

EngineCollectorOptions Compat() {
  EngineCollectorOptions options;
  options.reference_families = true;
  return options;
}

std::string Hits(const std::string& family, const std::string& labels) {
  return "ratelimit_service_rate_limit_" + family + "{" + labels + "}";
}

TEST(ReferenceFamilies, AreLeftOutUnlessAskedFor) {
  Tested tested(WithStats());
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10)})});
  tested.Ask(tested.engine.AddWorker(), "shop", {{"user", "a"}});
  EXPECT_EQ(tested.Get().Count("ratelimit_"), 0);
  EXPECT_GT(tested.Get(Compat()).Count("ratelimit_"), 0);
}

TEST(ReferenceFamilies, HitsFollowItsArithmetic) {
  Tested tested(WithStats());
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  const std::string labels = R"(domain="shop",key1="user")";
  tested.Ask(worker, "shop", {{"user", "a"}}, 7);
  const Scrape within = tested.Get(Compat());
  EXPECT_EQ(within.Of(Hits("total_hits", labels)), 7);
  EXPECT_EQ(within.Of(Hits("within_limit", labels)), 7);
  for (const char* unused : {"over_limit", "near_limit", "shadow_mode", "total_negative_hits"}) {
    EXPECT_FALSE(within.Has(Hits(unused, labels))) << unused;
  }
  tested.Ask(worker, "shop", {{"user", "a"}}, 2);  // 8 is near: one of the two
  tested.Ask(worker, "shop", {{"user", "a"}}, 4);  // one fits, and is near; three are over
  tested.Ask(worker, "shop", {{"user", "a"}}, 5);  // all over
  const Scrape over = tested.Get(Compat());
  EXPECT_EQ(over.Of(Hits("total_hits", labels)), 18);
  EXPECT_EQ(over.Of(Hits("within_limit", labels)), 9);
  EXPECT_EQ(over.Of(Hits("near_limit", labels)), 2);
  EXPECT_EQ(over.Of(Hits("over_limit", labels)), 8);
  EXPECT_FALSE(over.Has(Hits("shadow_mode", labels)));
}

TEST(ReferenceFamilies, ShadowedHitsAreOverTheLimitToo) {
  Tested tested(WithStats());
  DescriptorSpec rule = MinuteRule("user", "", 2);
  rule.shadow_mode = true;
  tested.SetRules({DomainOf("shop", {rule})});
  tested.Ask(tested.engine.AddWorker(), "shop", {{"user", "a"}}, 5);
  const Scrape scrape = tested.Get(Compat());
  const std::string labels = R"(domain="shop",key1="user")";
  EXPECT_EQ(scrape.Of(Hits("shadow_mode", labels)), 3);
  EXPECT_EQ(scrape.Of(Hits("over_limit", labels)), 3);
}

TEST(ReferenceFamilies, RefundsAreNegativeHits) {
  Tested tested(WithStats());
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "shop", {{"user", "a"}}, 5);
  tested.Ask(worker, "shop", {{"user", "a"}}, 3, Op::kRefund);
  const Scrape scrape = tested.Get(Compat());
  const std::string labels = R"(domain="shop",key1="user")";
  EXPECT_EQ(scrape.Of(Hits("total_negative_hits", labels)), 3);
  EXPECT_EQ(scrape.Of(Hits("total_hits", labels)), 5);
}

TEST(ReferenceFamilies, DeeperLevelsFoldIntoTheSecond) {
  Tested tested(WithStats());
  DescriptorSpec user = MinuteRule("user", "bob", 10);
  DescriptorSpec path = MinuteRule("path", "", 10);
  path.descriptors = {MinuteRule("verb", "", 10), MinuteRule("size", "", 10)};
  user.descriptors = {path};
  tested.SetRules({DomainOf("shop", {user})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "shop", {{"user", "bob"}}, 1);
  tested.Ask(worker, "shop", {{"user", "bob"}, {"path", "/"}}, 2);
  tested.Ask(worker, "shop", {{"user", "bob"}, {"path", "/"}, {"verb", "get"}}, 3);
  tested.Ask(worker, "shop", {{"user", "bob"}, {"path", "/"}, {"size", "9"}}, 4);
  const Scrape scrape = tested.Get(Compat());
  EXPECT_EQ(scrape.Of(Hits("total_hits", R"(domain="shop",key1="user_bob")")), 1);
  EXPECT_EQ(scrape.Of(Hits("total_hits", R"(domain="shop",key1="user_bob",key2="path")")), 9);
  EXPECT_EQ(scrape.Count("ratelimit_service_rate_limit_total_hits"), 2);
}

TEST(ReferenceFamilies, ValuesOfRequestsFoldAboveTheBudget) {
  TestedOptions options = WithStats();
  // A domain with its overrides, one rule, and two values.
  options.series_max = 1 + 2 * SeriesRegistry::kSeriesPerRule + 4 * SeriesRegistry::kSeriesPerStat;
  Tested tested(options);
  DescriptorSpec rule = MinuteRule("user", "", 10);
  rule.value_to_metric = true;
  tested.SetRules({DomainOf("shop", {rule})});
  Worker& worker = tested.engine.AddWorker();
  for (int i = 0; i < 100; ++i) tested.Ask(worker, "shop", {{"user", std::to_string(i)}});
  const Scrape scrape = tested.Get(Compat());
  EXPECT_EQ(scrape.Of(Hits("total_hits", R"(domain="shop",key1="user_0")")), 1);
  EXPECT_EQ(scrape.Of(Hits("total_hits", R"(domain="shop",key1="user_1")")), 1);
  EXPECT_EQ(scrape.Of(Hits("total_hits", R"(domain="shop",key1="user",key2="__overflow__")")), 98);
  EXPECT_EQ(scrape.Count("ratelimit_service_rate_limit_total_hits"), 3);
  EXPECT_EQ(scrape.Of("weir_metric_series_dropped_total"), 98);
}

TEST(ReferenceFamilies, CallsErrorsAndLoads) {
  Tested tested(WithStats());
  Worker& worker = tested.engine.AddWorker();
  const auto method = [&](Method m) -> MethodCounters& {
    return worker.counters().methods[static_cast<std::size_t>(m)];
  };
  method(Method::kShouldRateLimit).Observe(0, 30'000);
  method(Method::kShouldRateLimit).Observe(2, 30'000'000);  // UNKNOWN: no configuration, say
  method(Method::kShouldRateLimit).Observe(3, 1);           // INVALID_ARGUMENT
  method(Method::kShouldRateLimit).Observe(1, 1);           // CANCELLED is the caller's
  method(Method::kCheck).Observe(2, 1);                     // a service it does not have
  tested.config.RecordSuccess("a", 1);
  tested.config.RecordSuccess("b", 2);
  tested.config.RecordFailure();
  const Scrape scrape = tested.Get(Compat());
  const std::string grpc_method = R"({grpc_method="ShouldRateLimit")";
  EXPECT_EQ(scrape.Of("ratelimit_service_total_requests" + grpc_method + "}"), 4);
  const std::string time = "ratelimit_service_response_time_seconds";
  EXPECT_EQ(scrape.Of(time + "_count" + grpc_method + "}"), 4);
  EXPECT_EQ(scrape.Of(time + "_bucket" + grpc_method + ",le=\"2.5e-05\"}"), 2);
  EXPECT_EQ(scrape.Of(time + "_bucket" + grpc_method + ",le=\"5e-05\"}"), 3);
  EXPECT_EQ(scrape.Of(time + "_bucket" + grpc_method + ",le=\"+Inf\"}"), 4);
  EXPECT_EQ(scrape.Of(R"(ratelimit_service_should_rate_limit_error{err_type="service_error"})"), 2);
  EXPECT_EQ(scrape.Of(R"(ratelimit_service_should_rate_limit_error{err_type="redis_error"})"), 0);
  EXPECT_EQ(scrape.Of("ratelimit_service_config_load_success"), 2);
  EXPECT_EQ(scrape.Of("ratelimit_service_config_load_error"), 1);
}

}  // namespace
}  // namespace weir
