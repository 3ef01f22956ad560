#include "limiter/store/lease.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace weir {
namespace {

constexpr int kSlots = 2;

// Leases that are to last longer than this are for riding out pauses of the store.
constexpr int64_t kLongNs = 1'000'000'000;

// After that long, unspent hits of a fixed window were too many.
constexpr int64_t kLivedLongNs = 200'000'000;

uint16_t TagOf(const LeaseCounters* counters) {
  return static_cast<uint16_t>(reinterpret_cast<uintptr_t>(counters) >> 4);
}

bool SameHistory(const LeaseView& view, const Lease& lease) {
  return lease.history == static_cast<uint16_t>(view.history);
}

// Also whether the limit and the rule are those that it was granted under.
bool SameGrantor(const LeaseView& view, const Lease& lease) {
  return SameHistory(view, lease) && lease.limit_hits == view.limit.hits &&
         lease.rule == TagOf(view.counters);
}

// The hits of a slot that can be spent.
uint16_t Live(const LeaseView& view, const Lease& lease, int slot) {
  const bool live = view.now_mono_ns < lease.ends_mono_ns[slot] && SameGrantor(view, lease);
  return live ? lease.hits[slot] : 0;
}

uint16_t WantOf(const Lease& lease) { return std::max<uint16_t>(lease.want, 1); }

// A lease is low when that part of it is left, and the next one is asked for.
uint16_t LowPart(const Lease& lease) { return lease.renew_ms > 0 ? 2 : 4; }

void Halve(Lease& lease) { lease.want = std::max<uint16_t>(WantOf(lease) / 2, 1); }

void Double(Lease& lease) {
  lease.want =
      static_cast<uint16_t>(std::min<uint32_t>(uint32_t{WantOf(lease)} * 2, kLeaseWantMax));
}

void Expired(Lease& lease, uint64_t hits) {
  if (lease.counters != nullptr) lease.counters->expired.fetch_add(hits, std::memory_order_relaxed);
}

void Returned(Lease& lease, uint64_t hits) {
  if (lease.counters != nullptr) {
    lease.counters->returned.fetch_add(hits, std::memory_order_relaxed);
  }
}

// Hits of a slot of a fixed window wait to be given back.
void KeepBack(Lease& lease, int slot, uint16_t hits) {
  if (lease.back_window != lease.window[slot]) {
    Expired(lease, std::exchange(lease.back_hits, 0));
    lease.back_window = lease.window[slot];
  }
  lease.back_hits += hits;
}

// Takes the hits that cannot be spent any more out of a slot. Those of a fixed window are kept to
// be given back, if the store may still have that window.
void Retire(const LeaseView& view, Lease& lease, int slot) {
  const uint16_t hits = std::exchange(lease.hits[slot], 0);
  if (hits == 0) return;
  const int64_t lived_ns = lease.ends_mono_ns[slot] - std::exchange(lease.began_mono_ns[slot], 0);
  // One that the end of its window cut short was not too large: the next window goes as this one.
  const bool cut_short = view.limit.algorithm == Algorithm::kFixedWindow && lived_ns < kLivedLongNs;
  const uint32_t granted = lease.granted[slot];
  if (hits > granted / 2 && !cut_short) {
    const uint32_t spent = std::min<uint32_t>(granted - hits, kLeaseWantMax);
    Halve(lease);
    lease.want = std::clamp<uint16_t>(static_cast<uint16_t>(spent), 1, lease.want);
  }
  if (view.limit.algorithm != Algorithm::kFixedWindow || !SameGrantor(view, lease)) {
    Expired(lease, hits);
    return;
  }
  KeepBack(lease, slot, hits);
}

void Move(Lease& lease, int from, int to) {
  lease.hits[to] = std::exchange(lease.hits[from], 0);
  lease.ends_mono_ns[to] = lease.ends_mono_ns[from];
  lease.granted[to] = lease.granted[from];
  lease.began_mono_ns[to] = lease.began_mono_ns[from];
  lease.window[to] = lease.window[from];
}

// Afterwards the first slot is live, or none is.
void Sweep(const LeaseView& view, Lease& lease) {
  for (int slot = 0; slot < kSlots; ++slot) {
    if (Live(view, lease, slot) == 0) Retire(view, lease, slot);
  }
  if (lease.hits[0] == 0 && lease.hits[1] > 0) Move(lease, 1, 0);
}

// What another primary granted is not given back to this one.
void ForgetBack(const LeaseView& view, Lease& lease) {
  if (!SameHistory(view, lease)) Expired(lease, std::exchange(lease.back_hits, 0));
}

void NoteSpent(const LeaseView& view, uint32_t hits, Lease& lease) {
  if (view.limit.algorithm == Algorithm::kTokenBucket) return;
  const bool fixed = view.limit.algorithm == Algorithm::kFixedWindow;
  const int64_t now_ns = fixed ? view.now_wall_ns : view.now_mono_ns;
  const int64_t window_ns = view.limit.window_ns;
  const int64_t start_ns = lease.spent_end_ns - window_ns;
  if (now_ns < start_ns && now_ns >= start_ns - window_ns) {
    lease.spent_before += hits;  // its clock was read before another thread met the edge
    return;
  }
  if (now_ns >= lease.spent_end_ns || now_ns < start_ns) {
    const int64_t end_ns = (now_ns / window_ns + 1) * window_ns;
    const bool next = end_ns == lease.spent_end_ns + window_ns;
    lease.spent_before = next ? std::exchange(lease.spent_now, 0) : 0;
    if (!next) lease.spent_now = 0;
    lease.spent_end_ns = end_ns;
  }
  lease.spent_now += hits;
}

uint32_t LeastShare(Algorithm algorithm, uint32_t share) {
  switch (algorithm) {
    case Algorithm::kTokenBucket:
      return 1;  // what is left comes back by itself
    case Algorithm::kFixedWindow:
      return std::min<uint32_t>(2, share);
    case Algorithm::kSlidingWindow:
      break;
  }
  return share;
}

int64_t LifeLeft(int64_t ttl_ns) { return ttl_ns - ttl_ns / kLeaseDriftInverse - kLeaseGuardNs; }

}  // namespace

LeasePlan LeasePlanOf(const Limit& limit, const LeaseOptions& options) {
  const auto exact = [](const char* because) {
    LeasePlan plan;
    plan.exact_because = because;
    return plan;
  };
  if (limit.capacity == 0) return exact("it admits nothing");
  if (limit.capacity == 1) return exact("its limit is a single hit");
  LeasePlan plan;
  plan.life_ns = LeaseLifeMaxNs(limit);
  if (limit.algorithm == Algorithm::kTokenBucket) {
    if (options.burst_ratio <= 0) return exact("lease-burst-ratio is 0");
    const double life_ns = static_cast<double>(limit.burst_ns) * options.burst_ratio;
    plan.life_ns = std::min(static_cast<int64_t>(life_ns), kLeaseLifeMaxNs);
    if (limit.burst_ns - plan.life_ns < limit.emission_ns) {
      return exact("lease-burst-ratio leaves no hit of its burst beside a lease");
    }
  }
  // A lease dies with its window.
  if (limit.algorithm == Algorithm::kFixedWindow) {
    plan.life_ns = std::min(plan.life_ns, limit.window_ns);
  }
  if (LifeLeft(plan.life_ns) <= 0) return exact("a lease would last less than a millisecond");
  plan.target_life_ns = std::min(options.target_life_ns, plan.life_ns / 2);
  if (options.target_life_ns > plan.target_life_ns && plan.life_ns >= kLongNs) {
    plan.renew_ns = plan.life_ns / 2;
  }
  return plan;
}

bool SpendLease(const LeaseView& view, Ask& ask, Lease& lease) {
  if (Live(view, lease, 0) == 0) Sweep(view, lease);
  const uint64_t live = LiveHits(view, lease);
  if (live == 0 || ask.hits > live) return false;
  const auto from_first = static_cast<uint16_t>(std::min<uint64_t>(ask.hits, lease.hits[0]));
  lease.hits[0] = static_cast<uint16_t>(lease.hits[0] - from_first);
  lease.hits[1] = static_cast<uint16_t>(lease.hits[1] - (ask.hits - from_first));
  NoteSpent(view, static_cast<uint32_t>(ask.hits), lease);
  const uint64_t left = live - ask.hits;
  Grant grant;
  Decision& decision = grant.decision;
  decision.allowed = true;
  decision.remaining = std::min<uint64_t>(lease.remaining + left, view.limit.capacity);
  decision.reset_after_ns = std::max<int64_t>(lease.reset_at_mono_ns - view.now_mono_ns, 0);
  if (decision.remaining == 0) {
    decision.next_hit_after_ns = view.limit.algorithm == Algorithm::kTokenBucket
                                     ? view.limit.emission_ns
                                     : decision.reset_after_ns;
  }
  grant.remaining_before = std::min<uint64_t>(lease.remaining + live, view.limit.capacity);
  grant.source = Source::kLease;
  grant.lease_ends_mono_ns = lease.ends_mono_ns[0];
  if (ask.hits > from_first) {
    grant.lease_ends_mono_ns = std::min(lease.ends_mono_ns[0], lease.ends_mono_ns[1]);
  }
  ask.grant = grant;
  return true;
}

void UnspendLease(const LeaseView& view, uint64_t hits, int64_t ends_mono_ns, Lease& lease) {
  // To the one that ends first, whichever they came from.
  const int64_t first_ends_mono_ns = lease.ends_mono_ns[0];
  const uint64_t after = lease.hits[0] + hits;
  if (SameGrantor(view, lease) && view.now_mono_ns < first_ends_mono_ns &&
      first_ends_mono_ns <= ends_mono_ns &&
      after <= std::min<uint64_t>(lease.granted[0], kLeaseWantMax)) {
    lease.hits[0] = static_cast<uint16_t>(after);
  } else {
    Expired(lease, hits);
  }
}

bool WantsRefresh(const LeaseView& view, const Lease& lease, int64_t rtt_ns) {
  if (lease.quiet_until_mono_ns > view.now_mono_ns || lease.hits[1] > 0) return false;
  const int64_t renew_ns = std::max(2 * rtt_ns, lease.renew_ms * int64_t{1'000'000});
  return lease.hits[0] <= WantOf(lease) / LowPart(lease) ||
         lease.ends_mono_ns[0] - view.now_mono_ns <= renew_ns;
}

void PutBack(const LeaseView& view, Lease& lease) {
  Sweep(view, lease);
  if (view.limit.algorithm != Algorithm::kFixedWindow) return;
  for (int slot = 0; slot < kSlots; ++slot) {
    const uint16_t hits = std::exchange(lease.hits[slot], 0);
    if (hits > 0) KeepBack(lease, slot, hits);
  }
}

LeaseAsk AskForLease(const LeaseView& view, const LeasePlan& plan, uint64_t waiting,
                     const LeaseOptions& options, Lease& lease) {
  Sweep(view, lease);
  ForgetBack(view, lease);
  // The newest hits there were: what became of them says how many the next should be.
  const int newest = lease.began_mono_ns[0] >= lease.began_mono_ns[1] ? 0 : 1;
  const uint32_t granted = lease.granted[newest];
  if (lease.began_mono_ns[newest] > 0 && lease.hits[newest] <= granted / LowPart(lease)) {
    const int64_t lasted_ns = view.now_mono_ns - lease.began_mono_ns[newest];
    if (lasted_ns <= plan.target_life_ns) {
      // More would not have helped where the store gave less than was asked for.
      if (granted >= WantOf(lease)) Double(lease);
    } else if (lasted_ns > 3 * plan.target_life_ns) {
      Halve(lease);
    }
  }
  LeaseAsk ask;
  ask.want = std::max<uint64_t>(WantOf(lease), waiting);
  ask.share = lease.hungry_until_mono_ns > view.now_mono_ns ? 1 : options.share;
  const bool known = view.now_mono_ns < lease.reset_at_mono_ns;  // else all of it came back
  if (known && ask.share > 1) {
    // Where little is left a share of it is a few hits, and they make calls without end: better
    // half of the size that is wanted, for who comes first. A sliding window has nothing to spare.
    const uint64_t fits = 2 * uint64_t{lease.remaining} / WantOf(lease);
    const uint32_t least = LeastShare(view.limit.algorithm, options.share);
    ask.share = static_cast<uint32_t>(std::clamp<uint64_t>(fits, least, options.share));
  }
  if (known && ask.share > 1 && (lease.remaining + ask.share - 1) / ask.share < waiting) {
    // A share would leave some of those who wait for another call: they get what they need, and
    // nobody gets a lease.
    ask.share = 1;
    ask.want = waiting;
  }
  ask.life_ns = plan.life_ns;
  lease.renew_ms = static_cast<uint16_t>(plan.renew_ns / 1'000'000);
  ask.back_hits = std::exchange(lease.back_hits, 0);
  ask.back_window = lease.back_window;
  Returned(lease, ask.back_hits);
  return ask;
}

void NoteGranted(const LeaseView& view, const RemoteReply& reply, uint64_t own,
                 int64_t sent_mono_ns, Lease& lease) {
  Sweep(view, lease);
  ForgetBack(view, lease);
  lease.history = static_cast<uint16_t>(view.history);
  lease.rule = TagOf(view.counters);
  if (view.counters != nullptr) lease.counters = view.counters;
  lease.limit_hits = view.limit.hits;
  lease.window_ns = view.limit.window_ns;
  lease.remaining = static_cast<uint32_t>(reply.decision.remaining);
  lease.reset_at_mono_ns = reply.decision.reset_after_ns > kNeverNs - sent_mono_ns
                               ? kNeverNs
                               : sent_mono_ns + reply.decision.reset_after_ns;
  if (reply.granted == 0) return;
  const uint64_t leased = reply.granted > own ? reply.granted - own : 0;
  if (leased > 0 && lease.counters != nullptr) {
    // Before they can be spent: whoever reads what was spent first never sees more of it.
    lease.counters->granted.fetch_add(leased, std::memory_order_relaxed);
  }
  const int to = lease.hits[0] == 0 ? 0 : 1;
  const uint16_t held = lease.hits[to];
  if (held > 0 && leased == 0) return;
  int64_t ends_mono_ns = sent_mono_ns + LifeLeft(reply.ttl_ns);
  uint64_t granted = reply.granted;
  if (held > 0) {
    // Both are live: the two newer ones become one, which ends when the earlier of them does.
    if (lease.window[to] != reply.window) {
      Expired(lease, leased);
      return;
    }
    ends_mono_ns = std::min(ends_mono_ns, lease.ends_mono_ns[to]);
    granted += lease.granted[to];
  }
  const uint64_t hits = std::min<uint64_t>(held + leased, kLeaseWantMax);
  Expired(lease, held + leased - hits);
  lease.hits[to] = static_cast<uint16_t>(hits);
  lease.ends_mono_ns[to] = ends_mono_ns;
  lease.granted[to] = static_cast<uint32_t>(granted);
  lease.began_mono_ns[to] = sent_mono_ns;
  lease.window[to] = reply.window;
  if (Live(view, lease, to) == 0) Retire(view, lease, to);
}

uint64_t TakeSpent(const LeaseView& view, Lease& lease) {
  NoteSpent(view, 0, lease);
  const uint64_t now = std::exchange(lease.spent_now, 0);
  const uint64_t before = std::exchange(lease.spent_before, 0);
  return view.limit.algorithm == Algorithm::kFixedWindow ? now : now + before;
}

LeaseAsk AskToGiveBack(Lease& lease) {
  LeaseAsk ask;
  ask.back_window = std::max(lease.window[0], lease.window[1]);
  for (int slot = 0; slot < kSlots; ++slot) {
    const uint16_t hits = std::exchange(lease.hits[slot], 0);
    // Also of a lease that ended: its window may still be there, and the store looks.
    if (lease.window[slot] == ask.back_window) {
      ask.back_hits += hits;
    } else {
      Expired(lease, hits);
    }
  }
  const uint32_t kept = std::exchange(lease.back_hits, 0);
  if (lease.back_window == ask.back_window) ask.back_hits += kept;
  Returned(lease, ask.back_hits);
  return ask;
}

void NotReturned(const LeaseAsk& ask, Lease& lease) {
  if (lease.counters != nullptr) {
    lease.counters->returned.fetch_sub(ask.back_hits, std::memory_order_relaxed);
  }
  if (lease.back_hits > 0 && lease.back_window != ask.back_window) {
    Expired(lease, ask.back_hits);  // those of a newer window came meanwhile
    return;
  }
  lease.back_hits += static_cast<uint32_t>(ask.back_hits);
  lease.back_window = ask.back_window;
}

uint64_t LiveHits(const LeaseView& view, const Lease& lease) {
  return uint64_t{Live(view, lease, 0)} + Live(view, lease, 1);
}

int64_t LiveUntil(const LeaseView& view, const Lease& lease) {
  int64_t ends_mono_ns = kNeverNs;
  for (int slot = 0; slot < kSlots; ++slot) {
    if (Live(view, lease, slot) > 0)
      ends_mono_ns = std::min(ends_mono_ns, lease.ends_mono_ns[slot]);
  }
  return ends_mono_ns;
}

void KeepCell(const Lease& lease, Cell& cell) {
  cell.idle_at_ns = std::max({cell.idle_at_ns, lease.ends_mono_ns[0], lease.ends_mono_ns[1],
                              lease.quiet_until_mono_ns, lease.hungry_until_mono_ns});
}

}  // namespace weir
