// The shipped shared store, exact mode: under every fault, never more than the promise.

#include <gtest/gtest.h>

#include "tests/sim/run.h"
#include "tests/sim/schemes.h"
#include "tests/sim/swarm.h"

namespace weir::sim {
namespace {

TEST(Exact, AdmitsTheWholeLimitAndNoMoreWithoutFaults) {
  for (const Algorithm algorithm :
       {Algorithm::kTokenBucket, Algorithm::kSlidingWindow, Algorithm::kFixedWindow}) {
    for (const int nodes : {1, 3, 10}) {
      const SimOptions options = CalmOptions(
          1, nodes, {.algorithm = algorithm, .hits = 50, .window_ns = kSecond, .burst = 50});
      const RunResult result = Simulate(options, SchemeNamed("shared_store"), {});
      EXPECT_TRUE(result.violations.empty()) << result.violations.front();
      EXPECT_LE(result.worst_ratio, 1);
      EXPECT_GT(result.worst_ratio, 0.9) << AlgorithmName(algorithm);
      EXPECT_GT(result.counts.requests, 1'500U);
    }
  }
}

TEST(Exact, NeverAdmitsMoreUnderAnyFault) {
  const SwarmResult sum = ExpectNoViolation("shared_store", SimSeconds(0.2));
  EXPECT_GT(sum.runs, 2U);  // sanitizers are slow
  EXPECT_GT(sum.store_calls, sum.runs);
}

}  // namespace
}  // namespace weir::sim
