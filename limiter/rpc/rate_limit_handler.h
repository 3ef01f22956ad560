#pragma once

// envoy.service.ratelimit.v3.RateLimitService: the reference's answers (docs/compatibility.md).

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "limiter/core/engine.h"
#include "limiter/rpc/call.h"
#include "limiter/rpc/input.h"

namespace weir {

class RateLimitHandler {
 public:
  using Request = envoy::service::ratelimit::v3::RateLimitRequest;
  using Response = envoy::service::ratelimit::v3::RateLimitResponse;

  // The scratch of one call; reused for the next one when done.
  class Call : public Check {
   public:
    void OnChecked() override;

   private:
    friend class RateLimitHandler;
    const RateLimitHandler* handler_ = nullptr;
    const Request* request_ = nullptr;
    Response* response_ = nullptr;
    EntryStorage entries_;
    Done done_;
  };

  // Arguments outlive the handler.
  RateLimitHandler(Engine& engine, const RpcOptions& options)
      : engine_(engine), options_(options) {}

  // Answers with one status per descriptor, in the same order. Errors as the reference's: UNKNOWN
  // for an empty domain, no descriptors, no configuration; INVALID_ARGUMENT for input out of
  // bounds and overrides with an unknown unit. `request`, `response` and `call` live until `done`.
  void ShouldRateLimit(const CallContext& context, const Request& request, Response* response,
                       Call& call, Done done) const;

 private:
  absl::Status Begin(const CallContext& context, const Request& request, Call& call) const;
  void Fill(const Call& call, Response* response) const;

  Engine& engine_;
  const RpcOptions& options_;
};

struct JsonAnswer {
  int http_status = 500;  // 200 OK, 429 over the limit, 400 bad request or service error
  absl::StatusCode code = absl::StatusCode::kInternal;
  std::string body;  // the response as JSON, or a line of text
};

// POST /json: a RateLimitRequest as proto3 JSON. One call per request.
class JsonCall {
 public:
  // `handler` and this call live until `done`, which may be called before Run returns and may
  // destroy this call.
  void Run(const RateLimitHandler& handler, const CallContext& context, std::string_view body,
           std::function<void(const JsonAnswer&)> done);

 private:
  void Answer(const absl::Status& status);

  RateLimitHandler::Request request_;
  RateLimitHandler::Response response_;
  RateLimitHandler::Call call_;
  std::function<void(const JsonAnswer&)> done_;
};

}  // namespace weir
