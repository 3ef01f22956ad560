#include "limiter/rpc/limiter_handler.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/rpc/explain.h"
#include "limiter/rpc/messages.h"

namespace weir {
namespace {

uint64_t DefaultHits(const v1::CheckRequest& request) {
  return request.has_hits() ? request.hits() : 1;
}

}  // namespace

void LimiterHandler::Call::OnChecked() {
  if (response_ != nullptr) FillCheckResponse(*this, response_);
  // Taken along, because the end of a batch destroys its calls.
  const Done done = std::move(done_);
  done(CheckedStatus(*this));
}

void LimiterHandler::BatchCall::Answered() {
  if (--unanswered_ > 0) return;
  calls_.clear();  // up to a thousand of them: not worth keeping
  done_(absl::OkStatus());
}

absl::Status LimiterHandler::Ready(const CallContext& context) const {
  if (!engine_.has_rules()) {
    return absl::UnavailableError("no rules are loaded: see the log, or `weir validate` the files");
  }
  if (context.left_ns <= 0) {
    return absl::DeadlineExceededError("the deadline passed before the check began");
  }
  return absl::OkStatus();
}

void LimiterHandler::Run(const CallContext& context, const v1::CheckRequest& request, Op op,
                         v1::CheckResponse* response, Call& call, Done done) const {
  absl::Status status = Ready(context);
  if (status.ok()) {
    status = ReadCheckRequest(request.domain(), request.descriptors(), DefaultHits(request), op,
                              options_, context.worker.counters(), call.entries_, call);
  }
  if (!status.ok()) {
    done(status);
    return;
  }
  call.response_ = response;
  call.done_ = std::move(done);
  call.charge_denied = ChargeDenied::kNever;
  call.left_ns = context.left_ns;
  call.counted = op != Op::kPeek;
  engine_.Run(context.worker, call);
}

void LimiterHandler::Check(const CallContext& context, const v1::CheckRequest& request,
                           v1::CheckResponse* response, Call& call, Done done) const {
  Run(context, request, Op::kTake, response, call, std::move(done));
}

void LimiterHandler::Peek(const CallContext& context, const v1::CheckRequest& request,
                          v1::CheckResponse* response, Call& call, Done done) const {
  Run(context, request, Op::kPeek, response, call, std::move(done));
}

void LimiterHandler::Report(const CallContext& context, const v1::CheckRequest& request,
                            v1::CheckResponse* response, Call& call, Done done) const {
  Run(context, request, Op::kReport, response, call, std::move(done));
}

void LimiterHandler::Refund(const CallContext& context, const v1::CheckRequest& request,
                            v1::CheckResponse* response, Call& call, Done done) const {
  Run(context, request, Op::kRefund, response, call, std::move(done));
}

void LimiterHandler::CheckBatch(const CallContext& context, const v1::CheckBatchRequest& request,
                                v1::CheckBatchResponse* response, BatchCall& call,
                                Done done) const {
  const auto items = static_cast<std::size_t>(request.items_size());
  if (items > options_.bounds.batch_max) {
    context.worker.counters().input_rejected[static_cast<std::size_t>(InputReject::kBatch)].Add(1);
    done(absl::OutOfRangeError(absl::StrCat("items has ", items, " checks, more than the ",
                                            options_.bounds.batch_max, " of --batch-max")));
    return;
  }
  for (std::size_t i = 0; i < items; ++i) response->add_items();
  while (call.calls_.size() < items) call.calls_.push_back(std::make_unique<Call>());
  // One more than the items: the batch itself, so that early answers cannot end it.
  call.unanswered_ = items + 1;
  call.done_ = std::move(done);
  for (std::size_t i = 0; i < items; ++i) {
    v1::CheckBatchResponse::Item* item = response->mutable_items(static_cast<int>(i));
    Check(context, request.items(static_cast<int>(i)), item->mutable_response(), *call.calls_[i],
          [item, &call](const absl::Status& status) {
            if (!status.ok()) {
              item->clear_response();
              item->mutable_error()->set_code(static_cast<int>(status.code()));
              item->mutable_error()->set_message(std::string(status.message()));
            }
            call.Answered();
          });
  }
  call.Answered();
}

void LimiterHandler::Reset(const CallContext& context, const v1::ResetRequest& request,
                           v1::ResetResponse* response, Call& call, Done done) const {
  absl::Status status = Ready(context);
  if (status.ok() && !options_.allow_reset) {
    status = absl::PermissionDeniedError("Reset is off: start the server with --allow-reset");
  }
  if (status.ok()) {
    status = ReadCheckRequest(request.domain(), request.descriptors(), 1, Op::kReset, options_,
                              context.worker.counters(), call.entries_, call);
  }
  if (!status.ok()) {
    done(status);
    return;
  }
  call.response_ = nullptr;
  call.charge_denied = ChargeDenied::kNever;
  call.left_ns = context.left_ns;
  call.counted = false;
  call.done_ = [&call, response, done = std::move(done)](const absl::Status& checked) {
    for (const Outcome& outcome : call.outcomes) {
      if (outcome.kind == Outcome::Kind::kLimited &&
          outcome.remaining_before < outcome.decision.remaining) {
        response->set_reset(response->reset() + 1);
      }
    }
    done(checked);
  };
  engine_.Run(context.worker, call);
}

void LimiterHandler::Explain(const CallContext& context, const v1::ExplainRequest& request,
                             v1::ExplainResponse* response, Call& call, Done done) const {
  absl::Status status = Ready(context);
  google::protobuf::RepeatedPtrField<v1::Descriptor>& descriptors = call.explained_;
  descriptors.Clear();
  *descriptors.Add()->mutable_entries() = request.entries();
  if (status.ok()) {
    status =
        ReadCheckRequest(request.domain(), descriptors, request.has_hits() ? request.hits() : 1,
                         Op::kPeek, options_, context.worker.counters(), call.entries_, call);
  }
  if (!status.ok()) {
    done(status);
    return;
  }
  const Explanation explanation =
      engine_.Explain(context.worker, request.domain(), call.descriptors[0]);
  FillExplanation(explanation, request.domain(), call.descriptors[0], response);
  call.verdict_.Clear();
  call.response_ = &call.verdict_;
  call.charge_denied = ChargeDenied::kNever;
  call.left_ns = context.left_ns;
  call.counted = false;
  call.record = response->mutable_record();
  call.done_ = [&call, response, done = std::move(done)](const absl::Status& checked) {
    *response->mutable_decision() = call.verdict_.items(0);
    done(checked);
  };
  engine_.Run(context.worker, call);
}

}  // namespace weir
