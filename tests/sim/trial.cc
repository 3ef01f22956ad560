#include "tests/sim/trial.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "limiter/store/memory_store.h"
#include "tests/sim/fleet.h"
#include "tests/sim/host.h"
#include "tests/sim/judge.h"
#include "tests/sim/options.h"
#include "tests/sim/scheme.h"
#include "tests/sim/schemes.h"
#include "tests/sim/sim_store.h"

namespace weir::sim {
namespace {

// The nodes meet the store first.
constexpr int64_t kBeginNs = kSecond;
constexpr int kHotKeys = 10;
constexpr int64_t kEdgeNs = 10 * kMs;

struct Arrival {
  int64_t true_ns;
  int node;
  int key;
};

constexpr double kOnOffMost = 9.1;
constexpr double kCrowd = 100;
constexpr double kQuietCrowd = 30;

// Of the demand, so long after the first arrival.
double Multiplier(Arrivals arrivals, int64_t passed_ns, int64_t run_ns) {
  switch (arrivals) {
    case Arrivals::kOnOff:
      return passed_ns / (run_ns / 50 + 1) % 10 == 0 ? kOnOffMost : 0.1;
    case Arrivals::kFlashCrowd:
      return passed_ns >= run_ns / 3 && passed_ns < run_ns / 3 + run_ns / 50 ? kCrowd : 1;
    case Arrivals::kQuietCrowd:
      if (passed_ns < run_ns / 4) return 0.1;
      return passed_ns < run_ns / 4 + run_ns / 40 ? kQuietCrowd : 1;
    case Arrivals::kSteady:
    case Arrivals::kHotKey:
    case Arrivals::kEdges:
    case Arrivals::kSkewed:
      break;
  }
  return 1;
}

double MultiplierMax(Arrivals arrivals) {
  if (arrivals == Arrivals::kOnOff) return kOnOffMost;
  if (arrivals == Arrivals::kFlashCrowd) return kCrowd;
  return arrivals == Arrivals::kQuietCrowd ? kQuietCrowd : 1;
}

int DrawNode(Rng& rng, const Trial& trial) {
  if (trial.arrivals == Arrivals::kSkewed && rng.Chance(0.9)) return 0;
  return static_cast<int>(rng.Below(static_cast<uint64_t>(trial.nodes)));
}

int DrawKey(Rng& rng, std::size_t keys) {
  if (keys == 1 || rng.Chance(0.5)) return 0;
  return 1 + static_cast<int>(rng.Below(keys - 1));
}

// Everything that is asked for in a window is asked for within 20 ms around its edge. Faster, and a
// node's queue of those who wait would be full, which is another matter.
std::vector<Arrival> AtEdges(Rng& rng, const Trial& trial) {
  std::vector<Arrival> all;
  const int64_t window_ns = trial.limit.window_ns;
  const auto each = static_cast<int>(trial.demand * trial.limit.hits + 1);
  const int64_t first_ns = (kWallStartNs + kBeginNs) / window_ns + 1;
  for (int64_t edge = first_ns;; ++edge) {
    const int64_t at_ns = edge * window_ns - kWallStartNs;
    if (at_ns + kEdgeNs >= kBeginNs + trial.duration_ns) break;
    for (int i = 0; i < each; ++i) {
      all.push_back({at_ns + rng.Between(-kEdgeNs, kEdgeNs), DrawNode(rng, trial), 0});
    }
  }
  return all;
}

std::vector<Arrival> Draw(const Trial& trial, const std::vector<KeySpec>& keys) {
  Rng rng(trial.seed ^ 0xa5a5a5a5ULL);
  std::vector<Arrival> all;
  if (trial.arrivals == Arrivals::kEdges) {
    all = AtEdges(rng, trial);
  } else {
    // The hot key of ten has half of all: the demand is its.
    const double of_hot = keys.size() > 1 ? 2 : 1;
    const double mean_ns =
        static_cast<double>(trial.limit.window_ns) / (trial.limit.hits * trial.demand * of_hot);
    const double most = MultiplierMax(trial.arrivals);
    for (int64_t at_ns = 0;;) {
      at_ns += rng.Exponential(mean_ns / most);
      if (at_ns >= trial.duration_ns) break;
      const double now = Multiplier(trial.arrivals, at_ns, trial.duration_ns);
      if (now < most && !rng.Chance(now / most)) continue;
      all.push_back({kBeginNs + at_ns, DrawNode(rng, trial), DrawKey(rng, keys.size())});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Arrival& a, const Arrival& b) { return a.true_ns < b.true_ns; });
  return all;
}

// One limiter that sees everything at once.
class Central {
 public:
  explicit Central(const std::vector<KeySpec>& keys)
      : keys_(keys), store_({.keys_max = 4096, .ring_bytes_max = std::size_t{16} << 20}) {}

  bool Admits(const Arrival& arrival) {
    class Nobody : public Answered {
     public:
      void OnAnswered() override {}
    };
    const KeySpec& spec = keys_[static_cast<std::size_t>(arrival.key)];
    weir::Ask ask;
    ask.limit = &spec.limit;
    ask.key = spec.key;
    AcquireOptions acquire;
    acquire.now = {arrival.true_ns, kWallStartNs + arrival.true_ns};
    Nobody nobody;
    store_.Acquire(std::span<weir::Ask>(&ask, 1), acquire, nobody);
    return ask.grant.decision.allowed;
  }

 private:
  const std::vector<KeySpec>& keys_;
  MemoryStore store_;
};

struct Node : Fleet::Node {
  double asked = 0;
  double admitted = 0;
};

class Experimenter {
 public:
  explicit Experimenter(const Trial& trial)
      : trial_(trial),
        keys_(MakeKeys(trial)),
        arrivals_(Draw(trial, keys_)),
        world_(trial.seed, false),
        store_(world_, keys_, trial.nodes, 0),
        central_(keys_),
        nodes_(static_cast<std::size_t>(trial.nodes)),
        admissions_(keys_.size()),
        calls_seen_(keys_.size()) {
    fleet_.keys = &keys_;
    fleet_.nodes = trial.nodes;
    fleet_.store_wait_ns = trial.store_wait_ns;
    fleet_.on_store_failure = OnStoreFailure::kLocalShare;
    fleet_.lease = trial.lease;
    const MakeScheme make_scheme = SchemeNamed(trial.scheme);
    for (int i = 0; i < trial.nodes; ++i) {
      Node& node = nodes_[static_cast<std::size_t>(i)];
      const int64_t mono_ns = world_.rng().Between(kSecond, 1'000 * kSecond);
      node.host = std::make_unique<Host>(world_, i, SimClock(world_, mono_ns, kWallStartNs, 0));
      node.link = std::make_unique<Link>(*node.host, store_, node.network, LinkOptions{});
      node.scheme = make_scheme(*node.host, *node.link, fleet_);
    }
    if (trial.bin_ns > 0) {
      const auto bins = static_cast<std::size_t>(trial.duration_ns / trial.bin_ns + 1);
      measured_.asked_bins.resize(bins);
      measured_.admitted_bins.resize(bins);
      measured_.central_bins.resize(bins);
    }
  }

  Measured Run() {
    if (trial_.freeze_ns > 0) {
      world_.At(kBeginNs + trial_.freeze_at_ns, [this] { store_.Freeze(); });
      world_.At(kBeginNs + trial_.freeze_at_ns + trial_.freeze_ns, [this] { store_.Thaw(); });
      measured_.ridden_ns = trial_.freeze_ns;
    }
    world_.At(kBeginNs + trial_.warm_up_ns, [this] { calls_before_ = store_.calls(); });
    Next();
    world_.RunUntil(kBeginNs + trial_.duration_ns);
    measured_.store_calls = store_.calls() - calls_before_;
    world_.RunUntil(kBeginNs + trial_.duration_ns + trial_.store_wait_ns);
    for (std::size_t key = 0; key < keys_.size(); ++key) {
      const Judgement judgement = Judge(keys_[key].limit, admissions_[key], {});
      measured_.excess = std::max(measured_.excess, judgement.excess);
      measured_.worst_ratio = std::max(measured_.worst_ratio, judgement.worst_ratio);
    }
    measured_.jain = Jain();
    return std::move(measured_);
  }

 private:
  static std::vector<KeySpec> MakeKeys(const Trial& trial) {
    std::vector<KeySpec> keys;
    const int count = trial.arrivals == Arrivals::kHotKey ? kHotKeys : 1;
    keys.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      keys.push_back(MakeKey(trial.limit, static_cast<uint64_t>(i)));
    }
    return keys;
  }

  void Next() {
    if (next_ == arrivals_.size()) return;
    world_.At(arrivals_[next_].true_ns, [this] {
      const Arrival& arrival = arrivals_[next_++];
      Ask(arrival);
      Next();
    });
  }

  void Ask(const Arrival& arrival) {
    Node& node = nodes_[static_cast<std::size_t>(arrival.node)];
    ++measured_.requests;
    node.asked += 1;
    Bin(measured_.asked_bins, arrival.true_ns);
    if (central_.Admits(arrival)) {
      ++measured_.central;
      Bin(measured_.central_bins, arrival.true_ns);
    }
    node.scheme->Check(arrival.key, 1,
                       [this, arrival](const NodeAnswer& answer) { Told(arrival, answer); });
  }

  void Told(const Arrival& arrival, const NodeAnswer& answer) {
    const bool at_once = world_.now_ns() == arrival.true_ns;
    const bool by_policy = answer.source == Source::kPolicy;
    if (arrival.true_ns >= kBeginNs + trial_.warm_up_ns) {
      ++measured_.counted;
      if (!at_once) ++measured_.waited;
      if (by_policy) ++measured_.by_policy;
    }
    const int64_t frozen_ns = arrival.true_ns - kBeginNs - trial_.freeze_at_ns;
    if (trial_.freeze_ns > 0 && frozen_ns >= 0 && frozen_ns < trial_.freeze_ns) {
      const bool same = at_once && !by_policy && answer.allowed;
      ++measured_.frozen_requests;
      if (same) ++measured_.frozen_same;
      if (!same) measured_.ridden_ns = std::min(measured_.ridden_ns, frozen_ns);
    }
    if (!answer.allowed) {
      if (!std::exchange(denied_, true)) world_.After(kSecond, [this] { WatchCalls(); });
      return;
    }
    ++measured_.admitted;
    nodes_[static_cast<std::size_t>(arrival.node)].admitted += 1;
    const StoreTime now = store_.Now();
    const StoreTime counts = answer.decided.value_or(now);
    Bin(measured_.admitted_bins, world_.now_ns() - (now.mono_ns - counts.mono_ns));
    if (by_policy) return;
    admissions_[static_cast<std::size_t>(arrival.key)].push_back({counts, 1});
  }

  void Bin(std::vector<uint64_t>& bins, int64_t true_ns) const {
    if (bins.empty()) return;
    const auto bin = static_cast<std::size_t>((true_ns - kBeginNs) / trial_.bin_ns);
    if (bin < bins.size()) ++bins[bin];
  }

  // In whole seconds, from a second after the first denial on.
  void WatchCalls() {
    for (std::size_t key = 0; key < keys_.size(); ++key) {
      const uint64_t calls = store_.calls(static_cast<int>(key));
      const auto second = static_cast<double>(calls - calls_seen_[key]);
      if (watched_) measured_.calls_second_max = std::max(measured_.calls_second_max, second);
      calls_seen_[key] = calls;
    }
    watched_ = true;
    world_.After(kSecond, [this] { WatchCalls(); });
  }

  double Jain() const {
    double sum = 0;
    double squares = 0;
    double count = 0;
    for (const Node& node : nodes_) {
      if (node.asked == 0) continue;
      const double share = node.admitted / node.asked;
      sum += share;
      squares += share * share;
      ++count;
    }
    return squares == 0 ? 1 : sum * sum / (count * squares);
  }

  const Trial& trial_;
  const std::vector<KeySpec> keys_;
  const std::vector<Arrival> arrivals_;
  World world_;
  SimStore store_;
  Central central_;
  FleetOptions fleet_;
  std::vector<Node> nodes_;
  std::vector<std::vector<Admission>> admissions_;
  std::size_t next_ = 0;
  uint64_t calls_before_ = 0;
  std::vector<uint64_t> calls_seen_;
  bool denied_ = false;
  bool watched_ = false;
  Measured measured_;
};

}  // namespace

const char* ArrivalsName(Arrivals arrivals) {
  static constexpr const char* kNames[] = {"steady", "on_off", "flash_crowd", "hot_key",
                                           "edges",  "skewed", "quiet_crowd"};
  return kNames[static_cast<std::size_t>(arrivals)];
}

Measured Measure(const Trial& trial) { return Experimenter(trial).Run(); }

}  // namespace weir::sim
