// What must hold of every number of leases, on small trials.

#include <gtest/gtest.h>

#include "tests/sim/trial.h"

namespace weir::sim {
namespace {

// Without any fault the store answers: nobody waits for lease after lease until the failure policy
// answers instead. A bucket that is nearly empty between bursts leases little at a time.
TEST(Experiment, NobodyIsAnsweredByThePolicyBesideAStoreThatIsWell) {
  for (const int nodes : {1, 3}) {
    Trial trial;
    trial.limit = {.algorithm = Algorithm::kTokenBucket,
                   .hits = 10'000,
                   .window_ns = kSecond,
                   .burst = 10'000};
    trial.nodes = nodes;
    trial.demand = 0.9;
    trial.arrivals = Arrivals::kOnOff;
    trial.duration_ns = 10 * kSecond;
    const Measured m = Measure(trial);
    EXPECT_EQ(m.by_policy, 0U) << "nodes " << nodes;
    EXPECT_EQ(m.excess, 0U) << "nodes " << nodes;
    EXPECT_GT(m.requests, 80'000U);
    EXPECT_GT(m.admitted, m.central / 2);
  }
}

TEST(Experiment, AFleetAdmitsWhatOneCentralLimiterDoes) {
  Trial trial;
  trial.limit = {.algorithm = Algorithm::kFixedWindow, .hits = 1'000, .window_ns = kSecond};
  trial.nodes = 10;
  trial.duration_ns = 5 * kSecond;
  const Measured leased = Measure(trial);
  EXPECT_EQ(leased.excess, 0U);
  EXPECT_LE(leased.worst_ratio, 1);
  EXPECT_GE(static_cast<double>(leased.admitted), 0.95 * static_cast<double>(leased.central));
  EXPECT_GE(leased.jain, 0.95);
  // The same judge finds what counts that are synchronized now and then admit.
  trial.scheme = "local_count";
  const Measured naive = Measure(trial);
  EXPECT_GT(naive.excess, 0U);
  EXPECT_EQ(naive.central, leased.central) << "not the same arrivals";
}

}  // namespace
}  // namespace weir::sim
