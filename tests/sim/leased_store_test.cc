// The shipped shared store with leases: under every fault, never more than the promise.

#include <gtest/gtest.h>

#include "tests/sim/run.h"
#include "tests/sim/schemes.h"
#include "tests/sim/swarm.h"

namespace weir::sim {
namespace {

constexpr const char* kScheme = "shared_store_leased";

TEST(LeasedStore, AdmitsNearlyAllThatFitsWithFewerCallsAndNeverMore) {
  for (const Algorithm algorithm :
       {Algorithm::kTokenBucket, Algorithm::kSlidingWindow, Algorithm::kFixedWindow}) {
    for (const int nodes : {1, 3, 10}) {
      const SimOptions options = CalmOptions(
          1, nodes, {.algorithm = algorithm, .hits = 200, .window_ns = kSecond, .burst = 200});
      const RunResult result = Simulate(options, SchemeNamed(kScheme), {});
      EXPECT_TRUE(result.violations.empty()) << result.violations.front();
      const auto requests = static_cast<double>(result.counts.requests);
      EXPECT_GE(static_cast<double>(result.counts.admitted_hits), 0.88 * requests)
          << AlgorithmName(algorithm) << ", nodes " << nodes;
      EXPECT_LT(static_cast<double>(result.store_calls), nodes == 1 ? 0.4 * requests : requests)
          << AlgorithmName(algorithm) << ", nodes " << nodes;
    }
  }
}

TEST(LeasedStore, NeverAdmitsMoreUnderAnyFault) {
  const SwarmResult sum = ExpectNoViolation(kScheme, SimSeconds(0.6));
  EXPECT_GT(sum.runs, 2U);  // sanitizers are slow
}

}  // namespace
}  // namespace weir::sim
