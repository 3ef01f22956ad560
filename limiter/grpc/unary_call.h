#pragma once

// A unary call on a completion queue: wait for a request, handle it, send the answer, wait again.

#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "limiter/core/counters.h"
#include "limiter/grpc/lane.h"
#include "limiter/rpc/call.h"

namespace weir {

// How long the caller of a call that begins now waits, by the clock its deadline is of. Saturated:
// a caller may send a timeout of 99999999 hours, which std::chrono would overflow on.
inline int64_t LeftNs(const grpc::ServerContext& context) {
  constexpr int64_t kSecondNs = 1'000'000'000;
  constexpr int64_t kForEver = std::numeric_limits<int64_t>::max();
  const gpr_timespec deadline = context.raw_deadline();
  if (deadline.tv_sec >= kForEver / kSecondNs) return kForEver;
  const gpr_timespec left = gpr_convert_clock_type(deadline, GPR_TIMESPAN);
  return left.tv_sec * kSecondNs + left.tv_nsec;
}

// How calls of one method are received and handled. `Scratch` is what the handler reuses.
template <typename Request, typename Response, typename Scratch>
struct UnaryMethod {
  std::optional<Method> method;  // nullopt: not timed
  std::function<void(grpc::ServerContext*, Request*, grpc::ServerAsyncResponseWriter<Response>*,
                     grpc::ServerCompletionQueue*, void*)>
      receive;
  std::function<void(const CallContext&, const Request&, Response*, Scratch&, Done)> handle;
};

template <typename Request, typename Response, typename Scratch>
class UnaryCall final : public Tag {
 public:
  using Spec = UnaryMethod<Request, Response, Scratch>;

  // Owns itself: deleted when the queue shuts down. `spec` and `lane` outlive it.
  static void Post(const Spec& spec, Lane& lane) { (new UnaryCall(spec, lane))->Receive(); }

  void Proceed(bool ok) override {
    if (answering_) {
      lane_.in_flight->fetch_sub(1, std::memory_order_relaxed);
      answering_ = false;
      ok = !lane_.stopping->load(std::memory_order_acquire);
      if (ok) Receive();
    } else if (ok) {
      Handle();
    }
    if (!ok) delete this;
  }

 private:
  // A message keeps its memory for the next call, but not that of one larger than this.
  static constexpr std::size_t kKeptBytesMax = 1024;

  UnaryCall(const Spec& spec, Lane& lane) : spec_(spec), lane_(lane) {}

  void Receive() {
    responder_.reset();
    context_.emplace();
    responder_.emplace(&*context_);
    if (request_bytes_ > kKeptBytesMax) {
      request_ = Request();
      response_ = Response();
    } else {
      response_.Clear();  // reading the next request clears the other one
    }
    spec_.receive(&*context_, &request_, &*responder_, lane_.queue, this);
  }

  void Handle() {
    answering_ = true;
    started_ns_ = lane_.engine->clock().Now().mono_ns;
    WorkerCounters& counters = lane_.worker->counters();
    if (lane_.in_flight->fetch_add(1, std::memory_order_relaxed) >= lane_.in_flight_max) {
      counters.requests_shed.Add(1);
      Answer(absl::ResourceExhaustedError("too many calls in flight (--in-flight-max)"));
      return;
    }
    request_bytes_ = request_.ByteSizeLong();
    if (request_bytes_ > lane_.message_bytes_max) {
      counters.input_rejected[static_cast<std::size_t>(InputReject::kMessage)].Add(1);
      Answer(absl::ResourceExhaustedError("the message is larger than --message-bytes-max"));
      return;
    }
    const CallContext context{*lane_.worker, LeftNs(*context_)};
    spec_.handle(context, request_, &response_, scratch_,
                 [this](const absl::Status& status) { Answer(status); });
  }

  void Answer(const absl::Status& status) {
    if (spec_.method.has_value()) {
      lane_.worker->counters().methods[static_cast<std::size_t>(*spec_.method)].Observe(
          static_cast<int>(status.code()), lane_.engine->clock().Now().mono_ns - started_ns_);
    }
    if (status.ok()) {
      responder_->Finish(response_, grpc::Status::OK, this);
    } else {
      responder_->FinishWithError(ToGrpc(status), this);
    }
  }

  const Spec& spec_;
  Lane& lane_;
  Request request_;
  std::size_t request_bytes_ = 0;  // of the call before
  Response response_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<Response>> responder_;
  Scratch scratch_;
  int64_t started_ns_ = 0;
  bool answering_ = false;
};

}  // namespace weir
