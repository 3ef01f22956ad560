#include "limiter/rpc/messages.h"

#include <algorithm>
#include <cstdint>

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

v1::Algorithm AlgorithmMessage(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kFixedWindow:
      return v1::FIXED_WINDOW;
    case Algorithm::kSlidingWindow:
      return v1::SLIDING_WINDOW;
    case Algorithm::kTokenBucket:
      return v1::TOKEN_BUCKET;
  }
  return v1::ALGORITHM_UNSPECIFIED;
}

void FillDecision(const Outcome& outcome, v1::Decision* message) {
  message->set_allowed(true);
  if (outcome.rule != nullptr) message->set_rule(outcome.rule->label);
  if (outcome.kind == Outcome::Kind::kUnmatched) message->clear_rule();
  if (outcome.kind != Outcome::Kind::kLimited) return;
  const Decision& decision = outcome.decision;
  message->set_allowed(!outcome.over_limit());
  message->set_would_deny(outcome.shadowed() && !decision.allowed);
  FillLimit(outcome.limit, message->mutable_limit());
  message->set_remaining(decision.remaining);
  FillDuration(decision.reset_after_ns, message->mutable_reset_after());
  message->set_source(static_cast<v1::Source>(outcome.source));
  if (decision.allowed) return;
  if (decision.retry_after_ns == kNeverNs) {
    message->set_never(true);
  } else {
    FillDuration(decision.retry_after_ns, message->mutable_retry_after());
  }
}

}  // namespace

void FillDuration(int64_t ns, google::protobuf::Duration* message) {
  message->set_seconds(ns / kSecondNs);
  message->set_nanos(static_cast<int32_t>(ns % kSecondNs));
}

void FillLimit(const Limit& limit, v1::Limit* message) {
  message->set_algorithm(AlgorithmMessage(limit.algorithm));
  message->set_hits(limit.hits);
  FillDuration(limit.window_ns, message->mutable_window());
  message->set_burst(limit.capacity);
  message->set_precision(limit.precision);
}

void FillCheckResponse(const Check& check, v1::CheckResponse* response) {
  response->set_allowed(check.allowed || check.global_shadow);
  bool never = false;
  int64_t retry_after_ns = 0;
  for (const Outcome& outcome : check.outcomes) {
    FillDecision(outcome, response->add_items());
    if (!outcome.over_limit()) continue;
    never |= outcome.decision.retry_after_ns == kNeverNs;
    retry_after_ns = std::max(retry_after_ns, outcome.decision.retry_after_ns);
  }
  if (!response->allowed() && !never) {
    FillDuration(retry_after_ns, response->mutable_retry_after());
  }
}

}  // namespace weir
