// The same load for every scheme, without any fault: what each admits in its worst interval, over
// what its limit allows.

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/run.h"
#include "tests/sim/schemes.h"

namespace weir::sim {
namespace {

constexpr Algorithm kAlgorithms[] = {Algorithm::kTokenBucket, Algorithm::kSlidingWindow,
                                     Algorithm::kFixedWindow};

struct Worst {
  double ratio = 0;       // largest of all runs
  uint64_t excess = 0;    // hits above the bound, in the same sense
  uint64_t admitted = 0;  // hits of all runs
};

SimOptions Contended(uint64_t seed, Algorithm algorithm, uint32_t hits, LoadShape shape) {
  SimOptions options =
      CalmOptions(seed, 10, {.algorithm = algorithm, .hits = hits, .window_ns = kSecond});
  options.load.demand = 3;
  options.load.shape = shape;
  options.load.holders = 1;
  options.load.requests_max = 10'000;
  return options;
}

Worst WorstOf(const char* scheme, Algorithm algorithm, uint32_t hits, LoadShape shape,
              int64_t kill_ns = 0) {
  Worst worst;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SimOptions options = Contended(seed, algorithm, hits, shape);
    options.faults.kill_ns = kill_ns;
    const RunResult result =
        Simulate(options, SchemeNamed(scheme), {.liveness = false, .plan = {}});
    worst.ratio = std::max(worst.ratio, result.worst_ratio);
    worst.excess = std::max(worst.excess, result.excess);
    worst.admitted += result.counts.admitted_hits;
  }
  std::printf(
      "%-22s %-14s %4u/s, 10 nodes, demand 3: worst interval %.2f of its limit, "
      "%llu hits above\n",
      scheme, AlgorithmName(algorithm), hits, worst.ratio,
      static_cast<unsigned long long>(worst.excess));
  return worst;
}

TEST(Naive, WeirAndTheModelKeepThePromise) {
  for (const char* const scheme : {"shared_store", "shared_store_leased", "lease"}) {
    for (const Algorithm algorithm : kAlgorithms) {
      for (const LoadShape shape : {LoadShape::kSteady, LoadShape::kFlashCrowd}) {
        const Worst worst = WorstOf(scheme, algorithm, 200, shape);
        EXPECT_EQ(worst.excess, 0U) << scheme << " " << AlgorithmName(algorithm);
        EXPECT_LE(worst.ratio, 1);
        EXPECT_GT(worst.ratio, 0.8) << "hardly any load";
      }
    }
  }
}

TEST(Naive, LocalCountsWithPeriodicSyncAdmitTooMuch) {
  for (const Algorithm algorithm : kAlgorithms) {
    const Worst worst = WorstOf("local_count", algorithm, 200, LoadShape::kFlashCrowd);
    EXPECT_GT(worst.ratio, 1.2) << AlgorithmName(algorithm);
    EXPECT_GT(worst.excess, 0U);
  }
}

TEST(Naive, StaticSplitAdmitsTooMuchBelowOneHitPerNode) {
  for (const Algorithm algorithm : kAlgorithms) {
    const Worst worst = WorstOf("static_split", algorithm, 3, LoadShape::kSteady);
    EXPECT_GT(worst.ratio, 2) << AlgorithmName(algorithm);
  }
}

TEST(Naive, StaticSplitAdmitsTooMuchWhenNodesStart) {
  for (const Algorithm algorithm : kAlgorithms) {
    const Worst worst = WorstOf("static_split", algorithm, 200, LoadShape::kSteady, 200 * kMs);
    EXPECT_GT(worst.ratio, 1.1) << AlgorithmName(algorithm);
  }
}

}  // namespace
}  // namespace weir::sim
