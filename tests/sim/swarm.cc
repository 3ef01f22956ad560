#include "tests/sim/swarm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/sim/schemes.h"

namespace weir::sim {

double SimSeconds(double share) {
  const char* const text = std::getenv("SIM_SECONDS");
  return (text != nullptr ? std::atof(text) : 20) * share;
}

uint64_t FirstSeed() {
  const char* const text = std::getenv("SIM_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}

SwarmResult ExpectNoViolation(const char* scheme, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  const MakeScheme make_scheme = SchemeNamed(scheme);
  SwarmResult sum;
  uint64_t seed = FirstSeed();
  for (; Clock::now() < end && !testing::Test::HasFailure(); ++seed) {
    const SimOptions options = SwarmOptions(seed);
    const RunResult result = Simulate(options, make_scheme, {});
    for (const std::string& violation : result.violations) ADD_FAILURE() << violation;
    if (!result.violations.empty()) {
      ADD_FAILURE() << Describe(options) << "\nreplay: weir_sim --scheme " << scheme << " --seed "
                    << seed << " --trace";
    }
    ++sum.runs;
    sum.requests += result.counts.requests;
    sum.events += result.events;
    sum.store_calls += result.store_calls;
    sum.simulated_hours += static_cast<double>(result.simulated_ns) / kSecond / 3'600;
    sum.worst_ratio = std::max(sum.worst_ratio, result.worst_ratio);
  }
  std::printf(
      "%s: seeds %llu to %llu, %llu requests, %llu events, %llu store calls, "
      "%.2f simulated hours\n",
      scheme, static_cast<unsigned long long>(FirstSeed()),
      static_cast<unsigned long long>(seed - 1), static_cast<unsigned long long>(sum.requests),
      static_cast<unsigned long long>(sum.events), static_cast<unsigned long long>(sum.store_calls),
      sum.simulated_hours);
  return sum;
}

}  // namespace weir::sim
