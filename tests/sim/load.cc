#include "tests/sim/load.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir::sim {
namespace {

constexpr double kZipf = 0.99;
// A run is to end: no more requests than this of one key in the liveness phase.
constexpr int64_t kHalfRateMax = 300;

}  // namespace

Load::Load(World& world, const SimStore& store, Fleet& fleet, const SimOptions& options)
    : world_(world), store_(store), fleet_(fleet), options_(options) {
  double rate = 0;
  double sum = 0;
  for (std::size_t i = 0; i < options.keys.size(); ++i) {
    const Limit& limit = options.keys[i].limit;
    rate += static_cast<double>(limit.hits) / static_cast<double>(limit.window_ns);
    sum += options.load.zipf ? std::pow(static_cast<double>(i + 1), -kZipf) : 1;
    key_weights_.push_back(sum);
  }
  for (double& weight : key_weights_) weight /= sum;
  mean_ns_ = 1 / (rate * options.load.demand);
  // A longer run at the same demand would be more requests than anyone waits for.
  mean_ns_ = std::max(mean_ns_, static_cast<double>(options.duration_ns) /
                                    static_cast<double>(options.load.requests_max));
}

double Load::Multiplier() const {
  const int64_t passed_ns = world_.now_ns() - begin_ns_;
  const int64_t run_ns = until_ns_ - begin_ns_;
  switch (options_.load.shape) {
    case LoadShape::kSteady:
    case LoadShape::kEdges:
      return 1;
    case LoadShape::kOnOff:
      return passed_ns / (run_ns / 50 + 1) % 10 == 0 ? 10 : 0.05;
    case LoadShape::kFlashCrowd:
      return passed_ns > run_ns / 3 && passed_ns < run_ns / 3 + run_ns / 50 ? 100 : 1;
  }
  return 1;
}

void Load::Start(int64_t until_ns) {
  begin_ns_ = world_.now_ns();
  until_ns_ = until_ns;
  ++phase_;
  asked_ = 0;
  if (options_.load.shape == LoadShape::kEdges) {
    for (int key = 0; key < static_cast<int>(options_.keys.size()); ++key) NextEdge(key);
  } else {
    Next();
  }
}

void Load::Next() {
  const int64_t pause_ns = world_.rng().Exponential(mean_ns_ / Multiplier());
  // The rate changes meanwhile: none waits longer than a part of a phase.
  const int64_t longest_ns = (until_ns_ - begin_ns_) / 200 + 1;
  world_.After(std::min(pause_ns, longest_ns),
               [this, asks = pause_ns <= longest_ns, phase = phase_] {
                 if (phase != phase_ || world_.now_ns() >= until_ns_) return;
                 if (asked_ > 2 * options_.load.requests_max) return;
                 if (asks) AskOne(DrawKey());
                 Next();
               });
}

// A few requests on both sides of the edge of a window, or of half a sub-bucket, of the store.
void Load::NextEdge(int key) {
  const Limit& limit = options_.keys[static_cast<std::size_t>(key)].limit;
  Rng& rng = world_.rng();
  int64_t cell_ns = limit.window_ns;
  if (limit.algorithm == Algorithm::kSlidingWindow && rng.Chance(0.7)) cell_ns = limit.bucket_ns;
  if (limit.algorithm == Algorithm::kTokenBucket) cell_ns = limit.emission_ns;
  if (cell_ns > 1 && rng.Chance(0.2)) cell_ns /= 2;
  const int64_t wall_ns = store_.Now().wall_ns;
  const int64_t edges = rng.Pick<int64_t>({1, 1, 2, 10});
  const int64_t pause_ns = (wall_ns / cell_ns + edges) * cell_ns - wall_ns;
  world_.After(pause_ns, [this, key, phase = phase_] {
    if (phase != phase_ || world_.now_ns() >= until_ns_) return;
    if (asked_ > options_.load.requests_max) return;
    const Limit& asked = options_.keys[static_cast<std::size_t>(key)].limit;
    const uint64_t burst = std::min<uint64_t>(asked.capacity + 2, 60);
    for (uint64_t i = 0; i < burst; ++i) {
      const int64_t near_ns = world_.rng().Pick<int64_t>({0, 1, kUs, kMs, 10 * kMs});
      world_.After(near_ns, [this, key] { AskOne(key); });
    }
    NextEdge(key);
  });
}

void Load::AskOne(int key) {
  ++asked_;
  const int node = DrawNode();
  const uint64_t cost = DrawCost(options_.keys[static_cast<std::size_t>(key)].limit);
  if (world_.rng().Chance(options_.load.pairs)) {
    fleet_.AskPair(node, key, DrawKey(), cost);
  } else {
    fleet_.Ask(node, key, cost);
  }
}

int Load::DrawKey() {
  const double unit = world_.rng().Unit();
  const auto found = std::upper_bound(key_weights_.begin(), key_weights_.end() - 1, unit);
  return static_cast<int>(found - key_weights_.begin());
}

int Load::DrawNode() {
  Rng& rng = world_.rng();
  if (rng.Chance(options_.load.node_skew)) return 0;
  return static_cast<int>(rng.Below(static_cast<uint64_t>(fleet_.size())));
}

uint64_t Load::DrawCost(const Limit& limit) {
  Rng& rng = world_.rng();
  if (!rng.Chance(options_.load.odd_costs)) return 1;
  const uint64_t capacity = limit.capacity;
  return rng.Pick<uint64_t>({0, 2, 3, capacity / 2, capacity, capacity + 1, 65'535, 65'536,
                             kCountMax, std::numeric_limits<uint64_t>::max()});
}

void Load::StartHalfRate(int64_t until_ns) {
  ++phase_;
  until_ns_ = until_ns;
  for (int key = 0; key < static_cast<int>(options_.keys.size()); ++key) {
    const Limit& limit = options_.keys[static_cast<std::size_t>(key)].limit;
    if (limit.hits == 0) continue;
    // Of a sliding window half of what it admits when saturated: a hit counts until its sub-bucket
    // has left, a leased one as if spent when the lease ends.
    int64_t counts_ns = limit.window_ns;
    if (limit.algorithm == Algorithm::kSlidingWindow) {
      counts_ns += limit.bucket_ns + LeaseLifeMaxNs(limit);
    }
    const int64_t every_ns = 2 * counts_ns / limit.hits;
    HalfRate(key, std::max(every_ns, (until_ns - world_.now_ns()) / kHalfRateMax), 0);
  }
}

void Load::HalfRate(int key, int64_t every_ns, int node) {
  world_.After(every_ns, [this, key, every_ns, node, phase = phase_] {
    if (phase != phase_ || world_.now_ns() >= until_ns_) return;
    fleet_.Ask(node, key, 1);
    HalfRate(key, every_ns, (node + 1) % fleet_.size());
  });
}

}  // namespace weir::sim
