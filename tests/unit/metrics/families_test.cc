#include "limiter/metrics/families.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "limiter/metrics/tag.h"

namespace weir {
namespace {

TEST(ValidUtf8, KeepsWhatIsWellFormedAndReplacesEveryOtherByte) {
  const std::string bad = "\xEF\xBF\xBD";
  struct Case {
    const char* name;
    std::string text;
    std::string expected;
  };
  const Case cases[] = {
      {"empty", "", ""},
      {"ASCII with controls", std::string("a\n\0z\x7F", 5), std::string("a\n\0z\x7F", 5)},
      {"two, three and four bytes", "é€😀", "é€😀"},
      {"the ends of the ranges", "\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF4\x8F\xBF\xBF",
       "\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF4\x8F\xBF\xBF"},
      {"a lone continuation", "a\x80z", "a" + bad + "z"},
      {"cut off at the end", "a\xE2\x82", "a" + bad + bad},
      {"overlong slash", "\xC0\xAF", bad + bad},
      {"overlong three bytes", "\xE0\x9F\xBF", bad + bad + bad},
      {"overlong four bytes", "\xF0\x8F\xBF\xBF", bad + bad + bad + bad},
      {"surrogate", "\xED\xA0\x80", bad + bad + bad},
      {"above the last code point", "\xF4\x90\x80\x80", bad + bad + bad + bad},
      {"a byte that never occurs", "\xFF", bad},
      {"a good character after a cut one", "\xE2\x82é", bad + bad + "é"},
  };
  for (const Case& c : cases) EXPECT_EQ(ValidUtf8(c.text), c.expected) << c.name;
}

TEST(Families, LeavesOutFamiliesWithoutSeries) {
  Families families({});
  families.Counter("first_total", "Empty.");
  families.Counter("second_total", "Has one.");
  families.Add({}, 1.0);
  families.Gauge("third", "Empty.");
  const std::vector<prometheus::MetricFamily> taken = families.Take();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].name, "second_total");
}

TEST(Families, BucketsOfAHistogramAccumulate) {
  DurationSums sums;
  sums.buckets[0] = 2;
  sums.buckets[3] = 5;
  sums.buckets[kDurationBoundsNs.size()] = 1;  // +Inf
  sums.sum_ns = 1'500'000'000;
  Families families({});
  families.Histogram("wait_seconds", "A histogram.");
  families.Add({}, sums);
  const prometheus::ClientMetric::Histogram histogram = families.Take()[0].metric[0].histogram;
  ASSERT_EQ(histogram.bucket.size(), kDurationBoundsNs.size() + 1);
  EXPECT_EQ(histogram.bucket[0].cumulative_count, 2U);
  EXPECT_EQ(histogram.bucket[2].cumulative_count, 2U);
  EXPECT_EQ(histogram.bucket[3].cumulative_count, 7U);
  EXPECT_EQ(histogram.bucket[kDurationBoundsNs.size() - 1].cumulative_count, 7U);
  EXPECT_EQ(histogram.bucket.back().cumulative_count, 8U);
  EXPECT_EQ(histogram.sample_count, 8U);
  EXPECT_DOUBLE_EQ(histogram.sample_sum, 1.5);
}

TEST(CheckTags, AcceptsLabelNamesAndAnyUtf8Value) {
  const Tag tags[] = {{"env", "prod \"eu\"\n"}, {"_region2", ""}, {"Team", "é"}};
  EXPECT_TRUE(CheckTags(tags).ok()) << CheckTags(tags);
  EXPECT_TRUE(CheckTags({}).ok());
}

TEST(CheckTags, NamesEveryProblem) {
  const Tag tags[] = {{"pod-name", "a"}, {"", "b"},    {"__name__", "c"}, {"2nd", "d"},
                      {"domain", "e"},   {"env", "f"}, {"env", "g"},      {"raw", "\xFF"}};
  const absl::Status status = CheckTags(tags);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message().data(), status.message().size());
  for (const char* part :
       {"'pod-name': a name is", "'': a name is", "'__name__': a name is", "'2nd': a name is",
        "'domain': Weir uses", "'env': given twice", "'raw': the value is not UTF-8"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " not in " << message;
  }
}

}  // namespace
}  // namespace weir
