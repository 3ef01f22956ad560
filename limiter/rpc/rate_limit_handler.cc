#include "limiter/rpc/rate_limit_handler.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "google/protobuf/util/json_util.h"
#include "limiter/rpc/metadata.h"

namespace weir {
namespace {

using envoy::service::ratelimit::v3::RateLimitResponse;
using Status = RateLimitResponse::DescriptorStatus;

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr uint32_t kUnlimitedRemaining = std::numeric_limits<uint32_t>::max();

// Rounded up, because Envoy drops fractions of a second.
int64_t CeilSeconds(int64_t ns) { return ns / kSecondNs + (ns % kSecondNs > 0 ? 1 : 0); }

// "Until reset" of the Envoy API: the end of a fixed window; else until one more hit passes when
// over the limit, until full otherwise.
int64_t ResetSeconds(const Outcome& outcome, const Instant& now) {
  const Limit& limit = outcome.limit;
  if (limit.algorithm == Algorithm::kFixedWindow) {
    return CeilSeconds(outcome.decision.reset_after_ns > 0
                           ? outcome.decision.reset_after_ns
                           : limit.window_ns - now.wall_ns % limit.window_ns);
  }
  if (outcome.decision.allowed) return CeilSeconds(outcome.decision.reset_after_ns);
  const int64_t next_ns = outcome.decision.next_hit_after_ns;
  return CeilSeconds(next_ns == kNeverNs ? limit.window_ns : next_ns);
}

void FillStatus(const Outcome& outcome, const Instant& now, Status* status) {
  status->set_code(outcome.over_limit() ? RateLimitResponse::OVER_LIMIT : RateLimitResponse::OK);
  if (outcome.kind == Outcome::Kind::kUnlimited) {
    status->set_limit_remaining(kUnlimitedRemaining);
  }
  if (outcome.kind != Outcome::Kind::kLimited) return;
  RateLimitResponse::RateLimit* limit = status->mutable_current_limit();
  limit->set_requests_per_unit(outcome.limit.hits);
  limit->set_unit(static_cast<RateLimitResponse::RateLimit::Unit>(outcome.unit));
  if (outcome.rule != nullptr) limit->set_name(outcome.rule->name);
  const uint64_t remaining = outcome.decision.allowed ? outcome.decision.remaining : 0;
  status->set_limit_remaining(
      static_cast<uint32_t>(std::min<uint64_t>(remaining, kUnlimitedRemaining)));
  status->mutable_duration_until_reset()->set_seconds(ResetSeconds(outcome, now));
}

// The status that the headers describe: the last non-quota one that is over, else the first of
// those with the smallest remaining; nullptr when nothing matched.
const Status* HeaderStatus(const Check& check, const RateLimitResponse& response) {
  const Status* smallest = nullptr;
  const Status* over = nullptr;
  for (int i = 0; i < response.statuses_size(); ++i) {
    const Status& status = response.statuses(i);
    if (!status.has_current_limit()) continue;
    if (status.code() == RateLimitResponse::OVER_LIMIT &&
        check.outcomes[static_cast<std::size_t>(i)].weight != Weight::kQuota) {
      over = &status;
    }
    if (smallest == nullptr || status.limit_remaining() < smallest->limit_remaining()) {
      smallest = &status;
    }
  }
  return over != nullptr ? over : smallest;
}

void AddHeader(const std::string& key, int64_t value, RateLimitResponse* response) {
  auto* header = response->add_response_headers_to_add();
  header->set_key(key);
  header->set_value(std::to_string(value));
}

}  // namespace

void RateLimitHandler::Call::OnChecked() {
  handler_->Fill(*this, response_);
  const Done done = std::move(done_);  // taken along, because it may destroy this call
  done(CheckedStatus(*this));
}

absl::Status RateLimitHandler::Begin(const CallContext& context, const Request& request,
                                     Call& call) const {
  if (request.domain().empty()) {
    return absl::UnknownError("rate limit domain must not be empty");
  }
  if (request.descriptors().empty()) {
    return absl::UnknownError("rate limit descriptor list must not be empty");
  }
  if (!engine_.has_rules()) return absl::UnknownError("no rate limit configuration loaded");
  if (context.left_ns <= 0) {
    return absl::DeadlineExceededError("the deadline passed before the check began");
  }
  return ReadEnvoyRequest(request, options_, context.worker.counters(), call.entries_, call);
}

void RateLimitHandler::ShouldRateLimit(const CallContext& context, const Request& request,
                                       Response* response, Call& call, Done done) const {
  const absl::Status status = Begin(context, request, call);
  if (!status.ok()) {
    done(status);
    return;
  }
  call.handler_ = this;
  call.request_ = &request;
  call.response_ = response;
  call.done_ = std::move(done);
  call.charge_denied = options_.charge_denied;
  call.left_ns = context.left_ns;
  engine_.Run(context.worker, call);
}

void RateLimitHandler::Fill(const Call& call, Response* response) const {
  response->set_overall_code(call.allowed || call.global_shadow ? RateLimitResponse::OK
                                                                : RateLimitResponse::OVER_LIMIT);
  for (const Outcome& outcome : call.outcomes) {
    FillStatus(outcome, call.now, response->add_statuses());
  }
  if (options_.response_headers) {
    if (const Status* status = HeaderStatus(call, *response); status != nullptr) {
      AddHeader(options_.limit_header, status->current_limit().requests_per_unit(), response);
      AddHeader(options_.remaining_header, status->limit_remaining(), response);
      AddHeader(options_.reset_header, status->duration_until_reset().seconds(), response);
    }
  }
  if (options_.response_dynamic_metadata) {
    FillDynamicMetadata(*call.request_, call, response->mutable_dynamic_metadata());
  }
}

void JsonCall::Run(const RateLimitHandler& handler, const CallContext& context,
                   std::string_view body, std::function<void(const JsonAnswer&)> done) {
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      {body.data(), body.size()}, &request_, google::protobuf::util::JsonParseOptions());
  if (!parsed.ok()) {
    done({400, absl::StatusCode::kInvalidArgument, "Bad Request\n"});
    return;
  }
  done_ = std::move(done);
  handler.ShouldRateLimit(context, request_, &response_, call_,
                          [this](const absl::Status& status) { Answer(status); });
}

void JsonCall::Answer(const absl::Status& status) {
  JsonAnswer answer;
  answer.code = status.code();
  if (!status.ok()) {
    answer.http_status = status.code() == absl::StatusCode::kUnavailable ? 503 : 400;
    answer.body = std::string(status.message()) + "\n";
  } else {
    answer.http_status = response_.overall_code() == RateLimitResponse::OVER_LIMIT ? 429 : 200;
    const auto printed = google::protobuf::util::MessageToJsonString(response_, &answer.body);
    if (!printed.ok()) {
      answer = {500, absl::StatusCode::kInternal, "Internal Server Error\n"};
    }
  }
  // Taken along, because it may destroy this call.
  const auto done = std::move(done_);
  done(answer);
}

}  // namespace weir
