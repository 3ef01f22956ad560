#include "limiter/metrics/render.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "tests/unit/metrics/scrape.h"

namespace weir {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Fixed : public prometheus::Collectable {
 public:
  explicit Fixed(std::vector<MetricFamily> families) : families_(std::move(families)) {}
  std::vector<MetricFamily> Collect() const override { return families_; }

 private:
  std::vector<MetricFamily> families_;
};

MetricFamily GaugeOf(const std::string& name, double value,
                     std::vector<ClientMetric::Label> labels = {}) {
  MetricFamily family{name, "Help of " + name + ".", MetricType::Gauge, {}};
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(metric);
  return family;
}

std::string Render(std::vector<MetricFamily> families) {
  const Fixed fixed(std::move(families));
  const prometheus::Collectable* const all[] = {&fixed};
  return RenderMetrics(all);
}

TEST(RenderMetrics, WritesNumbersThatReadBackExactly) {
  const struct {
    double value;
    const char* text;
  } cases[] = {{0, "0"},
               {1, "1"},
               {-3, "-3"},
               {1234567, "1234567"},
               {9007199254740992.0, "9007199254740992"},
               {18446744073709551615.0, "1.8446744073709552e+19"},
               {0.0001, "0.0001"},
               {0.000025, "2.5e-05"},
               {0.1, "0.1"},
               {1700000000.5, "1700000000.5"},
               {142857.14285714287, "142857.14285714287"},
               {-0.000123456789012345678, "-0.00012345678901234567"},
               {1.25e+299, "1.25e+299"},
               {5e-324, "5e-324"},
               {std::numeric_limits<double>::infinity(), "+Inf"},
               {-std::numeric_limits<double>::infinity(), "-Inf"},
               {std::nan(""), "NaN"}};
  for (const auto& c : cases) {
    EXPECT_EQ(Render({GaugeOf("g", c.value)}),
              "# HELP g Help of g.\n# TYPE g gauge\ng " + std::string(c.text) + "\n");
  }
}

TEST(RenderMetrics, EscapesLabelValues) {
  const std::string text = Render({GaugeOf("g", 1, {{"a", "\"\\\n"}, {"b", "x\"y"}, {"c", ""}})});
  EXPECT_NE(text.find("g{a=\"\\\"\\\\\\n\",b=\"x\\\"y\",c=\"\"} 1\n"), std::string::npos) << text;
}

TEST(RenderMetrics, WritesCollectablesInOrder) {
  const Fixed one({GaugeOf("one", 1)});
  const Fixed two({GaugeOf("two", 2), GaugeOf("three", 3)});
  const prometheus::Collectable* const all[] = {&one, &two};
  const std::string text = RenderMetrics(all);
  EXPECT_LT(text.find("one 1\n"), text.find("two 2\n"));
  EXPECT_LT(text.find("two 2\n"), text.find("three 3\n"));
  EXPECT_NE(text.find("three 3\n"), std::string::npos);
  EXPECT_EQ(RenderMetrics({}), "");
}

// Every type, compared with what the library's own serializer writes.
TEST(RenderMetrics, SaysWhatPrometheusCppSays) {
  MetricFamily counter{"c_total", "A counter.", MetricType::Counter, {}};
  MetricFamily untyped{"u", "Of no type.", MetricType::Untyped, {}};
  MetricFamily summary{"s", "A summary.", MetricType::Summary, {}};
  MetricFamily histogram{"h", "A histogram.", MetricType::Histogram, {}};
  for (int i = 0; i < 3; ++i) {
    ClientMetric metric;
    metric.label = {{"domain", "a\"b\\c\n" + std::to_string(i)}};
    metric.counter.value = 1e6 / 64 * i;
    metric.untyped.value = -0.375 * i;
    metric.summary = {7, 1.25, {{0.5, 0.125}, {0.99, 3}}};
    metric.histogram = {9, 2.5, {{4, 0.000025}, {6, 0.1}}};
    if (i == 2) metric.histogram.bucket.push_back({9, std::numeric_limits<double>::infinity()});
    if (i == 1) metric.timestamp_ms = 1'700'000'000'123;
    for (MetricFamily* family : {&counter, &untyped, &summary, &histogram}) {
      family->metric.push_back(metric);
    }
  }
  const std::vector<MetricFamily> families = {counter, untyped, summary, histogram,
                                              GaugeOf("g", 0.1)};
  const Scrape expected = Parse(prometheus::TextSerializer().Serialize(families));
  const Scrape actual = Parse(Render(families));
  EXPECT_GT(expected.values.size(), 20U);
  EXPECT_EQ(actual.values, expected.values);
  EXPECT_EQ(actual.helps, expected.helps);
  EXPECT_EQ(actual.types, expected.types);
  EXPECT_FALSE(actual.duplicates);
}

TEST(RenderMetrics, AWholeScrapeIsWhatPrometheusCppWouldWrite) {
  TestedOptions options;
  options.engine.count_stats = true;
  Tested tested(options);
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 3)})});
  Worker& worker = tested.engine.AddWorker();
  for (int i = 0; i < 5; ++i) tested.Ask(worker, "shop", {{"user", "a"}});
  worker.counters().methods[0].Observe(0, 33'333);
  EngineCollectorOptions collector_options;
  collector_options.reference_families = true;
  const EngineCollector collector(tested.engine, &tested.store.cells(), tested.config,
                                  collector_options);
  const std::vector<MetricFamily> families = collector.Collect();
  const Scrape expected = Parse(prometheus::TextSerializer().Serialize(families));
  EXPECT_GT(expected.values.size(), 200U);
  EXPECT_EQ(Parse(Render(families)).values, expected.values);
}

}  // namespace
}  // namespace weir
