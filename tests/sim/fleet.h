#pragma once

// The nodes of a run and what became of every request. Judges each answer as it comes; what needs
// the whole log is judged at the end (run.h).

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/sim/host.h"
#include "tests/sim/judge.h"
#include "tests/sim/link.h"
#include "tests/sim/options.h"
#include "tests/sim/scheme.h"
#include "tests/sim/sim_store.h"

namespace weir::sim {

class Fleet {
 public:
  struct Node {
    std::unique_ptr<Host> host;
    Network network;
    std::unique_ptr<Link> link;
    std::unique_ptr<Scheme> scheme;
  };
  struct Counts {
    uint64_t requests = 0;
    uint64_t answered = 0;
    uint64_t admitted_hits = 0;
    std::array<uint64_t, kSources> by_source{};
  };

  Fleet(World& world, SimStore& store, const SimOptions& options, MakeScheme make_scheme);

  int size() const { return static_cast<int>(nodes_.size()); }
  Node& node(int index) { return nodes_[static_cast<std::size_t>(index)]; }
  const Counts& counts() const { return counts_; }

  // A request reaches the node; nobody hears it if the node is paused for good or dead.
  void Ask(int node, int key, uint64_t hits);
  // The same of a request of two keys; two requests where the scheme knows no such thing.
  void AskPair(int node, int first, int second, uint64_t hits);
  // The process dies and another one starts.
  void Kill(int node);
  void StepWall(int node, int64_t ns);
  // From now on each denial is a violation.
  void ExpectAllAdmitted() { all_admitted_ = true; }
  // Nobody adds to the load any more by spending leases.
  void StopHolding() { holding_ = false; }

  // Hits that the store charged before they were given to callers, by key.
  const std::vector<std::vector<Admission>>& admissions() const { return admissions_; }
  // What a process admitted of a key, as it came, on the node's own clocks.
  struct OwnAdmission {
    Admission admission;  // when the caller heard of it
    StoreTime earliest;   // when it may have been decided: one of a pair waits for the other
    bool by_policy = false;
  };
  using ProcessKey = std::tuple<int, uint64_t, int>;  // node, incarnation, key
  const std::map<ProcessKey, std::vector<OwnAdmission>>& own() const { return own_; }
  // Whether its wall clock ever stepped.
  bool wall_stepped(int node) const { return wall_stepped_[static_cast<std::size_t>(node)]; }
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  struct Asked {
    int node;
    int key;
    uint64_t hits;
    StoreTime time;  // on the node's own clocks
    int64_t true_ns;
    bool pair = false;
  };

  static StoreTime TimeOf(const Node& node);  // by its own clocks
  void Start(Node& node);
  void ForgetLeases(int node);
  std::size_t Index(int node, int key) const {
    return static_cast<std::size_t>(node) * options_.keys.size() + static_cast<std::size_t>(key);
  }
  void Told(const Asked& asked, const NodeAnswer& answer);
  void TellPair(const Asked& asked, int second, const NodeAnswer& one, const NodeAnswer& other);
  void Admitted(const Asked& asked, const NodeAnswer& answer);
  void CheckDenial(const Asked& asked, const NodeAnswer& answer);
  void CheckTime(const Asked& asked);
  void CheckLive(const Asked& asked);
  void Hold(const Asked& asked);
  void Spend(int node, int key);
  void Violated(const Asked& asked, const std::string& what);

  World& world_;
  SimStore& store_;
  const SimOptions& options_;
  const MakeScheme make_scheme_;
  FleetOptions fleet_options_;
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<Link>> dead_links_;  // bytes that they sent are still on their way
  std::vector<std::vector<Admission>> admissions_;
  std::map<ProcessKey, std::vector<OwnAdmission>> own_;
  std::vector<bool> wall_stepped_;
  std::vector<uint64_t> leased_before_;  // by node and key: by other primaries, to dead processes
  std::vector<uint64_t> from_leases_;    // by node and key: admitted, of all that were leased since
  std::map<std::pair<int, int>, int64_t> held_;  // leases to be spent late: until when
  Counts counts_;
  bool all_admitted_ = false;
  bool holding_ = true;
  std::vector<std::string> violations_;
};

}  // namespace weir::sim
