#include "limiter/operations/log_repeats.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weir {
namespace {

constexpr int64_t kStartNs = 1'700'000'000'000'000'000;
constexpr int64_t kSecondNs = 1'000'000'000;

TEST(LogRepeats, AFewPassAndTheRestAreOneLine) {
  LogRepeats repeats;
  uint64_t passed = 0;
  for (int i = 0; i < 20; ++i) passed += repeats.Pass(3, "again", kStartNs + i) ? 1 : 0;
  EXPECT_EQ(passed, LogRepeats::kPassing);
  EXPECT_TRUE(repeats.Expire(kStartNs + LogRepeats::kTimeNs - 1).empty());
  const std::vector<LogRepeats::Line> lines = repeats.Expire(kStartNs + LogRepeats::kTimeNs);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].text, "again (repeated 17 times within 10 s)");
  EXPECT_EQ(lines[0].level, 3);
  EXPECT_TRUE(repeats.Pass(3, "again", kStartNs + LogRepeats::kTimeNs));
}

TEST(LogRepeats, WhatWasNotLeftOutEndsWithoutALine) {
  LogRepeats repeats;
  for (uint64_t i = 0; i < LogRepeats::kPassing; ++i) {
    EXPECT_TRUE(repeats.Pass(2, "again", kStartNs));
  }
  EXPECT_TRUE(repeats.Expire(kStartNs + LogRepeats::kTimeNs).empty());
}

TEST(LogRepeats, TextsDoNotAffectEachOther) {
  LogRepeats repeats;
  for (int i = 0; i < 10; ++i) repeats.Pass(2, "one", kStartNs);
  EXPECT_TRUE(repeats.Pass(2, "other", kStartNs));
  EXPECT_FALSE(repeats.Pass(2, "one", kStartNs));
}

TEST(LogRepeats, AClockSetBackEndsTheTime) {
  LogRepeats repeats;
  for (int i = 0; i < 10; ++i) repeats.Pass(2, "again", kStartNs);
  EXPECT_EQ(repeats.Expire(kStartNs - kSecondNs).size(), 1U);
  EXPECT_TRUE(repeats.Pass(2, "again", kStartNs - kSecondNs));
}

TEST(LogRepeats, HoldsSoManyTextsAndNoMore) {
  LogRepeats repeats;
  for (std::size_t i = 0; i < LogRepeats::kTextsMax; ++i) {
    repeats.Pass(2, std::to_string(i), kStartNs);
  }
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(repeats.Pass(2, "one more", kStartNs));
}

}  // namespace
}  // namespace weir
