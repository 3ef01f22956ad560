#include "tests/sim/options.h"

#include <algorithm>
#include <cstdio>

namespace weir::sim {
namespace {

LimitSpec DrawLimit(Rng& rng) {
  LimitSpec spec;
  spec.algorithm =
      rng.Pick({Algorithm::kTokenBucket, Algorithm::kSlidingWindow, Algorithm::kFixedWindow});
  spec.hits = rng.Pick<uint32_t>({1, 2, 3, 5, 10, 20, 50, 100, 300});
  spec.window_ns = rng.Pick<int64_t>({kSecond, kSecond, 2 * kSecond, 10 * kSecond, 60 * kSecond});
  if (spec.algorithm == Algorithm::kTokenBucket && rng.Chance(0.5)) {
    spec.burst = rng.Pick<uint32_t>({1, 2, 3, 5, 10, 50});
  }
  spec.precision = rng.Pick<uint32_t>({1, 2, 3, 10, 10, 60});
  return spec;
}

void DrawNetwork(Rng& rng, SimOptions& options) {
  Network& network = options.network;
  network.delay_ns = rng.Pick<int64_t>({20 * kUs, 100 * kUs, 500 * kUs, 3 * kMs, 30 * kMs});
  network.jitter_ns = rng.Pick<int64_t>({1 * kUs, 50 * kUs, 1 * kMs, 10 * kMs});
  if (rng.Chance(0.4)) {
    network.tail = rng.Pick({0.001, 0.01, 0.1});
    network.tail_ns = rng.Pick<int64_t>({10 * kMs, 300 * kMs, 3 * kSecond});
  }
  if (rng.Chance(0.4)) network.lost = rng.Pick({0.001, 0.01, 0.2});
  if (rng.Chance(0.3)) network.doubled = rng.Pick({0.01, 0.2});
  network.ordered = rng.Chance(0.5);
  options.link.patience_ns = rng.Pick<int64_t>({100 * kMs, 100 * kMs, kSecond, 30 * kSecond});
  options.link.backoff_ns = rng.Pick<int64_t>({10 * kMs, 500 * kMs});
  options.store_wait_ns = rng.Pick<int64_t>({kMs, 10 * kMs, 10 * kMs, 100 * kMs});
}

void DrawLoad(Rng& rng, LoadOptions& load) {
  load.shape =
      rng.Pick({LoadShape::kSteady, LoadShape::kOnOff, LoadShape::kFlashCrowd, LoadShape::kEdges});
  load.demand = rng.Pick({0.5, 1.1, 2.0, 10.0});
  if (rng.Chance(0.4)) load.odd_costs = rng.Pick({0.02, 0.3});
  if (rng.Chance(0.3)) load.node_skew = 0.9;
  load.zipf = rng.Chance(0.7);
  if (rng.Chance(0.3)) load.pairs = 0.3;
  if (rng.Chance(0.6)) load.holders = rng.Pick({0.1, 1.0});
}

void DrawFaults(Rng& rng, SimOptions& options) {
  FaultOptions& faults = options.faults;
  const int64_t run_ns = options.duration_ns;
  faults.longest_ns = std::min(run_ns / 4, rng.Pick<int64_t>({20 * kMs, kSecond, 20 * kSecond}));
  for (int64_t* const every_ns :
       {&faults.pause_ns, &faults.kill_ns, &faults.wall_step_ns, &faults.cut_ns, &faults.slow_ns,
        &faults.freeze_ns, &faults.store_step_ns, &faults.fail_over_ns, &faults.split_ns,
        &faults.restart_ns}) {
    if (rng.Chance(0.3)) *every_ns = run_ns / rng.Between(1, 8);
  }
}

}  // namespace

KeySpec MakeKey(const LimitSpec& limit, uint64_t index) {
  KeySpec spec;
  MakeLimit(limit, &spec.limit);
  spec.key = {index * 0x9e3779b97f4a7c15ULL + 1, index};
  spec.store_key = StoreKey("", spec.key);
  return spec;
}

int64_t MemoryNs(const Limit& limit) {
  const int64_t memory_ns = limit.algorithm == Algorithm::kTokenBucket
                                ? limit.burst_ns
                                : limit.window_ns + limit.bucket_ns;
  return memory_ns + LeaseLifeMaxNs(limit);
}

SimOptions CalmOptions(uint64_t seed, int nodes, const LimitSpec& limit) {
  SimOptions options;
  options.seed = seed;
  options.nodes = nodes;
  options.keys.push_back(MakeKey(limit, 0));
  options.duration_ns = 20 * limit.window_ns;
  return options;
}

SimOptions SwarmOptions(uint64_t seed) {
  Rng rng(seed ^ 0x5eed5eed5eed5eedULL);
  SimOptions options;
  options.seed = seed;
  options.nodes = rng.Pick({1, 2, 2, 3, 3, 5, 10});
  const int keys = rng.Pick({1, 1, 1, 2, 5, 20});
  int64_t longest_ns = 0;
  for (int i = 0; i < keys; ++i) {
    options.keys.push_back(MakeKey(DrawLimit(rng), static_cast<uint64_t>(i)));
    longest_ns = std::max(longest_ns, MemoryNs(options.keys.back().limit));
  }
  options.duration_ns = longest_ns * rng.Between(2, 10);
  options.drift_ppm = rng.Pick({0, 50, 450});
  options.on_store_failure = rng.Chance(0.6) ? OnStoreFailure::kDeny : OnStoreFailure::kLocalShare;
  options.charge_denied = rng.Pick(
      {ChargeDenied::kFirst, ChargeDenied::kFirst, ChargeDenied::kOverOnly, ChargeDenied::kNever});
  DrawNetwork(rng, options);
  DrawLoad(rng, options.load);
  DrawFaults(rng, options);
  options.lease.target_life_ns = rng.Pick<int64_t>({200 * kMs, 200 * kMs, 4 * kSecond});
  options.lease.share = rng.Pick<uint32_t>({8, 8, 4});
  options.rare = rng.Pick({0.0, 0.0, 0.003, 0.03});
  // Not both: leases that rare branches waste may deny where all would fit (seed 4992635).
  if (options.load.pairs > 0) options.rare = 0;
  options.waiting_max = rng.Pick<std::size_t>({1'000, 1'000, 1'000, 30});
  return options;
}

std::string Describe(const SimOptions& options) {
  std::string text = "seed " + std::to_string(options.seed) + ": nodes " +
                     std::to_string(options.nodes) + ", keys";
  for (const KeySpec& spec : options.keys) {
    const Limit& limit = spec.limit;
    text += std::string(" ") + AlgorithmName(limit.algorithm) + "(" + std::to_string(limit.hits) +
            "/" + std::to_string(limit.window_ns / kMs) + "ms";
    if (limit.algorithm == Algorithm::kTokenBucket) text += ",B=" + std::to_string(limit.capacity);
    if (limit.precision > 0) text += ",Bk=" + std::to_string(limit.precision);
    text += ")";
  }
  const auto add = [&text](const char* name, double value) {
    char number[64];
    std::snprintf(number, sizeof(number), ", %s %g", name, value);
    if (value != 0) text += number;
  };
  add("duration_s", static_cast<double>(options.duration_ns) / kSecond);
  add("drift_ppm", static_cast<double>(options.drift_ppm));
  add("store_wait_ms", static_cast<double>(options.store_wait_ns) / kMs);
  add("lease_target_life_ms", static_cast<double>(options.lease.target_life_ns) / kMs);
  add("lease_share", static_cast<double>(options.lease.share));
  add("rare", options.rare);
  add("waiting_max", static_cast<double>(options.waiting_max));
  add("policy", static_cast<double>(options.on_store_failure));
  add("charge_denied", static_cast<double>(options.charge_denied));
  const Network& network = options.network;
  add("delay_us", static_cast<double>(network.delay_ns) / kUs);
  add("jitter_us", static_cast<double>(network.jitter_ns) / kUs);
  add("tail", network.tail);
  add("tail_ms", static_cast<double>(network.tail_ns) / kMs);
  add("lost", network.lost);
  add("doubled", network.doubled);
  add("ordered", network.ordered ? 1 : 0);
  add("patience_ms", static_cast<double>(options.link.patience_ns) / kMs);
  const LoadOptions& load = options.load;
  add("shape", static_cast<double>(load.shape));
  add("demand", load.demand);
  add("odd_costs", load.odd_costs);
  add("node_skew", load.node_skew);
  add("pairs", load.pairs);
  add("holders", load.holders);
  const FaultOptions& faults = options.faults;
  const auto add_s = [&add](const char* name, int64_t ns) {
    add(name, static_cast<double>(ns) / kSecond);
  };
  add_s("pause_s", faults.pause_ns);
  add_s("kill_s", faults.kill_ns);
  add_s("wall_step_s", faults.wall_step_ns);
  add_s("cut_s", faults.cut_ns);
  add_s("slow_s", faults.slow_ns);
  add_s("freeze_s", faults.freeze_ns);
  add_s("store_step_s", faults.store_step_ns);
  add_s("fail_over_s", faults.fail_over_ns);
  add_s("split_s", faults.split_ns);
  add_s("restart_s", faults.restart_ns);
  add_s("longest_s", faults.longest_ns);
  return text;
}

}  // namespace weir::sim
