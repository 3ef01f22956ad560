#include "limiter/core/unit.h"

#include <gtest/gtest.h>

#include <optional>

namespace weir {
namespace {

TEST(Unit, HasTheLengthsOfTheReference) {
  EXPECT_EQ(UnitSeconds(Unit::kSecond), 1);
  EXPECT_EQ(UnitSeconds(Unit::kMinute), 60);
  EXPECT_EQ(UnitSeconds(Unit::kHour), 3600);
  EXPECT_EQ(UnitSeconds(Unit::kDay), 86400);
  EXPECT_EQ(UnitSeconds(Unit::kWeek), 604800);
  EXPECT_EQ(UnitSeconds(Unit::kMonth), 2592000);
  EXPECT_EQ(UnitSeconds(Unit::kYear), 31536000);
  EXPECT_EQ(UnitSeconds(Unit::kUnknown), 0);
}

TEST(Unit, HasTheNumbersOfTheWire) {
  EXPECT_EQ(static_cast<int>(Unit::kUnknown), 0);
  EXPECT_EQ(static_cast<int>(Unit::kSecond), 1);
  EXPECT_EQ(static_cast<int>(Unit::kMinute), 2);
  EXPECT_EQ(static_cast<int>(Unit::kHour), 3);
  EXPECT_EQ(static_cast<int>(Unit::kDay), 4);
  EXPECT_EQ(static_cast<int>(Unit::kMonth), 5);
  EXPECT_EQ(static_cast<int>(Unit::kYear), 6);
  EXPECT_EQ(static_cast<int>(Unit::kWeek), 7);
}

TEST(Unit, ParsesItsNameInAnyCase) {
  for (int i = 1; i <= 7; ++i) {
    const Unit unit = static_cast<Unit>(i);
    EXPECT_EQ(ParseUnit(UnitName(unit)), unit);
  }
  EXPECT_EQ(ParseUnit("second"), Unit::kSecond);
  EXPECT_EQ(ParseUnit("WeEk"), Unit::kWeek);
}

TEST(Unit, RefusesOtherNames) {
  for (const char* name : {"", "unknown", "UNKNOWN", "seconds", "second ", "sec"}) {
    EXPECT_EQ(ParseUnit(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace weir
