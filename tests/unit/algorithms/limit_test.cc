#include "algorithms/limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace weir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kYearNs = 365 * 86'400 * kSecondNs;

std::vector<std::string> Problems(const LimitSpec& spec) {
  Limit limit;
  return MakeLimit(spec, &limit);
}

TEST(MakeLimit, RoundsTheEmissionIntervalUp) {
  struct Case {
    const char* name;
    uint32_t hits;
    int64_t window_ns;
    int64_t want_emission_ns;
  };
  constexpr Case kCases[] = {
      {"exact", 4, 12, 3},
      {"a third left over", 3, 10, 4},
      {"almost one left over", 10, 101, 11},
      {"one hit a window", 1, kSecondNs, kSecondNs},
      {"the fastest rate", 1'000'000'000, kSecondNs, 1},
      {"just below the fastest rate", 999'999'999, kSecondNs, 2},
      {"3 million a second", 3'000'000, kSecondNs, 334},
      {"a year", 1'000, kYearNs, kYearNs / 1'000},
      {"the largest limit in a year", UINT32_MAX, kYearNs, 7'342'548},
  };
  for (const Case& c : kCases) {
    Limit limit;
    const LimitSpec spec = {
        .algorithm = Algorithm::kTokenBucket, .hits = c.hits, .window_ns = c.window_ns};
    EXPECT_THAT(MakeLimit(spec, &limit), IsEmpty()) << c.name;
    EXPECT_EQ(limit.emission_ns, c.want_emission_ns) << c.name;
    EXPECT_EQ(limit.burst_ns, c.want_emission_ns * c.hits) << c.name;
  }
}

TEST(MakeLimit, TakesTheLimitAsBurstWhereNoneIsGiven) {
  Limit limit;
  LimitSpec spec = {.algorithm = Algorithm::kTokenBucket, .hits = 7, .window_ns = kSecondNs};
  EXPECT_THAT(MakeLimit(spec, &limit), IsEmpty());
  EXPECT_EQ(limit.capacity, 7u);
  spec.burst = 20;
  EXPECT_THAT(MakeLimit(spec, &limit), IsEmpty());
  EXPECT_EQ(limit.capacity, 20u);
}

TEST(MakeLimit, GivesABanNoCapacityWhateverItsBurst) {
  for (const Algorithm algorithm :
       {Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kTokenBucket}) {
    Limit limit;
    EXPECT_THAT(MakeLimit({.algorithm = algorithm, .window_ns = kSecondNs, .burst = 5}, &limit),
                IsEmpty());
    EXPECT_EQ(limit.capacity, 0u) << AlgorithmName(algorithm);
  }
}

TEST(MakeLimit, RoundsTheSubBucketUpSoThatTheyCoverTheWindow) {
  for (const uint32_t precision : {1u, 2u, 3u, 7u, 10u, 99u, 100u}) {
    for (const int64_t window_ns : {int64_t{1}, int64_t{10}, kSecondNs, kYearNs, kWindowMaxNs}) {
      Limit limit;
      EXPECT_THAT(MakeLimit({.algorithm = Algorithm::kSlidingWindow,
                             .hits = 1,
                             .window_ns = window_ns,
                             .precision = precision},
                            &limit),
                  IsEmpty());
      EXPECT_GE(limit.bucket_ns * precision, window_ns);
      EXPECT_LT((limit.bucket_ns - 1) * precision, window_ns);
    }
  }
}

TEST(MakeLimit, RefusesARateOfMoreThanOneHitPerNanosecond) {
  const auto problem =
      ElementsAre("token_bucket rate is too high: at most 1000000000 hits per second");
  const LimitSpec spec = {
      .algorithm = Algorithm::kTokenBucket, .hits = 1'000'000'001, .window_ns = kSecondNs};
  EXPECT_THAT(Problems(spec), problem);
  LimitSpec counted = spec;
  counted.algorithm = Algorithm::kFixedWindow;
  EXPECT_THAT(Problems(counted), IsEmpty()) << "a count has no such bound";
}

TEST(MakeLimit, RefusesABucketThatTakesTooLongToRefill) {
  // kWindowMaxNs is 2^61 ns: with one hit per 2^60 ns a burst of two is the last that fits.
  LimitSpec spec = {
      .algorithm = Algorithm::kTokenBucket, .hits = 1, .window_ns = int64_t{1} << 60, .burst = 2};
  EXPECT_THAT(Problems(spec), IsEmpty());
  spec.burst = 3;
  EXPECT_THAT(Problems(spec), testing::SizeIs(1));
  spec.burst = UINT32_MAX;  // B*E is beyond 2^64
  EXPECT_THAT(Problems(spec), testing::SizeIs(1));
}

TEST(MakeLimit, RefusesAWindowThatIsNotPositiveOrTooLong) {
  for (const Algorithm algorithm :
       {Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kTokenBucket}) {
    LimitSpec spec = {.algorithm = algorithm, .hits = 1};
    for (const int64_t window_ns : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
      spec.window_ns = window_ns;
      EXPECT_THAT(Problems(spec), ElementsAre("rate limit window should be positive"));
    }
    for (const int64_t window_ns : {kWindowMaxNs + 1, INT64_MAX}) {
      spec.window_ns = window_ns;
      EXPECT_THAT(Problems(spec),
                  ElementsAre(testing::StartsWith("rate limit window is too long: ")));
    }
    spec.window_ns = kWindowMaxNs;
    EXPECT_THAT(Problems(spec), IsEmpty()) << AlgorithmName(algorithm);
  }
}

TEST(MakeLimit, RefusesAPrecisionOutsideOneToAHundred) {
  LimitSpec spec = {.algorithm = Algorithm::kSlidingWindow, .hits = 1, .window_ns = kSecondNs};
  for (const uint32_t precision : {0u, 101u, UINT32_MAX}) {
    spec.precision = precision;
    EXPECT_THAT(Problems(spec), ElementsAre("precision should be between 1 and 100, but found " +
                                            std::to_string(precision)));
  }
  for (const uint32_t precision : {1u, 100u}) {
    spec.precision = precision;
    EXPECT_THAT(Problems(spec), IsEmpty());
  }
  spec.algorithm = Algorithm::kFixedWindow;
  spec.precision = 0;
  EXPECT_THAT(Problems(spec), IsEmpty()) << "only a sliding window has sub-buckets";
}

TEST(MakeLimit, ForgetsWhatTheLimitWasBefore) {
  Limit limit;
  EXPECT_THAT(MakeLimit({.algorithm = Algorithm::kTokenBucket, .hits = 3, .window_ns = 10}, &limit),
              IsEmpty());
  EXPECT_THAT(MakeLimit({.hits = 5, .window_ns = 20}, &limit), IsEmpty());
  const Limit want = {.hits = 5, .capacity = 5, .window_ns = 20};
  EXPECT_EQ(limit, want);
}

TEST(AlgorithmName, IsTheSpellingOfRuleFiles) {
  EXPECT_STREQ(AlgorithmName(Algorithm::kFixedWindow), "fixed_window");
  EXPECT_STREQ(AlgorithmName(Algorithm::kSlidingWindow), "sliding_window");
  EXPECT_STREQ(AlgorithmName(Algorithm::kTokenBucket), "token_bucket");
}

}  // namespace
}  // namespace weir
