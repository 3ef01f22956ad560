// The judge against logs whose verdict is plain.

#include "tests/sim/judge.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/sim/options.h"

namespace weir::sim {
namespace {

Limit LimitOf(Algorithm algorithm) {
  return MakeKey({.algorithm = algorithm, .hits = 4, .window_ns = kSecond}, 0).limit;
}

Admission At(int64_t ns, uint64_t hits) { return {{ns, ns}, hits}; }

uint64_t Excess(Algorithm algorithm, const std::vector<Admission>& log,
                const std::vector<Allowance>& allowances = {}) {
  return Judge(LimitOf(algorithm), log, allowances).excess;
}

TEST(Judge, CountsWhatABucketCannotHaveHeld) {
  const Algorithm bucket = Algorithm::kTokenBucket;
  EXPECT_EQ(Excess(bucket, {At(0, 4), At(kSecond / 4, 1), At(kSecond / 2, 1)}), 0U);
  EXPECT_EQ(Excess(bucket, {At(0, 4), At(kSecond / 4 - 1, 1)}), 1U);
  EXPECT_EQ(Excess(bucket, {At(0, 5)}), 1U);
  // The worst interval begins with the second burst: what was before does not count.
  EXPECT_EQ(Excess(bucket, {At(0, 4), At(10 * kSecond, 7)}), 3U);
  EXPECT_EQ(Excess(bucket, {At(0, 2), At(kSecond / 2, 6)}), 2U);
}

TEST(Judge, CountsWhatASlidingWindowHolds) {
  const Algorithm sliding = Algorithm::kSlidingWindow;
  EXPECT_EQ(Excess(sliding, {At(0, 4), At(kSecond, 4), At(2 * kSecond, 4)}), 0U);
  EXPECT_EQ(Excess(sliding, {At(0, 1), At(1, 3), At(kSecond, 2)}), 1U);
}

TEST(Judge, CountsWhatAnAlignedWindowHolds) {
  const Algorithm fixed = Algorithm::kFixedWindow;
  EXPECT_EQ(Excess(fixed, {At(kSecond - 1, 4), At(kSecond, 4)}), 0U);
  EXPECT_EQ(Excess(fixed, {At(0, 4), At(kSecond - 1, 3)}), 3U);
}

TEST(Judge, AnExceptionAddsItsHitsWhereItIsTouchedAndNowhereElse) {
  const std::vector<Allowance> at_ten = {
      {{10 * kSecond, 10 * kSecond}, {11 * kSecond, 11 * kSecond}, 3}};
  for (const Algorithm algorithm :
       {Algorithm::kTokenBucket, Algorithm::kSlidingWindow, Algorithm::kFixedWindow}) {
    EXPECT_EQ(Excess(algorithm, {At(10 * kSecond + 1, 7)}, at_ten), 0U);
    EXPECT_EQ(Excess(algorithm, {At(10 * kSecond + 1, 8)}, at_ten), 1U);
    EXPECT_EQ(Excess(algorithm, {At(5 * kSecond, 7)}, at_ten), 3U);
    EXPECT_EQ(Excess(algorithm, {At(15 * kSecond, 7)}, at_ten), 3U);
    EXPECT_EQ(Excess(algorithm, {At(10 * kSecond + 1, 7), At(15 * kSecond, 7)}, at_ten), 3U);
  }
}

TEST(Judge, ABanAdmitsNothing) {
  const Limit ban = MakeKey({.hits = 0, .window_ns = kSecond}, 0).limit;
  EXPECT_EQ(Judge(ban, {At(0, 2)}, {}).excess, 2U);
}

}  // namespace
}  // namespace weir::sim
