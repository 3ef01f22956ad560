#pragma once

// How a node decides: the shipped store, or another way to do it in the same world.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "limiter/core/store.h"
#include "limiter/store/lease.h"
#include "tests/sim/link.h"

namespace weir::sim {

struct NodeAnswer {
  bool allowed = false;
  Source source = Source::kNone;
  // When its hits count: an answer of the store counts when the store gave it, every other when it
  // is made.
  std::optional<StoreTime> decided;
};

using OnNodeAnswer = std::function<void(const NodeAnswer&)>;

// Lives as long as one incarnation of its host; calls nobody back after that.
class Scheme {
 public:
  virtual ~Scheme() = default;

  // One request of one key. `told` is called once, now or later.
  virtual void Check(int key, uint64_t hits, OnNodeAnswer told) = 0;

  // One request of two keys, admitted if both pass. false: the
  // scheme decides keys one by one only.
  using OnPair = std::function<void(const NodeAnswer&, const NodeAnswer&)>;
  virtual bool CheckPair(int first, int second, uint64_t hits, const OnPair& told) {
    static_cast<void>(first), static_cast<void>(second), static_cast<void>(hits);
    static_cast<void>(told);
    return false;
  }

  // Hits that the node could still admit without a call, and when the first of them end on the
  // monotonic clock.
  struct Live {
    uint64_t hits = 0;
    int64_t ends_mono_ns = 0;
  };
  virtual Live LiveHits(int key) const {
    static_cast<void>(key);
    return {};
  }
  // Whether it denies only what the store denies at that moment.
  virtual bool exact() const { return false; }
  // What is wrong with its own counts; empty: nothing.
  virtual std::string Broken() const { return {}; }
};

// What all nodes of a fleet are told.
struct FleetOptions {
  const std::vector<KeySpec>* keys = nullptr;
  int nodes = 1;
  int64_t store_wait_ns = 10 * kMs;
  OnStoreFailure on_store_failure = OnStoreFailure::kDeny;
  ChargeDenied charge_denied = ChargeDenied::kFirst;
  LeaseOptions lease;
  std::size_t waiting_max = 1'000;
};

using MakeScheme =
    std::function<std::unique_ptr<Scheme>(Host& host, Link& link, const FleetOptions& options)>;

}  // namespace weir::sim
