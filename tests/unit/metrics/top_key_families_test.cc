#include "limiter/metrics/top_key_families.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/unit/metrics/scrape.h"

namespace weir {
namespace {

TEST(TopKeyFamilies, TellRanksAndShareAndNameNoKey) {
  Tested tested;
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10), MinuteRule("path", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  EXPECT_EQ(tested.Get().Count("weir_topk_hits"), 0);
  for (const char* user : {"a", "b", "c", "d", "e", "f"}) {
    tested.clock.Advance(1'000'000);  // so slow that each is sampled
    tested.Ask(worker, "shop", {{"user", user}}, 2);
  }
  tested.clock.Advance(1'000'000);
  tested.Ask(worker, "shop", {{"user", "f"}}, 8);
  const Scrape scrape = tested.Get();
  const std::string rule = R"(domain="shop",rule="user")";
  EXPECT_EQ(scrape.Count("weir_topk_hits"), 5);
  EXPECT_NEAR(scrape.Of("weir_topk_hits{" + rule + R"(,rank="1"})"), 10, 0.1);
  EXPECT_NEAR(scrape.Of("weir_topk_hits{" + rule + R"(,rank="5"})"), 2, 0.1);
  EXPECT_NEAR(scrape.Of("weir_topk_share{" + rule + "}"), 0.5, 0.01);
}

TEST(TopKeyFamilies, TakeWhatIsLeftOfTheSeriesBudget) {
  TestedOptions options;
  // One domain with the series of its overrides, two rules, and the top keys of one of them.
  options.series_max =
      1 + 3 * (SeriesRegistry::kSeriesPerRule + SeriesRegistry::kSeriesPerStat) + 6;
  Tested tested(options);
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10), MinuteRule("path", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "shop", {{"user", "a"}});
  tested.Ask(worker, "shop", {{"path", "a"}});
  EXPECT_EQ(tested.Get().Count("weir_topk_share"), 1);
}

}  // namespace
}  // namespace weir
