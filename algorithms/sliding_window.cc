#include "algorithms/sliding_window.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "algorithms/saturate.h"

namespace weir::sliding_window {
namespace {

// ring[0] is the newest stamp; the count of stamp s stands in ring[1 + s % slots], for the stamps
// newest - slots + 1 … newest. A stamp is floor(now / w).

int64_t Newest(ConstRing ring) { return static_cast<int64_t>(ring[0]); }

std::size_t SlotOf(int64_t stamp, std::size_t slots) {
  return 1 + static_cast<std::size_t>(static_cast<uint64_t>(stamp) % slots);
}

// The counted part of a ring at one instant. A sub-bucket more than one ahead of the clock is a
// fault: it counts as if stamped `current`, so that it leaves after one window at the latest.
struct View {
  int64_t current = 0;
  int64_t into_ns = 0;       // since the current sub-bucket began
  int64_t oldest = 0;        // first counted stamp that the ring still holds
  int64_t newest = 0;        // last stamp the ring holds
  uint64_t sum = 0;          // hits charged in the window
  int64_t newest_used = -1;  // newest counted stamp with hits in it; -1: none
  bool clock_fault = false;
};

View Look(const Limit& limit, ConstRing ring, int64_t now_ns) {
  const std::size_t slots = ring.size() - 1;
  View view;
  view.current = now_ns / limit.bucket_ns;
  view.into_ns = now_ns % limit.bucket_ns;
  view.newest = Newest(ring);
  view.oldest = std::max({view.current - static_cast<int64_t>(limit.precision),
                          view.newest - static_cast<int64_t>(slots) + 1, int64_t{0}});
  std::size_t slot = view.oldest <= view.newest ? SlotOf(view.oldest, slots) : 1;
  // No branch on what a slot holds: which of them do differs from key to key.
  for (int64_t stamp = view.oldest; stamp <= view.newest; ++stamp) {
    const uint64_t count = ring[slot];
    view.sum += count;
    view.newest_used = count != 0 ? stamp : view.newest_used;
    slot = slot == slots ? 1 : slot + 1;
  }
  const int64_t ahead = view.current + 1;
  if (view.newest_used > ahead) {
    view.clock_fault = true;
    view.newest_used =
        ahead >= view.oldest && ring[SlotOf(ahead, slots)] != 0 ? ahead : view.current;
  }
  return view;
}

// Time until the hits of a sub-bucket leave the window. Counted from the current sub-bucket,
// because the end of a window of decades lies beyond what an int64 can name.
int64_t UntilGone(const Limit& limit, const View& view, int64_t stamp) {
  return (stamp - view.current + limit.precision + 1) * limit.bucket_ns - view.into_ns;
}

// Time until `freed` hits have left the window. REQUIRES: freed <= view.sum.
int64_t UntilFreed(const Limit& limit, ConstRing ring, const View& view, uint64_t freed) {
  if (freed == 0) return 0;
  const std::size_t slots = ring.size() - 1;
  // Faulty stamps are walked where they count: with the current one.
  uint64_t faulty = 0;
  for (int64_t stamp = std::max(view.oldest, view.current + 2); stamp <= view.newest; ++stamp) {
    faulty += ring[SlotOf(stamp, slots)];
  }
  uint64_t left = 0;
  const int64_t last = std::max(view.current, std::min(view.newest, view.current + 1));
  const int64_t first = std::min(view.oldest, view.current);
  std::size_t slot = SlotOf(first, slots);
  for (int64_t stamp = first; stamp <= last; ++stamp) {
    if (stamp >= view.oldest && stamp <= view.newest) left += ring[slot];
    if (stamp == view.current) left += faulty;
    if (left >= freed) return UntilGone(limit, view, stamp);
    slot = slot == slots ? 1 : slot + 1;
  }
  return 0;  // unreachable while freed <= view.sum
}

Decision Describe(const Limit& limit, ConstRing ring, const View& view, uint64_t hits) {
  Decision decision;
  decision.clock_fault = view.clock_fault;
  decision.remaining = limit.hits > view.sum ? limit.hits - view.sum : 0;
  if (view.newest_used >= 0) decision.reset_after_ns = UntilGone(limit, view, view.newest_used);
  const uint64_t wanted = std::max<uint64_t>(hits, 1);
  if (decision.remaining == 0) {
    decision.next_hit_after_ns =
        limit.hits == 0 ? kNeverNs : UntilFreed(limit, ring, view, view.sum + 1 - limit.hits);
  }
  if (wanted > limit.hits) {
    decision.retry_after_ns = kNeverNs;
  } else if (wanted == 1) {
    decision.retry_after_ns = decision.next_hit_after_ns;
  } else if (wanted > decision.remaining) {
    decision.retry_after_ns = UntilFreed(limit, ring, view, view.sum + wanted - limit.hits);
  }
  return decision;
}

// Moves every sub-bucket stamped more than one ahead of `current` into `current`.
void Restamp(Ring ring, int64_t current) {
  const std::size_t slots = ring.size() - 1;
  const int64_t newest = Newest(ring);
  std::array<uint64_t, kRingWordsMax> old{};
  std::copy(ring.begin(), ring.end(), old.begin());
  std::fill(ring.begin(), ring.end(), 0);
  const int64_t kept = current + 1;
  ring[0] = static_cast<uint64_t>(kept);
  const int64_t held_from = newest - static_cast<int64_t>(slots) + 1;
  const int64_t counted_from = kept - static_cast<int64_t>(slots) + 1;
  for (int64_t stamp = std::max<int64_t>(held_from, 0); stamp <= newest; ++stamp) {
    if (stamp < counted_from) continue;
    const int64_t target = stamp > kept ? current : stamp;
    uint64_t& count = ring[SlotOf(target, slots)];
    count = AddCapped(count, old[SlotOf(stamp, slots)], kCountMax);
  }
}

// Makes room for the current stamp: slots of stamps that have left are zeroed. A ring more than
// one ahead of the clock may still hold hits of the window and is moved, never cleared.
void Advance(Ring ring, const View& view) {
  if (view.newest > view.current + 1) {
    Restamp(ring, view.current);
    return;
  }
  const std::size_t slots = ring.size() - 1;
  if (view.current - view.newest >= static_cast<int64_t>(slots)) {
    std::fill(ring.begin() + 1, ring.end(), 0);
  } else {
    for (int64_t stamp = view.newest + 1; stamp <= view.current; ++stamp) {
      ring[SlotOf(stamp, slots)] = 0;
    }
  }
  ring[0] = static_cast<uint64_t>(std::max(view.newest, view.current));
}

// Adds hits to the current sub-bucket and describes the state after it, for a cost of `hits`.
Decision Charge(const Limit& limit, Ring ring, View view, int64_t now_ns, uint64_t charge,
                uint64_t hits) {
  Advance(ring, view);
  uint64_t& count = ring[SlotOf(view.current, ring.size() - 1)];
  count = AddCapped(count, charge, kCountMax);
  const bool clock_fault = view.clock_fault;
  view = Look(limit, ring, now_ns);
  view.clock_fault = clock_fault;
  return Describe(limit, ring, view, hits);
}

Decision Allowed(Decision decision) {
  decision.allowed = true;
  decision.retry_after_ns = 0;
  return decision;
}

}  // namespace

Decision Peek(const Limit& limit, ConstRing ring, int64_t now_ns, uint64_t hits) {
  Decision decision = Describe(limit, ring, Look(limit, ring, now_ns), hits);
  decision.allowed = decision.retry_after_ns == 0;
  return decision;
}

Decision Take(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits) {
  View view = Look(limit, ring, now_ns);
  // Kept even on a denial: see token_bucket::Take.
  if (view.clock_fault) Advance(ring, view);
  if (hits == 0 || hits > limit.hits || view.sum + hits > limit.hits) {
    const bool clock_fault = view.clock_fault;
    if (clock_fault) view = Look(limit, ring, now_ns);
    Decision decision = Describe(limit, ring, view, hits);
    decision.allowed = decision.retry_after_ns == 0;
    decision.clock_fault = clock_fault;
    return decision;
  }
  if (!view.clock_fault) Advance(ring, view);
  ring[SlotOf(view.current, ring.size() - 1)] += hits;
  view.sum += hits;
  view.newest_used = std::max(view.newest_used, view.current);
  Decision decision;
  decision.allowed = true;
  decision.clock_fault = view.clock_fault;
  decision.remaining = limit.hits - view.sum;
  decision.reset_after_ns = UntilGone(limit, view, view.newest_used);
  if (decision.remaining == 0) {
    // Looked at anew: the ring may have moved, and what it held before says nothing of it.
    decision.next_hit_after_ns = UntilFreed(limit, ring, Look(limit, ring, now_ns), 1);
  }
  return decision;
}

Decision Drain(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits) {
  const View view = Look(limit, ring, now_ns);
  const uint64_t rest = hits == 0 || view.sum > limit.hits ? 0 : limit.hits - view.sum;
  return Charge(limit, ring, view, now_ns, rest, hits);
}

Decision Report(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits) {
  return Allowed(Charge(limit, ring, Look(limit, ring, now_ns), now_ns, hits, 0));
}

Decision Refund(const Limit& limit, Ring ring, int64_t now_ns, uint64_t hits) {
  View view = Look(limit, ring, now_ns);
  const bool clock_fault = view.clock_fault;
  Advance(ring, view);
  view = Look(limit, ring, now_ns);
  for (int64_t stamp = view.newest; stamp >= view.oldest && hits > 0; --stamp) {
    uint64_t& count = ring[SlotOf(stamp, ring.size() - 1)];
    const uint64_t given_back = std::min(count, hits);
    count -= given_back;
    hits -= given_back;
  }
  view = Look(limit, ring, now_ns);
  view.clock_fault = clock_fault;
  return Allowed(Describe(limit, ring, view, 0));
}

bool Idle(const Limit& limit, ConstRing ring, int64_t now_ns) {
  return Look(limit, ring, now_ns).sum == 0;
}

}  // namespace weir::sliding_window
