#pragma once

// The one door to limiter state. The memory store answers at once; a shared store answers later.
//
// Thread safety: implementations are called from many threads at once.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "algorithms/decision.h"
#include "algorithms/limit.h"
#include "limiter/core/clock.h"
#include "limiter/core/descriptor.h"
#include "limiter/core/key.h"
#include "limiter/core/policy.h"
#include "limiter/core/siphash.h"

namespace weir {

struct LeaseCounters;

// What decided. The numbers are those of weir.v1.Source.
enum class Source : uint8_t {
  kNone = 0,         // nothing had to be decided: no rule, or an unlimited one
  kMemory = 1,       // the embedded memory store
  kLease = 2,        // hits leased from the shared store
  kStore = 3,        // the shared store, for this request
  kDeniedCache = 4,  // a denial remembered from the shared store
  kPolicy = 5,       // a failure or overflow policy
};
inline constexpr std::size_t kSources = 6;
// In metrics and in logs; by Source.
inline constexpr std::array<std::string_view, kSources> kSourceNames = {
    "none", "memory", "lease", "store", "denied_cache", "policy"};

// How a descriptor bears on the verdict over the whole request.
enum class Weight : uint8_t {
  kEnforced,  // its denial denies the request
  kShadow,    // its denial is only recorded
  kQuota,     // the request is denied when all of this weight are
};

// The verdict over a request from those of its descriptors.
class Verdict {
 public:
  void Add(Weight weight, bool allowed) {
    if (weight == Weight::kEnforced && !allowed) denied_ = true;
    if (weight == Weight::kQuota) (allowed ? quota_allowed_ : quota_denied_) = true;
  }
  bool allowed() const { return !denied_ && !(quota_denied_ && !quota_allowed_); }

 private:
  bool denied_ = false;
  bool quota_allowed_ = false;
  bool quota_denied_ = false;
};

struct Grant {
  Decision decision;
  uint64_t remaining_before = 0;  // hits that would have passed before this call charged any
  Source source = Source::kNone;
  bool overflow = false;  // answered by the overflow policy of a full table
  // The store did not answer and the policy says to fail the request rather than to decide it.
  bool failed = false;
  // Source::kLease: when the hits it spent end, on the monotonic clock; 0: they were given back.
  int64_t lease_ends_mono_ns = 0;
};

// The counter of a descriptor where several programs count on one (shared_key.h).
struct SharedCounter {
  std::string_view key;       // empty: the limit's state has a key of its own
  int64_t window_end_ns = 0;  // of the window in the key, on the wall clock
};

// One descriptor's question to the store. `limit` outlives the call.
struct Ask {
  const Limit* limit = nullptr;
  Key key;
  SharedCounter counter;  // its key lives as long as the ask
  Op op = Op::kTake;
  Weight weight = Weight::kEnforced;
  OnStoreFailure on_store_failure = OnStoreFailure::kLocalShare;
  uint64_t hits = 1;
  // Where to write what the store holds under the key, in the form in which it is kept; empty:
  // nothing. nullptr: nobody asks.
  std::string* record = nullptr;
  // Where the hits leased for it are counted; nullptr: it is decided exactly, by the store itself.
  LeaseCounters* lease = nullptr;
  Grant grant;  // the answer
};

// Told once that every ask of an Acquire has its grant.
class Answered {
 public:
  virtual void OnAnswered() = 0;

 protected:
  virtual ~Answered() = default;

 private:
  friend class Inbox;
  Answered* next_in_inbox_ = nullptr;
};

class Inbox;

struct AcquireOptions {
  Instant now;
  ChargeDenied charge_denied = ChargeDenied::kFirst;
  // What else of the request already counts for the verdict (quota descriptors that pass).
  Verdict verdict;
  // Until when the caller waits at most, on the monotonic clock.
  int64_t deadline_mono_ns = 0;
  // What the keys were made under: another fleet's keys are not this one's.
  Secret secret;
  // Whether a token bucket without state starts empty instead of full.
  bool start_empty = false;
  // Where a late answer goes. REQUIRES: not nullptr if the store answers late.
  Inbox* inbox = nullptr;
};

// How the requests of a limit, or of one key of it, are decided. For people.
struct LeaseState {
  std::string exact_because;  // why the store decides each of them itself; empty: leases serve them
  int64_t life_ns = 0;        // a lease lasts at most
  // Of the key:
  uint64_t want = 0;         // hits that the next lease is to have
  uint64_t hits = 0;         // leased and not spent, on this node
  int64_t ends_mono_ns = 0;  // when the first of them do; 0: there are none
};

class Store {
 public:
  virtual ~Store() = default;
  // Decides all asks of one request, charging as options.charge_denied says, and fills each
  // ask's grant. Then calls answered.OnAnswered before it returns, or puts `answered` into
  // options.inbox later. `asks` and `answered` live until OnAnswered, `options` for the call.
  virtual void Acquire(std::span<Ask> asks, const AcquireOptions& options, Answered& answered) = 0;
  // Any thread. `counters` as in Ask::lease; `key` may be null.
  virtual LeaseState LeaseStateOf(const Limit& /*limit*/, LeaseCounters* /*counters*/,
                                  const Key* /*key*/) {
    return {.exact_because = "the store lies in this process"};
  }
};

}  // namespace weir
