#pragma once

// Slow oracles: what each algorithm should answer, written from the definitions in
// docs/algorithms.md with 128-bit arithmetic and explicit lists, and no code of algorithms/*.cc.
// They share only the plain types Decision and LimitSpec.
//
// - TokenBucket: the integer form (one time, E = ceil(W/L)). Equal in every field.
// - RationalBucket: tokens as exact fractions, refilled at L/W without any rounding. It equals the
//   integer form where L divides W; elsewhere it is the bound that must never be exceeded.
// - SlidingWindow: a log of (sub-bucket, hits). Equal in every field.
// - FixedWindow: one (window, count). Equal in every field.
// - The functions Breaks…: the promised bound, checked on every interval of a recorded trace.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "algorithms/decision.h"
#include "algorithms/limit.h"

namespace weir::oracle {

__extension__ typedef __int128 Wide;

enum class Kind { kTake, kDrain, kReport, kRefund };

inline Wide CeilDiv(Wide a, Wide b) { return (a + b - 1) / b; }
inline int64_t Ns(Wide value) { return static_cast<int64_t>(value); }
inline Wide CountStop() { return Wide{1} << 52; }

// ---------------------------------------------------------------------------------------------

class TokenBucket {
 public:
  explicit TokenBucket(const LimitSpec& spec) : ban_(spec.hits == 0) {
    if (ban_) return;
    burst_ = spec.burst == 0 ? spec.hits : spec.burst;
    emission_ns_ = CeilDiv(spec.window_ns, spec.hits);
  }

  Decision Peek(Wide now, uint64_t hits) const {
    const Wide used = Used(now);
    return Answer(used, Fault(now), hits, Passes(used, hits));
  }

  Decision Apply(Kind kind, Wide now, uint64_t hits) {
    const bool fault = Fault(now);
    Wide used = Used(now);
    if (kind == Kind::kTake) {
      const bool passes = Passes(used, hits);
      if (passes) used += Wide{hits} * emission_ns_;
      if (fault || (passes && hits > 0)) Write(now, used);
      return passes && hits > 0 ? Answer(used, fault, 0, true) : Answer(used, fault, hits, passes);
    }
    if (kind == Kind::kDrain) {
      // Whole hits only, so that the fraction of a hit already earned stays with the caller.
      if (hits > 0) used += Whole(used) * emission_ns_;
      Write(now, used);
      return Answer(used, fault, hits, false);
    }
    const Wide change = Wide{hits} * emission_ns_;
    used =
        kind == Kind::kReport ? std::min(Full(), used + change) : std::max(Wide{0}, used - change);
    Write(now, used);
    return Answer(used, fault, 0, true);
  }

  bool Idle(Wide now) const { return tat_ <= now; }

 private:
  Wide Full() const { return burst_ * emission_ns_; }
  bool Fault(Wide now) const { return tat_ > now + Full(); }
  Wide Used(Wide now) const { return std::clamp(tat_ - now, Wide{0}, Full()); }
  Wide Whole(Wide used) const { return ban_ ? 0 : (Full() - used) / emission_ns_; }
  bool Passes(Wide used, uint64_t hits) const {
    return !ban_ && used + std::max(Wide{hits}, Wide{1}) * emission_ns_ <= Full();
  }
  // A full bucket is one never used.
  void Write(Wide now, Wide used) { tat_ = used == 0 ? 0 : now + used; }

  int64_t Wait(Wide used, uint64_t hits) const {
    if (ban_ || Wide{hits} > burst_) return kNeverNs;
    const Wide cost = std::max(Wide{hits}, Wide{1}) * emission_ns_;
    return Ns(std::max(Wide{0}, used + cost - Full()));
  }

  Decision Answer(Wide used, bool fault, uint64_t hits, bool allowed) const {
    Decision decision;
    decision.allowed = allowed;
    decision.remaining = static_cast<uint64_t>(Whole(used));
    decision.reset_after_ns = Ns(used);
    decision.retry_after_ns = allowed ? 0 : Wait(used, hits);
    decision.next_hit_after_ns = Wait(used, 1);
    decision.clock_fault = fault;
    return decision;
  }

  bool ban_;
  Wide burst_ = 0;
  Wide emission_ns_ = 0;
  Wide tat_ = 0;
};

// A bucket with no rounding at all: a token is W units, one nanosecond refills L units.
class RationalBucket {
 public:
  explicit RationalBucket(const LimitSpec& spec)
      : rate_(spec.hits),
        token_(spec.window_ns),
        burst_(spec.burst == 0 ? spec.hits : spec.burst) {}

  // REQUIRES: now never steps back.
  bool Take(Wide now, uint64_t hits) {
    Refill(now);
    if (missing_ + Wide{hits} * token_ > burst_ * token_) return false;
    missing_ += Wide{hits} * token_;
    return true;
  }

  uint64_t Remaining(Wide now) {
    Refill(now);
    return static_cast<uint64_t>((burst_ * token_ - missing_) / token_);
  }

 private:
  void Refill(Wide now) {
    missing_ = std::max(Wide{0}, missing_ - (now - last_) * rate_);
    last_ = now;
  }

  Wide rate_;
  Wide token_;
  Wide burst_;
  Wide missing_ = 0;
  Wide last_ = 0;
};

// ---------------------------------------------------------------------------------------------

class FixedWindow {
 public:
  explicit FixedWindow(const LimitSpec& spec) : limit_(spec.hits), window_ns_(spec.window_ns) {}

  Decision Peek(Wide now, uint64_t hits) const { return Answer(At(now), now, hits, false); }

  Decision Apply(Kind kind, Wide now, uint64_t hits) {
    Seen seen = At(now);
    switch (kind) {
      case Kind::kTake:
        if (hits == 0 || seen.count + hits > limit_) return Answer(seen, now, hits, false);
        seen.count += hits;
        break;
      case Kind::kDrain:
        if (seen.count > limit_) return Answer(seen, now, hits, false);
        seen.count = std::min(CountStop(), seen.count + hits);
        Write(seen);
        return Over(Answer(seen, now, hits, false), seen, now, hits);
      case Kind::kReport:
        seen.count = std::min(CountStop(), seen.count + hits);
        break;
      case Kind::kRefund:
        seen.count = std::max(Wide{0}, seen.count - hits);
        break;
    }
    Write(seen);
    return Answer(seen, now, 0, true);
  }

  bool Idle(Wide now) const { return At(now).count == 0; }

 private:
  struct Seen {
    Wide window;
    Wide count;
    bool fault;
  };

  Seen At(Wide now) const {
    const Wide clock = now / window_ns_;
    if (count_ == 0 || window_ < clock) return {clock, 0, false};
    if (window_ > clock + 1) return {clock, 0, true};
    return {window_, count_, false};
  }
  void Write(const Seen& seen) {
    window_ = seen.window;
    count_ = seen.count;
  }
  // A drain answers for a request that was denied, so it never says allowed.
  Decision Over(Decision decision, const Seen& seen, Wide now, uint64_t hits) const {
    decision.allowed = false;
    decision.retry_after_ns = Wait(seen, now, hits);
    return decision;
  }
  int64_t Wait(const Seen& seen, Wide now, uint64_t hits) const {
    if (hits > limit_) return kNeverNs;
    const bool passes = hits == 0 ? seen.count <= limit_ : seen.count + hits <= limit_;
    return passes ? 0 : Ns((seen.window + 1) * window_ns_ - now);
  }
  Decision Answer(const Seen& seen, Wide now, uint64_t hits, bool forced) const {
    Decision decision;
    decision.retry_after_ns = forced ? 0 : Wait(seen, now, hits);
    decision.allowed = decision.retry_after_ns == 0;
    decision.remaining = static_cast<uint64_t>(std::max(Wide{0}, limit_ - seen.count));
    decision.reset_after_ns = seen.count == 0 ? 0 : Ns((seen.window + 1) * window_ns_ - now);
    decision.next_hit_after_ns = Wait(seen, now, 1);
    decision.clock_fault = seen.fault;
    return decision;
  }

  Wide limit_;
  Wide window_ns_;
  Wide window_ = 0;
  Wide count_ = 0;
};

// ---------------------------------------------------------------------------------------------

class SlidingWindow {
 public:
  explicit SlidingWindow(const LimitSpec& spec)
      : limit_(spec.hits),
        precision_(spec.precision),
        bucket_ns_(CeilDiv(spec.window_ns, spec.precision)) {}

  Decision Peek(Wide now, uint64_t hits) const { return Answer(Counted(now), now, hits, false); }

  Decision Apply(Kind kind, Wide now, uint64_t hits) {
    const Window before = Counted(now);
    if (kind == Kind::kTake) {
      const bool charges = hits > 0 && before.sum + hits <= limit_;
      if (charges || before.fault) Advance(now);
      if (charges) Add(now, hits);
      Decision decision =
          charges ? Answer(Counted(now), now, 0, true) : Answer(Counted(now), now, hits, false);
      decision.clock_fault = before.fault;
      return decision;
    }
    Advance(now);
    uint64_t asked = 0;
    if (kind == Kind::kDrain) {
      asked = hits;
      if (hits > 0 && before.sum < limit_) Add(now, limit_ - before.sum);
    } else if (kind == Kind::kReport) {
      Add(now, hits);
    } else {
      GiveBack(now, hits);
    }
    Decision decision = Answer(Counted(now), now, asked, kind != Kind::kDrain);
    if (kind == Kind::kDrain) decision.allowed = false;
    decision.clock_fault = before.fault;
    return decision;
  }

  bool Idle(Wide now) const { return Counted(now).sum == 0; }

 private:
  struct Entry {
    Wide stamp;
    Wide hits;
  };
  // What counts at one instant, oldest first.
  struct Window {
    std::vector<Entry> entries;
    Wide sum = 0;
    bool fault = false;
  };

  Wide StampAt(Wide now) const { return now / bucket_ns_; }

  // The current sub-bucket, the `precision` full ones before it, and any ahead of the clock; those
  // more than one ahead count as if charged now.
  Window Counted(Wide now) const {
    Window window;
    const Wide current = StampAt(now);
    for (Entry entry : log_) {
      if (entry.hits == 0 || entry.stamp < current - precision_) continue;
      if (entry.stamp > current + 1) {
        entry.stamp = current;
        window.fault = true;
      }
      window.entries.push_back(entry);
      window.sum += entry.hits;
    }
    std::sort(window.entries.begin(), window.entries.end(),
              [](const Entry& a, const Entry& b) { return a.stamp < b.stamp; });
    return window;
  }

  // What every write does first: a fault is put right, and what the state has no room for is
  // forgotten (it keeps the sub-buckets of the window, the current one and one ahead).
  void Advance(Wide now) {
    const Wide current = StampAt(now);
    std::vector<Entry> old = std::move(log_);
    log_.clear();
    newest_ = newest_ > current + 1 ? current + 1 : std::max(newest_, current);
    for (const Entry& entry : old) {
      const Wide stamp = entry.stamp > current + 1 ? current : entry.stamp;
      if (stamp >= newest_ - precision_ - 1) AddAt(stamp, entry.hits);
    }
  }
  void Add(Wide now, Wide hits) { AddAt(StampAt(now), hits); }
  void AddAt(Wide stamp, Wide hits) {
    for (Entry& entry : log_) {
      if (entry.stamp == stamp) {
        entry.hits = std::min(CountStop(), entry.hits + hits);
        return;
      }
    }
    log_.push_back({stamp, std::min(CountStop(), hits)});
  }
  void GiveBack(Wide now, Wide hits) {
    std::sort(log_.begin(), log_.end(),
              [](const Entry& a, const Entry& b) { return a.stamp > b.stamp; });
    for (Entry& entry : log_) {
      if (entry.stamp < StampAt(now) - precision_) continue;
      const Wide given_back = std::min(entry.hits, hits);
      entry.hits -= given_back;
      hits -= given_back;
    }
  }

  Wide LeavesAt(Wide stamp) const { return (stamp + precision_ + 1) * bucket_ns_; }
  int64_t Wait(const Window& window, Wide now, Wide hits) const {
    if (hits > limit_) return kNeverNs;
    Wide sum = window.sum;
    if (sum + hits <= limit_) return 0;
    for (const Entry& entry : window.entries) {
      sum -= entry.hits;
      if (sum + hits <= limit_) return Ns(LeavesAt(entry.stamp) - now);
    }
    return -1;  // cannot happen: an empty window admits
  }
  Decision Answer(const Window& window, Wide now, uint64_t hits, bool forced) const {
    Decision decision;
    decision.retry_after_ns = forced ? 0 : Wait(window, now, std::max(Wide{hits}, Wide{1}));
    decision.allowed = decision.retry_after_ns == 0;
    decision.remaining = static_cast<uint64_t>(std::max(Wide{0}, limit_ - window.sum));
    if (!window.entries.empty()) {
      decision.reset_after_ns = Ns(LeavesAt(window.entries.back().stamp) - now);
    }
    decision.next_hit_after_ns = Wait(window, now, 1);
    decision.clock_fault = window.fault;
    return decision;
  }

  Wide limit_;
  Wide precision_;
  Wide bucket_ns_;
  Wide newest_ = 0;
  std::vector<Entry> log_;
};

// ---------------------------------------------------------------------------------------------

// One admitted Take (hits > 0) or one refund (hits < 0) of a trace whose clock never steps back.
struct Admitted {
  int64_t now;
  Wide hits;
};
using Trace = std::vector<Admitted>;

// Some interval [s, e] admitted more than B + L*(e-s)/W.
inline bool BreaksTokenBucket(const LimitSpec& spec, const Trace& trace) {
  const Wide burst = spec.burst == 0 ? spec.hits : spec.burst;
  for (std::size_t s = 0; s < trace.size(); ++s) {
    Wide sum = 0;
    for (std::size_t e = s; e < trace.size(); ++e) {
      sum += trace[e].hits;
      const Wide elapsed = Wide{trace[e].now} - trace[s].now;
      if (sum * spec.window_ns > burst * spec.window_ns + elapsed * spec.hits) return true;
    }
  }
  return false;
}

// Some closed interval [e-W, e] admitted more than `most`: an exact sliding log.
inline bool AdmitsMoreInAWindow(const LimitSpec& spec, const Trace& trace, Wide most) {
  for (std::size_t e = 0; e < trace.size(); ++e) {
    Wide sum = 0;
    for (std::size_t s = e + 1; s-- > 0 && trace[s].now >= trace[e].now - spec.window_ns;) {
      sum += trace[s].hits;
    }
    if (sum > most) return true;
  }
  return false;
}

inline bool BreaksSlidingWindow(const LimitSpec& spec, const Trace& trace) {
  return AdmitsMoreInAWindow(spec, trace, spec.hits);
}

// Some aligned window admitted more than L, or some interval of length W more than 2L.
inline bool BreaksFixedWindow(const LimitSpec& spec, const Trace& trace) {
  std::map<int64_t, Wide> counts;
  for (const Admitted& take : trace) {
    Wide& count = counts[take.now / spec.window_ns];
    count += take.hits;
    if (count > spec.hits) return true;
  }
  return AdmitsMoreInAWindow(spec, trace, Wide{2} * spec.hits);
}

}  // namespace weir::oracle
