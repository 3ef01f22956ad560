// weir_sim: the simulator's tests, and one run at a time by its seed.
//
//   weir_sim                                    all tests
//   weir_sim --seed N [--scheme NAME] [--trace] one run, with what happened
//   weir_sim --experiment NAME [--csv]          tables of numbers (experiment.h)

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/experiment.h"
#include "tests/sim/run.h"
#include "tests/sim/schemes.h"

namespace weir::sim {
namespace {

int Replay(uint64_t seed, const std::string& scheme, bool trace) {
  const MakeScheme make_scheme = SchemeNamed(scheme);
  if (!make_scheme) {
    std::fprintf(stderr, "no scheme is named %s\n", scheme.c_str());
    return 2;
  }
  const SimOptions options = SwarmOptions(seed);
  std::printf("%s\n", Describe(options).c_str());
  const RunResult result = Simulate(options, make_scheme, {.trace = trace, .plan = {}});
  std::printf("%llu requests, %llu hits admitted, worst interval %.3f of its limit, %llu calls\n",
              static_cast<unsigned long long>(result.counts.requests),
              static_cast<unsigned long long>(result.counts.admitted_hits), result.worst_ratio,
              static_cast<unsigned long long>(result.store_calls));
  for (const std::string& violation : result.violations) std::printf("%s\n", violation.c_str());
  return result.violations.empty() ? 0 : 1;
}

}  // namespace
}  // namespace weir::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string seed;
  std::string scheme = "shared_store";
  std::string experiment;
  bool trace = false;
  bool csv = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
      seed = argv[++i];
    } else if (std::strcmp(argv[i], "--scheme") == 0 && i + 1 < argc) {
      scheme = argv[++i];
    } else if (std::strcmp(argv[i], "--trace") == 0) {
      trace = true;
    } else if (std::strcmp(argv[i], "--experiment") == 0 && i + 1 < argc) {
      experiment = argv[++i];
    } else if (std::strcmp(argv[i], "--csv") == 0) {
      csv = true;
    } else {
      std::fprintf(
          stderr,
          "usage: weir_sim [--seed N [--scheme NAME] [--trace] | --experiment NAME [--csv]]\n");
      return 2;
    }
  }
  if (!experiment.empty()) return weir::sim::RunExperiments(experiment, csv);
  if (seed.empty()) return RUN_ALL_TESTS();
  return weir::sim::Replay(std::strtoull(seed.c_str(), nullptr, 10), scheme, trace);
}
