#pragma once

// weir.v1.Limiter. Check charges a request on all its descriptors or on none; errors name the field
// at fault and the remedy.

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "limiter/core/engine.h"
#include "limiter/rpc/call.h"
#include "limiter/rpc/input.h"
#include "weir/v1/limiter.pb.h"

namespace weir {

class LimiterHandler {
 public:
  // The scratch of one check; reused for the next one when done.
  class Call : public weir::Check {
   public:
    void OnChecked() override;

   private:
    friend class LimiterHandler;
    v1::CheckResponse* response_ = nullptr;
    // Of an explanation: what is asked, and what a check would say.
    google::protobuf::RepeatedPtrField<v1::Descriptor> explained_;
    v1::CheckResponse verdict_;
    EntryStorage entries_;
    Done done_;
  };

  // The scratch of a batch.
  class BatchCall {
   private:
    friend class LimiterHandler;
    void Answered();
    std::vector<std::unique_ptr<Call>> calls_;
    std::size_t unanswered_ = 0;
    Done done_;
  };

  // Arguments outlive the handler.
  LimiterHandler(Engine& engine, const RpcOptions& options) : engine_(engine), options_(options) {}

  // In all of these `request`, `response` and `call` live until `done`, which may be called before
  // the method returns.
  void Check(const CallContext& context, const v1::CheckRequest& request,
             v1::CheckResponse* response, Call& call, Done done) const;
  void CheckBatch(const CallContext& context, const v1::CheckBatchRequest& request,
                  v1::CheckBatchResponse* response, BatchCall& call, Done done) const;
  void Peek(const CallContext& context, const v1::CheckRequest& request,
            v1::CheckResponse* response, Call& call, Done done) const;
  void Report(const CallContext& context, const v1::CheckRequest& request,
              v1::CheckResponse* response, Call& call, Done done) const;
  void Refund(const CallContext& context, const v1::CheckRequest& request,
              v1::CheckResponse* response, Call& call, Done done) const;
  void Reset(const CallContext& context, const v1::ResetRequest& request,
             v1::ResetResponse* response, Call& call, Done done) const;
  void Explain(const CallContext& context, const v1::ExplainRequest& request,
               v1::ExplainResponse* response, Call& call, Done done) const;

 private:
  absl::Status Ready(const CallContext& context) const;
  void Run(const CallContext& context, const v1::CheckRequest& request, Op op,
           v1::CheckResponse* response, Call& call, Done done) const;

  Engine& engine_;
  const RpcOptions& options_;
};

}  // namespace weir
