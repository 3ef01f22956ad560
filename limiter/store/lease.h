#pragma once

// Hits of one key that the shared store charged in advance and that this node may spend: up to two
// leases at a time, the one in use and the next. A lease is charged as if it were spent when it
// ends, so whatever happens to the node (a pause, a crash, a lost reply, clocks) can only waste
// hits, never make any.
//
// Bound: what is spent from leases is at most what was granted, and none of it after its expiry,
// which is counted from before the call was sent, less kLeaseDriftInverse of its life and
// kLeaseGuardNs. No two clocks need to agree.
//
// Thread safety: the caller holds the lock of the key's shard.

#include <cstddef>
#include <cstdint>

#include "algorithms/limit.h"
#include "limiter/core/cell_table.h"
#include "limiter/core/clock.h"
#include "limiter/core/counters.h"
#include "limiter/core/store.h"
#include "limiter/store/remote.h"

namespace weir {

// A node's clock may run slower than the store's by one part in this many.
inline constexpr int64_t kLeaseDriftInverse = 1'000;
inline constexpr int64_t kLeaseGuardNs = 1'000'000;
inline constexpr uint16_t kLeaseWantMax = 65'535;

struct LeaseOptions {
  // How long a lease should last: hits are asked for by how fast the last ones went.
  int64_t target_life_ns = 200'000'000;
  // After the store had nothing left, no call for the key for about that long.
  int64_t pace_ns = 50'000'000;
  // A lease takes at most 1/share of what is left at the store.
  uint32_t share = 8;
  // A token bucket's lease lives for that part of its burst's time, and takes as much of its burst.
  double burst_ratio = 0.1;
};

// How a limit is leased.
struct LeasePlan {
  int64_t life_ns = 0;         // D; 0: it is not, each request is decided by the store
  int64_t target_life_ns = 0;  // at most D/2
  // Where that is less than was wished for: the next lease is asked for so long before one ends.
  int64_t renew_ns = 0;
  const char* exact_because = "";  // why there is no lease
};
LeasePlan LeasePlanOf(const Limit& limit, const LeaseOptions& options);

// Of one key; all zero is a key never leased. Lies beside the key's cell.
struct alignas(64) Lease {
  // What a check reads, in one cache line. Slot 0 is the lease in use, slot 1 the next.
  int64_t ends_mono_ns[2] = {};
  int64_t reset_at_mono_ns = 0;
  int64_t quiet_until_mono_ns = 0;  // no call ahead of need before: one is under way, or useless
  // Windows: hits spent in the aligned window of this node's clock that ends then (and in the one
  // before); what the failure policy has been told of is taken out.
  int64_t spent_end_ns = 0;
  uint32_t spent_now = 0;
  uint32_t limit_hits = 0;  // L that it was granted under
  uint16_t history = 0;     // of the store that granted it
  // Tells apart the rules that have the key one after another: one that was given another name
  // counts its hits elsewhere, and so must not spend those that were counted before.
  uint16_t rule = 0;
  uint32_t remaining = 0;  // at the store, when it answered last
  uint16_t hits[2] = {};   // not spent
  uint16_t want = 0;       // hits to ask for; 0 is 1
  uint16_t renew_ms = 0;   // so long before its end the next lease is asked for, at least
  // The rest is for calls.
  uint32_t granted[2] = {};  // spent or not
  int64_t began_mono_ns[2] = {};
  int64_t window[2] = {};  // fixed_window: they were granted in
  // Expired hits of a fixed window, to be given back with the next call.
  int64_t back_window = 0;
  uint32_t back_hits = 0;
  uint32_t spent_before = 0;
  int64_t hungry_until_mono_ns = 0;   // the store had nothing left a moment ago
  int64_t window_ns = 0;              // W
  LeaseCounters* counters = nullptr;  // of the rule that leased last
};

static_assert(sizeof(Lease) % 64 == 0);  // so that cells stay aligned
static_assert(offsetof(Lease, granted) <= 64);

// What is known beside the lease when a check is to be answered.
struct LeaseView {
  const Limit& limit;
  int64_t now_mono_ns = 0;
  uint32_t history = 0;  // of the store now
  int64_t now_wall_ns = 0;
  LeaseCounters* counters = nullptr;  // of the rule
};

// Spends the hits of the ask and fills its grant; false: no live lease has as many.
bool SpendLease(const LeaseView& view, Ask& ask, Lease& lease);

// Gives hits back that SpendLease took for a request that is denied after all by another limit.
// `ends_mono_ns`: when they end; they are lost if the lease in use lives longer.
void UnspendLease(const LeaseView& view, uint64_t hits, int64_t ends_mono_ns, Lease& lease);

// Whether new hits should be asked for before these are gone. `rtt_ns`: what a call takes.
bool WantsRefresh(const LeaseView& view, const Lease& lease, int64_t rtt_ns);

// Fixed windows: the live hits go back with the next call, because they are too few for who asks
// and with what is left at the store they may be enough.
void PutBack(const LeaseView& view, Lease& lease);

// What to ask the store for with a call that is about to be sent: adapts the size to how the last
// hits went, and takes what is to be given back out of the lease (before it is sent: a hit that is
// given back cannot be spent). `waiting`: hits of those who wait for this call.
LeaseAsk AskForLease(const LeaseView& view, const LeasePlan& plan, uint64_t waiting,
                     const LeaseOptions& options, Lease& lease);

// The store's answer to a call sent at `sent_mono_ns` that charged `own` hits for who waited.
void NoteGranted(const LeaseView& view, const RemoteReply& reply, uint64_t own,
                 int64_t sent_mono_ns, Lease& lease);

// Hits spent in the window that is now and not told of yet, as the failure policy counts windows;
// they count as told of afterwards.
uint64_t TakeSpent(const LeaseView& view, Lease& lease);

// Of a key's cell. REQUIRES: the table was made for leases.
inline Lease& LeaseOf(CellTable::Shard& shard, const Cell& cell)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard) {
  return *static_cast<Lease*>(shard.Beside(cell));
}

// Hits that can be spent now.
uint64_t LiveHits(const LeaseView& view, const Lease& lease);
// When the first of them end; kNeverNs: there are none.
int64_t LiveUntil(const LeaseView& view, const Lease& lease);

// Takes all hits that can be given back out of the lease (fixed windows), for a node that stops. 0:
// none.
LeaseAsk AskToGiveBack(Lease& lease);
// What was to be given back could not be sent: it waits again.
void NotReturned(const LeaseAsk& ask, Lease& lease);

// The cell is not idle while its lease says anything.
void KeepCell(const Lease& lease, Cell& cell);

}  // namespace weir
