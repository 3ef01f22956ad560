#include "limiter/store/lease.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace weir {
namespace {

bool Live(const LeaseView& view, const Lease& lease, const Lease::Slot& slot) {
  return slot.hits > 0 && view.now_mono_ns < slot.expires_mono_ns &&
         lease.history == view.history && lease.limit_hits == view.limit.hits;
}

uint16_t WantOf(const Lease& lease) { return std::max<uint16_t>(lease.want, 1); }

void Halve(Lease& lease) { lease.want = std::max<uint16_t>(WantOf(lease) / 2, 1); }

void Double(Lease& lease) {
  lease.want =
      static_cast<uint16_t>(std::min<uint32_t>(uint32_t{WantOf(lease)} * 2, kLeaseWantMax));
}

void Expired(Lease& lease, uint64_t hits) {
  if (lease.counters != nullptr) lease.counters->expired.fetch_add(hits, std::memory_order_relaxed);
}

// Takes the hits that cannot be spent any more out of a slot. Those of a fixed window are kept to
// be given back, if the store may still have that window.
void Retire(const LeaseView& view, Lease& lease, Lease::Slot& slot) {
  const uint32_t hits = std::exchange(slot.hits, 0);
  if (hits == 0) return;
  slot.began_mono_ns = 0;  // it says nothing of how fast hits go
  if (hits > slot.granted / 2) {
    Halve(lease);
    lease.want = std::clamp<uint16_t>(
        static_cast<uint16_t>(std::min<uint32_t>(slot.granted - hits, kLeaseWantMax)), 1,
        lease.want);
  }
  const bool same = lease.history == view.history && lease.limit_hits == view.limit.hits;
  if (view.limit.algorithm != Algorithm::kFixedWindow || !same) {
    Expired(lease, hits);
    return;
  }
  if (lease.back_window != slot.window) {
    Expired(lease, lease.back_hits);
    lease.back_hits = 0;
    lease.back_window = slot.window;
  }
  lease.back_hits += hits;
}

// Afterwards the first slot is live, or none is.
void Sweep(const LeaseView& view, Lease& lease) {
  for (Lease::Slot& slot : lease.slots) {
    if (!Live(view, lease, slot)) Retire(view, lease, slot);
  }
  if (lease.slots[0].hits == 0 && lease.slots[1].hits > 0) {
    std::swap(lease.slots[0], lease.slots[1]);
  }
}

// What another primary granted is not given back to this one.
void ForgetBack(const LeaseView& view, Lease& lease) {
  if (lease.history != view.history) Expired(lease, std::exchange(lease.back_hits, 0));
}

void NoteSpent(const LeaseView& view, uint32_t hits, Lease& lease) {
  if (view.limit.algorithm == Algorithm::kTokenBucket) return;
  const bool fixed = view.limit.algorithm == Algorithm::kFixedWindow;
  const int64_t now_ns = fixed ? view.now_wall_ns : view.now_mono_ns;
  const int64_t window_ns = view.limit.window_ns;
  if (now_ns >= lease.spent_end_ns || now_ns < lease.spent_end_ns - window_ns) {
    const int64_t end_ns = (now_ns / window_ns + 1) * window_ns;
    const bool next = end_ns == lease.spent_end_ns + window_ns;
    lease.spent_before = next ? std::exchange(lease.spent_now, 0) : 0;
    if (!next) lease.spent_now = 0;
    lease.spent_end_ns = end_ns;
  }
  lease.spent_now += hits;
}

int64_t LifeLeft(int64_t ttl_ns) { return ttl_ns - ttl_ns / kLeaseDriftInverse - kLeaseGuardNs; }

}  // namespace

LeasePlan LeasePlanOf(const Limit& limit, const LeaseOptions& options) {
  if (limit.capacity <= 1) return {};
  LeasePlan plan;
  plan.life_ns = LeaseLifeMaxNs(limit);
  const bool bucket = limit.algorithm == Algorithm::kTokenBucket;
  // A window is shorter than its lease: it dies with the window.
  if (limit.algorithm == Algorithm::kFixedWindow) {
    plan.life_ns = std::min(plan.life_ns, limit.window_ns);
  }
  if (bucket && limit.burst_ns - plan.life_ns < limit.emission_ns) return {};
  if (LifeLeft(plan.life_ns) <= 0) return {};
  plan.target_life_ns = std::min(options.target_life_ns, plan.life_ns / 2);
  return plan;
}

bool SpendLease(const LeaseView& view, Ask& ask, Lease& lease) {
  Lease::Slot& first = lease.slots[0];
  Lease::Slot& second = lease.slots[1];
  if (!Live(view, lease, first)) Sweep(view, lease);
  const uint64_t live = LiveHits(view, lease);
  if (live == 0 || ask.hits > live) return false;
  const auto from_first = static_cast<uint32_t>(std::min<uint64_t>(ask.hits, first.hits));
  first.hits -= from_first;
  second.hits -= static_cast<uint32_t>(ask.hits - from_first);
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
  grant.lease_ends_mono_ns = first.expires_mono_ns;
  if (ask.hits > from_first) {
    grant.lease_ends_mono_ns = std::min(first.expires_mono_ns, second.expires_mono_ns);
  }
  ask.grant = grant;
  return true;
}

void UnspendLease(const LeaseView& view, uint64_t hits, int64_t ends_mono_ns, Lease& lease) {
  // To the one that ends first, whichever they came from.
  Lease::Slot& first = lease.slots[0];
  const bool same = lease.history == view.history && lease.limit_hits == view.limit.hits;
  if (same && view.now_mono_ns < first.expires_mono_ns && first.expires_mono_ns <= ends_mono_ns &&
      hits <= first.granted - first.hits) {
    first.hits += static_cast<uint32_t>(hits);
  }
}

bool WantsRefresh(const LeaseView& view, const Lease& lease, int64_t rtt_ns) {
  if (lease.calling_until_mono_ns > view.now_mono_ns ||
      lease.hungry_until_mono_ns > view.now_mono_ns || lease.slots[1].hits > 0) {
    return false;
  }
  const Lease::Slot& first = lease.slots[0];
  return first.hits <= WantOf(lease) / 4 || first.expires_mono_ns - view.now_mono_ns <= 2 * rtt_ns;
}

LeaseAsk AskForLease(const LeaseView& view, uint64_t waiting, const LeaseOptions& options,
                     Lease& lease) {
  Sweep(view, lease);
  ForgetBack(view, lease);
  // The newest hits there were: what became of them says how many the next should be.
  const Lease::Slot& newest = lease.slots[0].began_mono_ns >= lease.slots[1].began_mono_ns
                                  ? lease.slots[0]
                                  : lease.slots[1];
  if (newest.began_mono_ns > 0 && newest.hits <= newest.granted / 4) {
    const int64_t lasted_ns = view.now_mono_ns - newest.began_mono_ns;
    if (lasted_ns <= view.plan.target_life_ns) {
      // More would not have helped where the store gave less than was asked for.
      if (newest.granted >= WantOf(lease)) Double(lease);
    } else if (lasted_ns > 3 * view.plan.target_life_ns) {
      Halve(lease);
    }
  }
  LeaseAsk ask;
  ask.want = std::max<uint64_t>(WantOf(lease), waiting);
  ask.share = lease.hungry_until_mono_ns > view.now_mono_ns ? 1 : options.share;
  ask.life_ns = view.plan.life_ns;
  ask.back_hits = std::exchange(lease.back_hits, 0);
  ask.back_window = lease.back_window;
  if (ask.back_hits > 0 && lease.counters != nullptr) {
    lease.counters->returned.fetch_add(ask.back_hits, std::memory_order_relaxed);
  }
  return ask;
}

void NoteGranted(const LeaseView& view, const RemoteReply& reply, uint64_t own,
                 int64_t sent_mono_ns, Lease& lease) {
  Sweep(view, lease);
  ForgetBack(view, lease);
  if (lease.history != view.history || lease.limit_hits != view.limit.hits) {
    lease.history = view.history;
    lease.limit_hits = view.limit.hits;
  }
  lease.window_ns = view.limit.window_ns;
  lease.remaining = static_cast<uint32_t>(reply.decision.remaining);
  lease.reset_at_mono_ns = reply.decision.reset_after_ns > kNeverNs - sent_mono_ns
                               ? kNeverNs
                               : sent_mono_ns + reply.decision.reset_after_ns;
  if (reply.granted == 0) return;
  const uint64_t leased = reply.granted > own ? reply.granted - own : 0;
  Lease::Slot slot;
  slot.hits = static_cast<uint32_t>(leased);
  slot.granted = static_cast<uint32_t>(reply.granted);
  slot.began_mono_ns = sent_mono_ns;
  slot.expires_mono_ns = sent_mono_ns + LifeLeft(reply.ttl_ns);
  slot.window = reply.window;
  if (leased > 0 && lease.counters != nullptr) {
    // Before they can be spent: whoever reads what was spent first never sees more of it.
    lease.counters->granted.fetch_add(leased, std::memory_order_relaxed);
  }
  Lease::Slot& to = lease.slots[0].hits == 0 ? lease.slots[0] : lease.slots[1];
  if (to.hits > 0 && leased == 0) return;
  if (to.hits > 0) {
    // Both are live: the two newer ones become one, which ends when the earlier of them does.
    if (to.window != slot.window) {
      Expired(lease, slot.hits);
      return;
    }
    slot.hits += to.hits;
    slot.granted += to.granted;
    slot.expires_mono_ns = std::min(slot.expires_mono_ns, to.expires_mono_ns);
  }
  to = slot;
  if (!Live(view, lease, to)) Retire(view, lease, to);
}

uint64_t TakeSpent(const LeaseView& view, Lease& lease) {
  NoteSpent(view, 0, lease);
  const uint64_t now = std::exchange(lease.spent_now, 0);
  const uint64_t before = std::exchange(lease.spent_before, 0);
  return view.limit.algorithm == Algorithm::kFixedWindow ? now : now + before;
}

LeaseAsk AskToGiveBack(int64_t now_mono_ns, Lease& lease) {
  LeaseAsk ask;
  ask.back_window = std::max(lease.slots[0].window, lease.slots[1].window);
  for (Lease::Slot& slot : lease.slots) {
    const uint32_t hits = std::exchange(slot.hits, 0);
    if (slot.window == ask.back_window && now_mono_ns < slot.expires_mono_ns) {
      ask.back_hits += hits;
    } else {
      Expired(lease, hits);
    }
  }
  const uint32_t kept = std::exchange(lease.back_hits, 0);
  if (lease.back_window == ask.back_window) ask.back_hits += kept;
  if (lease.counters != nullptr) {
    lease.counters->returned.fetch_add(ask.back_hits, std::memory_order_relaxed);
  }
  return ask;
}

uint64_t LiveHits(const LeaseView& view, const Lease& lease) {
  uint64_t hits = 0;
  for (const Lease::Slot& slot : lease.slots) {
    if (Live(view, lease, slot)) hits += slot.hits;
  }
  return hits;
}

int64_t LeaseIdleAt(const Lease& lease) {
  return std::max({lease.slots[0].expires_mono_ns, lease.slots[1].expires_mono_ns,
                   lease.calling_until_mono_ns, lease.hungry_until_mono_ns});
}

}  // namespace weir
