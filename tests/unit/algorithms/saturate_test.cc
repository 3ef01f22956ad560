#include "algorithms/saturate.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace weir {
namespace {

TEST(ScaleCapped, StopsAtTheCapInsteadOfWrapping) {
  struct Case {
    const char* name;
    uint64_t hits;
    int64_t unit_ns;
    int64_t cap;
    int64_t want;
  };
  constexpr Case kCases[] = {
      {"nothing", 0, 1'000, 5'000, 0},
      {"a unit of nothing", UINT64_MAX, 0, 5'000, 0},
      {"one below the cap", 4, 1'000, 4'001, 4'000},
      {"exactly the cap", 4, 1'000, 4'000, 4'000},
      {"one above the cap", 4, 1'000, 3'999, 3'999},
      {"a cap of nothing", 4, 1'000, 0, 0},
      {"2^32 hits of an hour", uint64_t{1} << 32, 3'600'000'000'000, INT64_MAX, INT64_MAX},
      {"a product of 2^64, zero if it wrapped", uint64_t{1} << 63, 2, 7, 7},
      {"2^64-1 hits of one", UINT64_MAX, 1, INT64_MAX, INT64_MAX},
      {"the largest of both", UINT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
      {"the largest int64, exact", INT64_MAX, 1, INT64_MAX, INT64_MAX},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(ScaleCapped(c.hits, c.unit_ns, c.cap), c.want) << c.name;
  }
}

TEST(AddCapped, StopsAtTheCapInsteadOfWrapping) {
  struct Case {
    const char* name;
    uint64_t a;
    uint64_t b;
    uint64_t cap;
    uint64_t want;
  };
  constexpr Case kCases[] = {
      {"nothing", 0, 0, 10, 0},
      {"one below the cap", 4, 5, 10, 9},
      {"exactly the cap", 4, 6, 10, 10},
      {"one above the cap", 4, 7, 10, 10},
      {"already at the cap", 10, 1, 10, 10},
      {"2^64-1 more", 4, UINT64_MAX, 10, 10},
      {"a sum of 2^64, zero if it wrapped", 1, UINT64_MAX, UINT64_MAX, UINT64_MAX},
  };
  for (const Case& c : kCases) EXPECT_EQ(AddCapped(c.a, c.b, c.cap), c.want) << c.name;
}

}  // namespace
}  // namespace weir
