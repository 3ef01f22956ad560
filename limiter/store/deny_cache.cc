#include "limiter/store/deny_cache.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "algorithms/decision.h"

namespace weir {
namespace {

// The store's clock may run faster than ours by one part in this many.
constexpr int64_t kDriftMaxInverse = 1'000;

int64_t After(int64_t at_ns, int64_t now_ns) {
  return at_ns == kNeverNs ? kNeverNs : std::max<int64_t>(at_ns - now_ns, 0);
}

// A bucket's level follows from when it will be full: everything else is arithmetic.
Decision BucketDecision(const Limit& limit, const Cell::Shared& denied, int64_t now_ns,
                        uint64_t hits) {
  Decision decision;
  decision.reset_after_ns = After(denied.reset_at_ns, now_ns);
  const int64_t free_ns = limit.burst_ns - decision.reset_after_ns;
  decision.remaining = static_cast<uint64_t>(free_ns / limit.emission_ns);
  decision.next_hit_after_ns = std::max<int64_t>(limit.emission_ns - free_ns, 0);
  decision.retry_after_ns =
      hits > limit.capacity ? kNeverNs : static_cast<int64_t>(hits) * limit.emission_ns - free_ns;
  return decision;
}

Decision WindowDecision(const Limit& limit, const Cell::Shared& denied, int64_t now_ns,
                        uint64_t hits) {
  Decision decision;
  decision.reset_after_ns = After(denied.reset_at_ns, now_ns);
  // A cost that never passes stays denied when the window is free again.
  decision.remaining = decision.reset_after_ns == 0 ? limit.hits : denied.remaining;
  decision.retry_after_ns = hits > limit.capacity ? kNeverNs : After(denied.retry_at_ns, now_ns);
  if (decision.remaining == 0) {
    decision.next_hit_after_ns = limit.hits == 0 ? kNeverNs : decision.retry_after_ns;
    if (decision.next_hit_after_ns == kNeverNs && limit.hits > 0) {
      decision.next_hit_after_ns = decision.reset_after_ns;
    }
  }
  return decision;
}

}  // namespace

bool WorthNoting(const Ask& ask) {
  return ask.op == Op::kTake && ask.hits > 0 &&
         ask.hits <= std::numeric_limits<decltype(Cell::Shared::least_denied)>::max() &&
         ask.grant.decision.retry_after_ns > 0;
}

bool AnswerDenied(const Cell& cell, const Instant& now, Ask& ask) {
  const Cell::Shared& denied = cell.shared;
  const Limit& limit = *ask.limit;
  if (ask.op != Op::kTake || ask.hits < denied.least_denied || ask.hits == 0 ||
      denied.denied_until_ns <= now.mono_ns || denied.limit_hits != limit.hits) {
    return false;
  }
  Grant grant;
  const bool bucket = limit.algorithm == Algorithm::kTokenBucket && limit.hits > 0;
  grant.decision = bucket ? BucketDecision(limit, denied, now.mono_ns, ask.hits)
                          : WindowDecision(limit, denied, now.mono_ns, ask.hits);
  // A paced denial lasts longer than the state alone would say.
  Decision& decision = grant.decision;
  decision.remaining = std::min<uint64_t>(decision.remaining, denied.least_denied - 1U);
  const int64_t left_ns = denied.denied_until_ns - now.mono_ns;
  if (decision.retry_after_ns < left_ns) decision.retry_after_ns = left_ns;
  if (denied.least_denied == 1 && decision.next_hit_after_ns < left_ns) {
    decision.next_hit_after_ns = left_ns;
  }
  grant.remaining_before = decision.remaining;
  grant.source = Source::kDeniedCache;
  ask.grant = grant;
  return true;
}

void NoteDenied(const Ask& ask, int64_t sent_mono_ns, Cell& cell) {
  const Decision& decision = ask.grant.decision;
  Cell::Shared& denied = cell.shared;
  const int64_t retry_ns = decision.retry_after_ns;
  const int64_t kept_ns = std::min(retry_ns, kDenyCacheMaxNs);
  denied.denied_until_ns = sent_mono_ns + kept_ns - kept_ns / kDriftMaxInverse;
  denied.retry_at_ns = retry_ns == kNeverNs ? kNeverNs : sent_mono_ns + retry_ns;
  denied.reset_at_ns = sent_mono_ns + decision.reset_after_ns;
  denied.limit_hits = ask.limit->hits;
  denied.least_denied = static_cast<uint16_t>(ask.hits);
  denied.remaining = static_cast<uint16_t>(decision.remaining);
  cell.idle_at_ns = denied.denied_until_ns;
}

}  // namespace weir
