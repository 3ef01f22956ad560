#include "tests/sim/fleet.h"

#include <algorithm>
#include <utility>

namespace weir::sim {
namespace {

constexpr std::size_t kViolationsMax = 20;
// A denial is remembered this long at most (limiter/store/deny_cache.h), and some.
constexpr int64_t kRememberedNs = 2 * kSecond;

}  // namespace

Fleet::Fleet(World& world, SimStore& store, const SimOptions& options, MakeScheme make_scheme)
    : world_(world),
      store_(store),
      options_(options),
      make_scheme_(std::move(make_scheme)),
      nodes_(static_cast<std::size_t>(options.nodes)),
      admissions_(options.keys.size()),
      wall_stepped_(nodes_.size()) {
  fleet_options_.keys = &options_.keys;
  fleet_options_.nodes = options.nodes;
  fleet_options_.store_wait_ns = options.store_wait_ns;
  fleet_options_.lease = options.lease;
  fleet_options_.waiting_max = options.waiting_max;
  fleet_options_.on_store_failure = options.on_store_failure;
  fleet_options_.charge_denied = options.charge_denied;
  leased_before_.resize(nodes_.size() * options.keys.size());
  from_leases_.resize(leased_before_.size());
  Rng& rng = world.rng();
  for (int i = 0; i < options.nodes; ++i) {
    Node& node = nodes_[static_cast<std::size_t>(i)];
    const int64_t drift_ppm = rng.Between(-options.drift_ppm, options.drift_ppm);
    // No two clocks of the fleet agree on anything.
    const int64_t mono_ns = rng.Between(kSecond, 1'000 * kSecond);
    const int64_t wall_ns = kWallStartNs + rng.Between(-100 * kSecond, 100 * kSecond);
    node.host = std::make_unique<Host>(world, i, SimClock(world, mono_ns, wall_ns, drift_ppm));
    node.network = options.network;
    Start(node);
  }
}

void Fleet::Start(Node& node) {
  node.link = std::make_unique<Link>(*node.host, store_, node.network, options_.link);
  node.link->OnNewPrimary([this, index = node.host->id()] { ForgetLeases(index); });
  node.scheme = make_scheme_(*node.host, *node.link, fleet_options_);
}

// What was leased so far may not be used any more.
void Fleet::ForgetLeases(int index) {
  for (int key = 0; key < static_cast<int>(options_.keys.size()); ++key) {
    leased_before_[Index(index, key)] = store_.leased(index, key);
    from_leases_[Index(index, key)] = 0;
  }
}

void Fleet::Kill(int index) {
  Node& node = nodes_[static_cast<std::size_t>(index)];
  if (world_.tracing()) world_.Trace("node " + std::to_string(index) + " is killed");
  node.host->Kill();
  node.scheme.reset();
  dead_links_.push_back(std::move(node.link));
  std::erase_if(held_, [index](const auto& held) { return held.first.first == index; });
  ForgetLeases(index);
  Start(node);
}

void Fleet::StepWall(int index, int64_t ns) {
  nodes_[static_cast<std::size_t>(index)].host->clock().StepWall(ns);
  wall_stepped_[static_cast<std::size_t>(index)] = true;
}

void Fleet::Ask(int index, int key, uint64_t hits) {
  Node& node = nodes_[static_cast<std::size_t>(index)];
  ++counts_.requests;
  node.host->Run([this, &node, index, key, hits] {
    const Asked asked = {index, key, hits, TimeOf(node), world_.now_ns()};
    node.scheme->Check(key, hits, [this, asked](const NodeAnswer& answer) { Told(asked, answer); });
  });
}

void Fleet::AskPair(int index, int first, int second, uint64_t hits) {
  Node& node = nodes_[static_cast<std::size_t>(index)];
  ++counts_.requests;
  node.host->Run([this, &node, index, first, second, hits] {
    const Asked asked = {index, first, hits, TimeOf(node), world_.now_ns(), true};
    const bool known = node.scheme->CheckPair(
        first, second, hits, [this, asked, second](const NodeAnswer& one, const NodeAnswer& other) {
          TellPair(asked, second, one, other);
        });
    if (known) return;
    Ask(index, first, hits);
    Ask(index, second, hits);
  });
}

StoreTime Fleet::TimeOf(const Node& node) {
  const Instant now = node.host->clock().Now();
  return {now.mono_ns, now.wall_ns};
}

// A key's hits are used only if the other key passes too.
void Fleet::TellPair(const Asked& asked, int second, const NodeAnswer& one,
                     const NodeAnswer& other) {
  Asked other_asked = asked;
  other_asked.key = second;
  if (one.allowed == other.allowed) {
    Told(asked, one);
    Told(other_asked, other);
    return;
  }
  ++counts_.answered;
  CheckTime(asked);
  if (all_admitted_ || !one.allowed) CheckDenial(asked, one);
  if (all_admitted_ || !other.allowed) CheckDenial(other_asked, other);
}

void Fleet::Told(const Asked& asked, const NodeAnswer& answer) {
  ++counts_.answered;
  ++counts_.by_source[static_cast<std::size_t>(answer.source)];
  if (world_.tracing()) {
    world_.Trace("node " + std::to_string(asked.node) + " key " + std::to_string(asked.key) +
                 " hits " + std::to_string(asked.hits) + ": " +
                 (answer.allowed ? "allowed by " : "denied by ") +
                 std::string(kSourceNames[static_cast<std::size_t>(answer.source)]));
  }
  CheckTime(asked);
  CheckLive(asked);
  if (answer.allowed) {
    Admitted(asked, answer);
  } else {
    CheckDenial(asked, answer);
  }
  if (answer.source != Source::kPolicy) Hold(asked);
}

void Fleet::Admitted(const Asked& asked, const NodeAnswer& answer) {
  counts_.admitted_hits += asked.hits;
  if (asked.hits == 0) return;
  Node& node = nodes_[static_cast<std::size_t>(asked.node)];
  const bool by_policy = answer.source == Source::kPolicy;
  const StoreTime now = TimeOf(node);
  own_[{asked.node, node.host->incarnation(), asked.key}].push_back(
      {{now, asked.hits}, asked.pair ? asked.time : now, by_policy});
  if (by_policy) {
    if (options_.on_store_failure == OnStoreFailure::kDeny) {
      Violated(asked, "the policy deny allowed it");
    }
    return;
  }
  if (answer.source == Source::kStore && !answer.decided.has_value()) {
    Violated(asked, "allowed by the store, which did not allow it");
  }
  admissions_[static_cast<std::size_t>(asked.key)].push_back(
      {answer.decided.value_or(store_.Now()), asked.hits});
  if (answer.source != Source::kLease) return;
  // I1: a hit is admitted once, by whom it was granted to.
  const std::size_t index = Index(asked.node, asked.key);
  from_leases_[index] += asked.hits;
  if (from_leases_[index] > store_.leased(asked.node, asked.key) - leased_before_[index]) {
    Violated(asked, "more from leases than was leased");
  }
}

// I5: what a node remembers as denied is denied in the store too; with a lease it has no live hit.
void Fleet::CheckDenial(const Asked& asked, const NodeAnswer& answer) {
  const Node& node = nodes_[static_cast<std::size_t>(asked.node)];
  if (all_admitted_)
    Violated(asked, std::string("denied by ") +
                        std::string(kSourceNames[static_cast<std::size_t>(answer.source)]));
  if (answer.source == Source::kLease || asked.hits == 0) return;
  // With pairs a denial may be older than these hits: its own pair waited for the other key, or
  // another pair was denied and gave back what it had spent.
  if (options_.load.pairs == 0 && node.scheme->LiveHits(asked.key).hits >= asked.hits) {
    Violated(asked, "denied beside live hits");
  }
  // A request that waited for another key was denied when it came.
  if (answer.source == Source::kDeniedCache && node.scheme->exact() &&
      asked.true_ns == world_.now_ns() && store_.disturbed_ns() < world_.now_ns() - kRememberedNs &&
      store_.Peek(asked.key, asked.hits).allowed) {
    Violated(asked, "remembered as denied, but the store would allow it");
  }
}

// I8: a caller waits until its deadline and no longer, but for a process that stands still.
void Fleet::CheckTime(const Asked& asked) {
  const Host& host = *nodes_[static_cast<std::size_t>(asked.node)].host;
  if (host.paused_last_ns() >= asked.true_ns) return;
  const int64_t took_ns =
      nodes_[static_cast<std::size_t>(asked.node)].host->clock().Now().mono_ns - asked.time.mono_ns;
  if (took_ns > options_.store_wait_ns + kUs) {
    Violated(asked, "answered after " + std::to_string(took_ns) + " ns");
  }
}

// I4: what lies unused was leased and not used, and dies within the life of a lease.
void Fleet::CheckLive(const Asked& asked) {
  const Node& node = nodes_[static_cast<std::size_t>(asked.node)];
  const Scheme::Live live = node.scheme->LiveHits(asked.key);
  if (live.hits == 0) return;
  const std::size_t index = Index(asked.node, asked.key);
  const uint64_t leased = store_.leased(asked.node, asked.key) - leased_before_[index];
  if (live.hits + from_leases_[index] > leased) Violated(asked, "live hits that nobody leased");
  const Limit& limit = options_.keys[static_cast<std::size_t>(asked.key)].limit;
  if (live.ends_mono_ns > node.host->clock().Now().mono_ns + LeaseLifeMaxNs(limit)) {
    Violated(asked, "a lease lives longer than any may");
  }
}

// Who holds a lease to its last instant and then spends all of it hurts most.
void Fleet::Hold(const Asked& asked) {
  Node& node = nodes_[static_cast<std::size_t>(asked.node)];
  if (!holding_ || options_.load.holders <= 0 || !world_.rng().Chance(options_.load.holders))
    return;
  const Scheme::Live live = node.scheme->LiveHits(asked.key);
  if (live.hits == 0) return;
  int64_t& held_ns = held_[{asked.node, asked.key}];
  if (held_ns == live.ends_mono_ns) return;
  held_ns = live.ends_mono_ns;
  const int64_t early_ns = world_.rng().Pick<int64_t>({1, 1, kUs, kMs});
  node.host->AtMono(live.ends_mono_ns - early_ns,
                    [this, node = asked.node, key = asked.key] { Spend(node, key); });
}

void Fleet::Spend(int index, int key) {
  if (!holding_) return;
  constexpr uint64_t kSpentMax = 500;
  Node& node = nodes_[static_cast<std::size_t>(index)];
  const uint64_t hits = std::min(node.scheme->LiveHits(key).hits, kSpentMax);
  for (uint64_t i = 0; i < hits; ++i) Ask(index, key, 1);
}

void Fleet::Violated(const Asked& asked, const std::string& what) {
  if (violations_.size() >= kViolationsMax) return;
  violations_.push_back("at " + std::to_string(static_cast<double>(world_.now_ns()) / kMs) +
                        " ms, node " + std::to_string(asked.node) + " key " +
                        std::to_string(asked.key) + " hits " + std::to_string(asked.hits) + ": " +
                        what);
}

}  // namespace weir::sim
