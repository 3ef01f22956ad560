#include "limiter/store/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace weir {
namespace {

using ::testing::UnorderedElementsAre;

struct Thing {
  explicit Thing(int n) : number(n) {}
  const int number;
};

TEST(Pool, MakesOneWhenAllOthersAreOut) {
  Pool<Thing> pool;
  Thing& first = pool.Take(1);
  Thing& second = pool.Take(2);
  EXPECT_EQ(first.number, 1);
  EXPECT_EQ(second.number, 2);
  EXPECT_EQ(pool.out(), 2U);
}

TEST(Pool, GivesWhatWasPutBackAgain) {
  Pool<Thing> pool;
  Thing& first = pool.Take(1);
  Thing& second = pool.Take(2);
  pool.Put(second);
  pool.Put(first);
  EXPECT_EQ(pool.out(), 0U);
  const std::vector<const Thing*> again = {&pool.Take(3), &pool.Take(4)};
  EXPECT_THAT(again, UnorderedElementsAre(&first, &second));
  EXPECT_EQ(pool.Take(5).number, 5);
  EXPECT_EQ(pool.out(), 3U);
}

TEST(Pool, WhatIsOutStaysWhereItIs) {
  Pool<Thing> pool;
  const Thing& first = pool.Take(0);
  for (int i = 1; i < 1'000; ++i) pool.Take(i);
  EXPECT_EQ(first.number, 0);
  EXPECT_EQ(pool.out(), 1'000U);
}

}  // namespace
}  // namespace weir
