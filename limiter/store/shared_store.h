#pragma once

// Limits that several Weirs share: each decision is charged in the remote store by one operation,
// all operations of a request in one trip.
//
//   Acquire  caller's thread: what leased hits or denials still remembered decide is answered at
//            once, the rest is parked
//   Turn     loop's thread: sends what was parked, ends waits at their deadline
//   replies  loop's thread: fill the grants; the last one puts the answer into the inbox
//
// A request waits until its deadline at most and is then decided by the failure policy of each of
// its rules; a reply that comes later is dropped (its hits stay charged: never more is admitted).
// Replies and deadlines meet on the loop's thread only, so that they cannot race. The caller's
// cancellation ends nothing early: a parked request leaves after store_wait at the latest.
//
// Charge modes over-only and never look at all keys of a request first and charge in a second trip:
// between the two another request may come in, and then some keys of a denied request are charged
// (the same race as in the reference; the memory store has none).

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <vector>

#include "limiter/core/cell_table.h"
#include "limiter/core/clock.h"
#include "limiter/core/inbox.h"
#include "limiter/core/mutex.h"
#include "limiter/core/store.h"
#include "limiter/store/failure_policy.h"
#include "limiter/store/flights.h"
#include "limiter/store/pool.h"
#include "limiter/store/remote.h"

namespace weir {

struct SharedStoreOptions {
  std::size_t keys_max = std::size_t{1} << 20;  // of what is remembered, and of local shares
  std::size_t ring_bytes_max = std::size_t{256} << 20;
  Overflow overflow = Overflow::kAllow;  // of local shares
  std::size_t waiting_max = 10'000;      // requests parked; above it the failure policy
  int replicas = 0;                      // see FailurePolicy
  bool leases = false;                   // else every rule is exact
  LeaseOptions lease;
};

// Read from any thread while the store works.
struct SharedStoreStats {
  std::atomic<uint64_t> waiting{0};
  std::atomic<uint64_t> wait_timeouts{0};
  std::atomic<uint64_t> waiting_refused{0};  // the bound on parked requests
  std::atomic<uint64_t> clock_faults{0};
  std::atomic<uint64_t> late_replies{0};
};

class SharedStore : public Store {
 public:
  // `wake` leads to a call of Turn on the loop's thread soon; called from any thread.
  SharedStore(const SharedStoreOptions& options, Remote& remote, Clock& clock,
              std::function<void()> wake);
  ~SharedStore() override;

  void Acquire(std::span<Ask> asks, const AcquireOptions& options, Answered& answered) override;

  // The loop's thread. Returns when to call it again at the latest, on the monotonic clock;
  // kNeverNs: when woken.
  int64_t Turn();
  // The loop's thread, before it ends: every request that waits gets its policy's answer, and what
  // was leased of fixed windows and not spent goes back.
  void EndAll();

  LeaseState LeaseStateOf(const Limit& limit, LeaseCounters* counters, const Key* key) override;

  const SharedStoreStats& stats() const { return stats_; }
  const FailurePolicy& policy() const { return policy_; }
  const CellTable& cells() const { return cells_; }

 private:
  class Request;
  struct Wait {
    int64_t deadline_mono_ns;
    Request* request;
    uint64_t generation;  // the request may have been answered and used anew
    bool operator>(const Wait& o) const { return deadline_mono_ns > o.deadline_mono_ns; }
  };

  // Answers the ask if a lease or a remembered denial decides it. `now` is the caller's: hits that
  // ended since it was read were live when the request was here already, which is when it counts.
  bool AnswerHere(Ask& ask, const Instant& now);
  static bool Outlasts(const Ask& ask, const AcquireOptions& options);
  // Hits of the key that this node may spend without a call.
  uint64_t LiveHitsOf(const Ask& ask);
  LeaseView ViewOf(const Ask& ask, const Instant& now) const;
  bool Leases(const Ask& ask) const {
    return leases_ && ask.lease != nullptr && ask.op == Op::kTake && ask.hits > 0;
  }
  // Answers the ask out of a lease; if that has too few hits, `untold` is what was spent from
  // leases and the policy was not told of.
  bool Spend(Ask& ask, const Instant& now, uint64_t* untold);
  // What the asks spent of a request that is denied after all goes back. `verdict`: what else of it
  // counts; `history`: of the store, read before anything was spent.
  void UnspendIfDenied(std::span<Ask> asks, Verdict verdict, uint32_t history);
  void Unspend(Ask& ask, uint32_t history);
  // A lease that will be needed soon, from any thread.
  void RefreshSoon(const Ask& ask);
  void AnswerByPolicy(Ask& ask, const Instant& now);
  bool Reachable(const Ask& ask, const Secret& secret) const;
  void NoteTimeout(const Ask& ask);
  Request* TakeRequest();
  void Free(Request& request);
  // A reply to an ask of a request that still waits.
  // `looked`: it only said what would pass.
  void Learn(Ask& ask, const RemoteReply& reply, int64_t sent_mono_ns, const Instant& now,
             bool looked);

  Remote& remote_;
  Clock& clock_;
  const std::function<void()> wake_;
  FailurePolicy policy_;
  CellTable cells_;
  SharedStoreStats stats_;
  Flights flights_;
  // Loop's thread.
  std::priority_queue<Wait, std::vector<Wait>, std::greater<>> waits_;
  std::vector<Request*> taken_;  // scratch of Turn
  std::vector<LeaseRefresh> refreshing_;

  const bool leases_;
  const std::size_t waiting_max_;
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // EndAll was called
  Pool<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<Request*> parked_ ABSL_GUARDED_BY(mutex_);
  std::vector<LeaseRefresh> refreshes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
