#include "tests/sim/run.h"

#include <algorithm>
#include <utility>

#include "tests/sim/faults.h"
#include "tests/sim/judge.h"
#include "tests/sim/load.h"

namespace weir::sim {
namespace {

// The nodes find the store again within a few tries.
constexpr int64_t kBackoffNs = 2 * kSecond;

// What one node of `nodes` may give while it is cut off: the rate divided exactly, the burst and
// the hits of a window rounded down.
Limit ShareOf(const Limit& limit, int nodes) {
  const auto n = static_cast<uint32_t>(nodes);
  const bool bucket = limit.algorithm == Algorithm::kTokenBucket;
  const LimitSpec spec = {.algorithm = limit.algorithm,
                          .hits = bucket ? limit.hits : limit.hits / n,
                          .window_ns = bucket ? limit.window_ns * nodes : limit.window_ns,
                          .burst = limit.capacity / n,
                          .precision = std::max(limit.precision, 1U)};
  Limit share;
  if (spec.burst > 0) MakeLimit(spec, &share);
  return share;
}

// The share of a window begins with what the process itself admitted in it: the most hits by which
// all it admitted so far was above the share when the policy admitted some.
uint64_t AboveShare(const Limit& share, const std::vector<Fleet::OwnAdmission>& own) {
  uint64_t above = 0;
  uint64_t inside = 0;
  std::size_t first = 0;
  for (std::size_t at = 0; at < own.size(); ++at) {
    const Fleet::OwnAdmission& last = own[at];
    const StoreTime& now = last.admission.time;
    const auto left = [&](const StoreTime& time) {
      return share.algorithm == Algorithm::kFixedWindow
                 ? time.wall_ns / share.window_ns != now.wall_ns / share.window_ns
                 : time.mono_ns <= now.mono_ns - share.window_ns;
    };
    inside += last.admission.hits;
    for (; first <= at && left(own[first].admission.time); ++first) {
      inside -= own[first].admission.hits;
    }
    if (!last.by_policy || inside <= share.hits) continue;
    uint64_t surely = 0;
    for (std::size_t i = first; i <= at; ++i) {
      if (!left(own[i].earliest)) surely += own[i].admission.hits;
    }
    if (surely > share.hits) above = std::max(above, surely - share.hits);
  }
  return above;
}

void JudgeShares(const SimOptions& options, const Fleet& fleet, RunResult& result) {
  for (const auto& [which, own] : fleet.own()) {
    const auto [node, incarnation, key] = which;
    const Limit share = ShareOf(options.keys[static_cast<std::size_t>(key)].limit, options.nodes);
    uint64_t excess = 0;
    if (share.algorithm == Algorithm::kTokenBucket || share.capacity == 0) {
      std::vector<Admission> by_policy;
      for (const Fleet::OwnAdmission& one : own) {
        if (one.by_policy) by_policy.push_back(one.admission);
      }
      excess = Judge(share, by_policy, {}).excess;
    } else if (share.algorithm == Algorithm::kSlidingWindow || !fleet.wall_stepped(node)) {
      // A wall clock that steps makes windows of its own.
      excess = AboveShare(share, own);
    }
    if (excess == 0) continue;
    result.violations.push_back("local share of node " + std::to_string(node) + " key " +
                                std::to_string(key) + ": " + std::to_string(excess) + " too many");
  }
}

// I2 and I9, over the merged log of all nodes.
void JudgeAll(const SimOptions& options, const SimStore& store, const Fleet& fleet,
              RunResult& result) {
  for (std::size_t key = 0; key < options.keys.size(); ++key) {
    const Limit& limit = options.keys[key].limit;
    const std::vector<Allowance> allowances =
        AllowancesOf(store.exceptions(), key, LeaseLifeMaxNs(limit));
    const Judgement judgement = Judge(limit, fleet.admissions()[key], allowances);
    result.worst_ratio = std::max(result.worst_ratio, judgement.worst_ratio);
    result.excess = std::max(result.excess, judgement.excess);
    if (judgement.excess == 0) continue;
    result.violations.push_back(
        "key " + std::to_string(key) + " (" + AlgorithmName(limit.algorithm) +
        "): " + std::to_string(judgement.excess) + " hits too many: " + judgement.where);
  }
  JudgeShares(options, fleet, result);
}

}  // namespace

RunResult Simulate(const SimOptions& options, const MakeScheme& make_scheme,
                   const RunOptions& how) {
  World world(options.seed, how.trace);
  const int64_t drift_ppm = world.rng().Between(-options.drift_ppm, options.drift_ppm);
  SimStore store(world, options.keys, options.nodes, drift_ppm);
  Fleet fleet(world, store, options, make_scheme);
  Load load(world, store, fleet, options);
  Faults faults(world, store, fleet, options);
  // The nodes meet the store first.
  world.RunUntil(kSecond);

  const int64_t safety_end_ns = world.now_ns() + options.duration_ns;
  world.SetRare(options.rare);
  if (how.plan) how.plan(world, store, fleet);
  load.Start(safety_end_ns);
  faults.Start(safety_end_ns);
  world.RunUntil(safety_end_ns);
  faults.Heal();
  world.SetRare(0);

  if (how.liveness) {
    int64_t memory_ns = 0;
    for (const KeySpec& spec : options.keys) memory_ns = std::max(memory_ns, MemoryNs(spec.limit));
    // A clock that stepped back lets hits count once more, from then on.
    const int64_t settled_ns =
        world.now_ns() + 2 * memory_ns + kBackoffNs + options.link.patience_ns;
    load.StartHalfRate(settled_ns + memory_ns);
    world.RunUntil(settled_ns);
    fleet.ExpectAllAdmitted();
    world.RunUntil(settled_ns + memory_ns + options.store_wait_ns);
  }

  RunResult result;
  result.violations = fleet.violations();
  if (!store.broken().empty()) result.violations.push_back(store.broken());
  for (int i = 0; i < fleet.size(); ++i) {
    const std::string broken = fleet.node(i).scheme->Broken();
    if (!broken.empty()) result.violations.push_back("node " + std::to_string(i) + ": " + broken);
  }
  JudgeAll(options, store, fleet, result);
  result.counts = fleet.counts();
  result.events = world.events();
  result.store_calls = store.calls();
  result.simulated_ns = world.now_ns();
  return result;
}

}  // namespace weir::sim
