// The answer of the null server: the size of a real one, and no decision behind it.
#pragma once

#include "envoy/service/ratelimit/v3/rls.pb.h"

namespace weir::bench {

// Fills `response`, which must be empty: overall OK and one status per descriptor, in the same
// order, each with limit, remaining hits and time until reset. That is what Weir sends for a rule
// of 1,000,000 hits per hour, so the two answers differ by a byte at most. A first entry with key
// "denied" is answered OVER_LIMIT, so that mixes of allowed and denied can be compared as well.
// Cannot fail.
inline void FillAnswer(const envoy::service::ratelimit::v3::RateLimitRequest& request,
                       envoy::service::ratelimit::v3::RateLimitResponse* response) {
  using Response = envoy::service::ratelimit::v3::RateLimitResponse;
  Response::Code overall_code = Response::OK;
  for (const auto& descriptor : request.descriptors()) {
    const bool denied = descriptor.entries_size() > 0 && descriptor.entries(0).key() == "denied";
    if (denied) overall_code = Response::OVER_LIMIT;
    auto* status = response->add_statuses();
    status->set_code(denied ? Response::OVER_LIMIT : Response::OK);
    status->mutable_current_limit()->set_requests_per_unit(1'000'000);
    status->mutable_current_limit()->set_unit(Response::RateLimit::HOUR);
    if (!denied) status->set_limit_remaining(999'999);
    status->mutable_duration_until_reset()->set_seconds(1'800);
  }
  response->set_overall_code(overall_code);
}

}  // namespace weir::bench
