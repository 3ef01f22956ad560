#pragma once

// The primary that the fleet shares: the shipped scripts in embedded Lua (tests/support/lua_store)
// behind a clock that drifts and steps. It freezes, restarts, and fails over to a replica that had
// not yet heard of the last writes.
//
// It is also the witness: it writes down what it granted, by node and key, and every exception from
// the promise that a fault brings (judge.h).

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/limit.h"
#include "limiter/core/key.h"
#include "limiter/store/redis/script_call.h"
#include "tests/sim/clocks.h"
#include "tests/sim/world.h"
#include "tests/support/lua_store.h"

namespace weir::sim {

// One key of a run. Never moves while the run lasts.
struct KeySpec {
  Limit limit;
  Key key;
  std::string store_key;
};

// A moment as the store's clocks show it. `mono_ns`: without the steps of the wall.
struct StoreTime {
  int64_t mono_ns = 0;
  int64_t wall_ns = 0;
};

// Why more than the promise may be admitted: a written exception of leases.md.
struct Exception {
  enum class Kind : uint8_t { kLostWrites, kStep, kTwoPrimaries };
  Kind kind = Kind::kStep;
  StoreTime before;
  StoreTime after;
  std::vector<uint64_t> hits;  // by key
};

class SimStore {
 public:
  // What a call does at the store. `reply_ns`: when it was executed.
  struct Executed {
    test::StoreReply reply;
    StoreTime time;
  };
  // What a call is about, beside its bytes: for the witness only.
  struct About {
    int node = 0;
    int key = 0;
    Op op = Op::kTake;
    uint64_t hits = 0;
    uint64_t want = 0;
  };

  SimStore(World& world, const std::vector<KeySpec>& keys, int nodes, int64_t drift_ppm);

  // At the primary of that replication id. REQUIRES: running(), Serves(replication_id).
  Executed Execute(uint64_t replication_id, const About& about, const std::string& wire);
  // What a take would be answered now, without a trace in the store.
  Decision Peek(int key, uint64_t hits);

  StoreTime Now() const;
  // Changes with every promotion and restart; connections of an older one are dead.
  uint64_t replication_id() const { return replication_id_; }
  // Whether the primary of that id still answers.
  bool Serves(uint64_t replication_id) const {
    return replication_id == replication_id_ || (split() && replication_id == old_id_);
  }
  bool running() const { return running_; }
  bool frozen() const { return frozen_; }

  void Freeze() { frozen_ = true; }
  // What waited is executed in its order, a little later.
  void Thaw();
  // REQUIRES: frozen().
  void WhenThawed(World::Task task) { backlog_.push_back(std::move(task)); }
  void StepClock(int64_t ns);
  // A replica that is this far behind begins to be kept; FailOver makes it the primary.
  void TakeSnapshot();
  // REQUIRES: a snapshot was taken.
  void FailOver();
  // Like FailOver, but the old primary does not notice: it serves whoever is connected to it.
  void Split();
  // The old primary is gone, and what it granted meanwhile is lost.
  void EndSplit();
  bool split() const { return old_keys_.has_value(); }
  // What a crash without persistence leaves behind.
  void LoseEverything();
  void Stop() { running_ = false; }
  // After Stop, with what it held.
  void Start();

  const std::vector<Exception>& exceptions() const { return exceptions_; }
  // The last moment at which something happened that a node cannot know of.
  int64_t disturbed_ns() const { return split() ? world_.now_ns() : disturbed_ns_; }
  // Hits granted for later use, to this node under this key.
  uint64_t leased(int node, int key) const { return leased_[Index(node, key)]; }
  uint64_t calls() const { return calls_; }
  uint64_t calls(int key) const { return calls_by_key_[static_cast<std::size_t>(key)]; }
  // What is wrong with a record that was written; empty: nothing so far.
  const std::string& broken() const { return broken_; }

 private:
  std::size_t Index(int node, int key) const {
    return static_cast<std::size_t>(node) * keys_.size() + static_cast<std::size_t>(key);
  }
  void Witness(const About& about, const std::vector<int64_t>& numbers);
  void CheckRecord(int key);
  void NoteLostWrites(const std::vector<uint64_t>& lost);
  // For the fixed windows, or for all other keys.
  void NoteTwoPrimaries(const StoreTime& since, const StoreTime& until, bool fixed);

  World& world_;
  const std::vector<KeySpec>& keys_;
  SimClock clock_;
  test::LuaStore lua_;
  bool running_ = true;
  bool frozen_ = false;
  std::vector<World::Task> backlog_;  // of a frozen store
  uint64_t replication_id_ = 1;
  int64_t disturbed_ns_ = INT64_MIN / 2;
  std::optional<test::StoreKeys> snapshot_;
  std::optional<test::StoreKeys> old_keys_;  // of a primary that does not know it is one no more
  uint64_t old_id_ = 0;
  StoreTime split_since_;
  StoreTime split_stepped_;  // since the clock stepped last, or since the split
  std::vector<uint64_t> granted_since_snapshot_;  // by key
  std::vector<Exception> exceptions_;
  std::vector<uint64_t> leased_;
  // By key: hits leased in the newest window that any were leased in.
  struct Out {
    int64_t window = -1;
    uint64_t hits = 0;
  };
  void NoteOut(std::size_t key, uint64_t hits);
  std::vector<Out> out_;
  std::vector<uint64_t> calls_by_key_;
  std::vector<int64_t> window_;  // fixed_window: the newest one written, by key
  uint64_t calls_ = 0;
  std::string broken_;
};

// The integers of an array reply; empty if it is something else.
std::vector<int64_t> Integers(const test::StoreReply& reply);

}  // namespace weir::sim
