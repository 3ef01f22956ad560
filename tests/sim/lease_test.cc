// The lease protocol's model: under every fault never more than the promise; without any one of its
// rules, more.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/sim/run.h"
#include "tests/sim/schemes.h"
#include "tests/sim/swarm.h"

namespace weir::sim {
namespace {

TEST(Lease, NeverAdmitsMoreUnderAnyFault) {
  const SwarmResult sum = ExpectNoViolation("lease", SimSeconds(0.2));
  EXPECT_GT(sum.runs, 2U);  // sanitizers are slow
}

class BrokenLease : public testing::TestWithParam<const char*> {};

TEST_P(BrokenLease, IsFound) {
  const MakeScheme make_scheme = SchemeNamed(GetParam());
  constexpr uint64_t kSeedsMax = 3'000;
  for (uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
    const RunResult result =
        Simulate(SwarmOptions(seed), make_scheme, {.liveness = false, .plan = {}});
    if (result.violations.empty()) continue;
    std::printf("%s: seed %llu, %.2f of the limit, %s\n", GetParam(),
                static_cast<unsigned long long>(seed), result.worst_ratio,
                result.violations.front().c_str());
    return;
  }
  ADD_FAILURE() << GetParam() << " kept the promise in " << kSeedsMax << " runs";
}

INSTANTIATE_TEST_SUITE_P(, BrokenLease,
                         testing::Values("lease_charge_at_grant", "lease_expiry_from_receipt",
                                         "lease_outlives_window", "lease_refunds",
                                         "lease_kept_at_failover", "lease_back_twice"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace weir::sim
