#pragma once

// Calls for leased hits: one under way per key, everybody else who needs the key's hits waits for
// it. Its answer serves who asked first, then those who waited, in order, from the hits that came
// beside; who is left over shares the next call, which asks for as many as they need.
//
// Thread safety: the loop's thread, but for rtt_ns.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "limiter/core/cell_table.h"
#include "limiter/core/clock.h"
#include "limiter/store/failure_policy.h"
#include "limiter/store/lease.h"
#include "limiter/store/pool.h"
#include "limiter/store/remote.h"

namespace weir {

// Who waits for hits of a key.
class LeaseWaiter {
 public:
  // nullptr: nobody waits any more.
  virtual Ask* waiting() = 0;
  // Told once: the grant of its ask is filled, or the call failed. Also when nobody waits any more.
  virtual void OnServed(bool served) = 0;
  // Told instead, of one who waits: it is to make a call of its own.
  virtual void OnAlone() = 0;

 protected:
  virtual ~LeaseWaiter() = default;
};

// A lease that will be needed soon: nobody waits for it.
struct LeaseRefresh {
  Key key;
  Limit limit;
  LeaseCounters* counters = nullptr;
};

class Flights {
 public:
  // All of it outlives the flights. `cells` have a Lease beside them.
  Flights(const LeaseOptions& options, Remote& remote, Clock& clock, CellTable& cells,
          FailurePolicy& policy);
  ~Flights();

  // Any thread: what a call takes at most, nearly always.
  int64_t rtt_ns() const { return rtt_ns_.load(std::memory_order_relaxed); }
  // Any thread: how the limit is leased now; a life of 0: it is not, because of its nature or
  // because the store is so far away that a lease would be of no use when it comes.
  LeasePlan PlanOf(const Limit& limit) const;

  // Whether a request should Join: not if, after the key's call, a second one would end too late
  // for it. Then it is charged alone, by a call of its own. REQUIRES: PlanOf has a life.
  bool WorthJoining(const Key& key, int64_t deadline_mono_ns) const;
  // Waits for the key's call, or begins it. False: it could not be sent; nobody is told.
  // `drain`: a denied take costs what is left. REQUIRES: PlanOf has a life.
  bool Join(LeaseWaiter& waiter, bool drain, int64_t deadline_mono_ns);
  void Refresh(const LeaseRefresh& refresh);
  // When the call that is under way for the key was sent; kNeverNs: there is none.
  int64_t CallSince(const Key& key) const;
  // What a call took, of leases or not.
  void Observe(int64_t rtt_ns);
  // Fixed windows: what was not spent goes back. The answers are nobody's concern.
  void GiveBackAll();

 private:
  class Flight;
  struct HashKey {
    std::size_t operator()(const Key& key) const { return static_cast<std::size_t>(key.lo); }
  };
  struct Wait {
    LeaseWaiter* waiter;
    bool drain;
    int64_t deadline_mono_ns;
  };

  bool Launch(Flight& flight);
  // Serves a waiter from what the cell of its key holds. False: the store must be asked.
  bool ServeHere(Ask& ask);
  // From half to one and a half of the pace, by chance, but the same whatever other keys do.
  int64_t Pace(const Key& key, int64_t now_mono_ns) const;

  const LeaseOptions options_;
  Remote& remote_;
  Clock& clock_;
  CellTable& cells_;
  FailurePolicy& policy_;
  std::atomic<int64_t> rtt_ns_{0};
  absl::flat_hash_map<Key, Flight*, HashKey> under_way_;
  Pool<Flight> flights_;
};

}  // namespace weir
