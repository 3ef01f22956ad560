// The exhaustive mode: no interleaving of a small fleet breaks the promise, and each rule is
// needed.

#include "tests/sim/explore.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/swarm.h"

namespace weir::sim {
namespace {

constexpr uint64_t kStatesMax = 30'000'000;

void Print(const char* name, const ExploreOptions& options, const ExploreResult& result) {
  std::printf(
      "%s, %s: nodes %d, limit %d, window %d, life %d, want %d%s%s%s: %llu states, "
      "%llu transitions%s%s\n",
      name, AlgorithmName(options.algorithm), options.nodes, options.hits, options.window,
      options.life, options.want, options.fails_over ? ", failover" : "",
      options.doubles ? ", doubled calls" : "", options.gives_back ? ", gives back" : "",
      static_cast<unsigned long long>(result.states),
      static_cast<unsigned long long>(result.transitions),
      result.counterexample.empty() ? "" : ": ", result.counterexample.c_str());
}

void ExpectKept(const ExploreOptions& options) {
  const ExploreResult result = Explore(options, kStatesMax);
  Print("kept", options, result);
  EXPECT_TRUE(result.complete) << "the search was cut";
  EXPECT_EQ(result.counterexample, "");
  EXPECT_GT(result.states, 100U);
}

void ExpectBroken(const char* rule, const ExploreOptions& options) {
  const ExploreResult result = Explore(options, kStatesMax);
  Print(rule, options, result);
  EXPECT_NE(result.counterexample, "") << rule;
}

TEST(Explore, TokenBucketKeepsThePromise) {
  ExpectKept({.nodes = 2, .hits = 4, .life = 2, .want = 4});
  ExpectKept({.nodes = 2, .hits = 4, .life = 3, .want = 3, .doubles = true});
  ExpectKept({.nodes = 2, .hits = 4, .life = 2, .want = 3, .fails_over = true});
  ExpectKept({.nodes = 3, .hits = 3, .life = 2, .want = 2});
  ExpectKept({.nodes = 3, .hits = 3, .life = 2, .want = 2, .fails_over = true});
}

TEST(Explore, SlidingWindowKeepsThePromise) {
  const Algorithm algorithm = Algorithm::kSlidingWindow;
  ExpectKept({.algorithm = algorithm, .hits = 2, .window = 3, .life = 2, .want = 2});
  ExpectKept({.algorithm = algorithm, .hits = 3, .window = 4, .bucket = 2, .life = 3, .want = 3});
  ExpectKept({.algorithm = algorithm, .hits = 2, .window = 3, .life = 2, .fails_over = true});
  ExpectKept({.algorithm = algorithm, .nodes = 3, .hits = 2, .window = 2, .life = 2});
}

TEST(Explore, FixedWindowKeepsThePromise) {
  const Algorithm algorithm = Algorithm::kFixedWindow;
  ExpectKept({.algorithm = algorithm, .hits = 4, .window = 4, .life = 3, .gives_back = true});
  ExpectKept({.algorithm = algorithm, .hits = 3, .life = 2, .doubles = true, .gives_back = true});
  ExpectKept({.algorithm = algorithm, .hits = 3, .life = 2, .fails_over = true});
  ExpectKept({.algorithm = algorithm, .nodes = 3, .hits = 3, .life = 2, .gives_back = true});
}

// The last ones take minutes and gigabytes: only where time is given.
TEST(Explore, LargerFleetsKeepThePromise) {
  ExpectKept({.nodes = 2, .hits = 5, .life = 2, .want = 4});
  if (SimSeconds(1) < 120) return;
  ExpectKept({.nodes = 2, .hits = 4, .life = 2, .want = 3, .fails_over = true, .doubles = true});
  ExpectKept({.nodes = 3, .hits = 4, .life = 2, .want = 3, .doubles = true});
  ExpectKept({.nodes = 3, .hits = 4, .life = 2, .want = 3, .fails_over = true});
  ExpectKept({.nodes = 2, .hits = 5, .life = 3, .want = 4, .fails_over = true});
  ExpectKept({.algorithm = Algorithm::kSlidingWindow, .nodes = 3, .hits = 3, .life = 2});
  ExpectKept({.algorithm = Algorithm::kFixedWindow,
              .nodes = 3,
              .hits = 4,
              .life = 3,
              .want = 3,
              .gives_back = true});
}

TEST(Explore, EachRuleIsNeeded) {
  const Algorithm sliding = Algorithm::kSlidingWindow;
  const Algorithm fixed = Algorithm::kFixedWindow;
  ExpectBroken("charge at grant", {.hits = 4, .life = 2, .post_dated = false});
  ExpectBroken("charge at grant",
               {.algorithm = sliding, .hits = 2, .life = 3, .post_dated = false});
  ExpectBroken("expiry from the receipt", {.hits = 4, .life = 2, .expires_from_send = false});
  ExpectBroken("expiry from the receipt",
               {.algorithm = sliding, .hits = 2, .life = 2, .expires_from_send = false});
  ExpectBroken("expiry from the receipt",
               {.algorithm = fixed, .hits = 3, .life = 2, .expires_from_send = false});
  ExpectBroken("refunds", {.hits = 4, .life = 2, .refunds = true});
  ExpectBroken("outlives its window",
               {.algorithm = fixed, .hits = 3, .life = 2, .dies_with_window = false});
  ExpectBroken(
      "given back before given up",
      {.algorithm = fixed, .hits = 3, .life = 2, .gives_back = true, .zeroed_before_back = false});
}

}  // namespace
}  // namespace weir::sim
