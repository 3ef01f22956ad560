#include "limiter/store/failure_policy.h"

#include <algorithm>
#include <cstdint>
#include <span>

namespace weir {
namespace {

// What a denial without knowledge says about when to come back.
constexpr int64_t kRetryNs = 1'000'000'000;

class Nobody : public Answered {
 public:
  void OnAnswered() override {}
};

Grant Allowed(const Limit& limit) {
  Grant grant;
  grant.decision.allowed = true;
  grant.decision.remaining = limit.capacity;
  grant.remaining_before = limit.capacity;
  return grant;
}

Grant Denied(const Limit& limit) {
  Grant grant;
  const int64_t retry_ns = std::min(kRetryNs, limit.window_ns);
  grant.decision.retry_after_ns = retry_ns;
  grant.decision.next_hit_after_ns = retry_ns;
  grant.decision.reset_after_ns = retry_ns;
  return grant;
}

// A node's share of a limit among `nodes`; false: nothing.
bool ShareOf(const Limit& limit, int nodes, Limit* share) {
  const auto n = static_cast<uint32_t>(nodes);
  LimitSpec spec{.algorithm = limit.algorithm,
                 .hits = limit.hits,
                 .window_ns = limit.window_ns,
                 .burst = 0,
                 .precision = limit.precision};
  if (limit.algorithm == Algorithm::kTokenBucket) {
    // The rate is divided through the window, which keeps a rate below one per window.
    if (limit.capacity < n || limit.window_ns > kWindowMaxNs / nodes) return false;
    spec.burst = limit.capacity / n;
    spec.window_ns = limit.window_ns * nodes;
  } else {
    if (limit.hits < n) return false;
    spec.hits = limit.hits / n;
  }
  return MakeLimit(spec, share).empty();
}

}  // namespace

FailurePolicy::FailurePolicy(const MemoryStoreOptions& local, int replicas)
    : replicas_(replicas), local_(local) {}

void FailurePolicy::Answer(Ask& ask, const Instant& now, int nodes, uint64_t outages) {
  const auto policy = static_cast<std::size_t>(ask.on_store_failure);
  last_used_ns_[policy].store(now.mono_ns, std::memory_order_relaxed);
  const bool charges = ask.op == Op::kTake || ask.op == Op::kPeek;
  if (ask.on_store_failure == OnStoreFailure::kError || ask.op == Op::kReset) {
    ask.grant = Denied(*ask.limit);
    ask.grant.failed = true;
  } else if (!charges || ask.on_store_failure == OnStoreFailure::kAllow) {
    // Reports and refunds are lost, but never refused.
    ask.grant = Allowed(*ask.limit);
  } else if (ask.on_store_failure == OnStoreFailure::kDeny) {
    ask.grant = Denied(*ask.limit);
  } else {
    AnswerLocally(ask, now, nodes, outages);
  }
  ask.grant.source = Source::kPolicy;
}

void FailurePolicy::AnswerLocally(Ask& ask, const Instant& now, int nodes, uint64_t outages) {
  // Nodes that have just started have not all been heard of.
  const int n = std::max(nodes, replicas_);
  Limit share;
  if (n <= 0 || !ShareOf(*ask.limit, n, &share)) {
    ask.grant = Denied(*ask.limit);
    return;
  }
  Ask local = ask;
  local.limit = &share;
  // Of each outage a bucket of its own, so that each starts empty.
  if (share.algorithm == Algorithm::kTokenBucket) local.key.hi ^= outages * 0x9e3779b97f4a7c15ULL;
  AcquireOptions options;
  options.now = now;
  options.charge_denied = ChargeDenied::kNever;
  options.start_empty = true;
  Nobody nobody;
  local_.Acquire(std::span<Ask>(&local, 1), options, nobody);
  ask.grant = local.grant;
}

void FailurePolicy::NoteAdmitted(const Ask& ask, const Instant& now) {
  if (ask.limit->algorithm == Algorithm::kTokenBucket || ask.hits == 0 ||
      ask.on_store_failure != OnStoreFailure::kLocalShare) {
    return;
  }
  Ask admitted = ask;
  admitted.op = Op::kReport;
  AcquireOptions options;
  options.now = now;
  Nobody nobody;
  local_.Acquire(std::span<Ask>(&admitted, 1), options, nobody);
}

}  // namespace weir
