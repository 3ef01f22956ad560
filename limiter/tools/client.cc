#include "limiter/tools/client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "limiter/runtime/system_clock.h"
#include "weir/v1/limiter.grpc.pb.h"

namespace weir {
namespace {

constexpr int64_t kTimeoutNs = 5'000'000'000;

void SetDeadline(grpc::ClientContext& context) {
  const std::chrono::nanoseconds deadline(SystemClock().Now().wall_ns + kTimeoutNs);
  context.set_deadline(std::chrono::system_clock::time_point(deadline));
}

absl::Status ToAbsl(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace

struct Client::Impl {
  std::string server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Limiter::Stub> stub;
};

Client::Client(const std::string& server) : impl_(std::make_unique<Impl>()) {
  impl_->server = server;
  impl_->channel = grpc::CreateChannel(server, grpc::InsecureChannelCredentials());
  impl_->stub = v1::Limiter::NewStub(impl_->channel);
}
Client::~Client() = default;

absl::Status Client::Check(const v1::CheckRequest& request, v1::CheckResponse* response) {
  grpc::ClientContext context;
  SetDeadline(context);
  return ToAbsl(impl_->stub->Check(&context, request, response));
}

absl::Status Client::Explain(const v1::ExplainRequest& request, v1::ExplainResponse* response) {
  grpc::ClientContext context;
  SetDeadline(context);
  return ToAbsl(impl_->stub->Explain(&context, request, response));
}

std::string Client::DescribeFailure(const absl::Status& status) const {
  const std::string code = absl::StatusCodeToString(status.code());
  const bool connected = impl_->channel->GetState(false) == GRPC_CHANNEL_READY;
  std::string cause = absl::StrCat(code, ": ", status.message());
  if (absl::IsDeadlineExceeded(status)) {
    cause = absl::StrCat(code, ": no answer within ", kTimeoutNs / 1'000'000'000, "s");
  } else if (connected && !absl::IsUnimplemented(status)) {
    return absl::StrCat(impl_->server, " answered ", cause);
  }
  return absl::StrCat("cannot ask ", impl_->server, ": ", cause,
                      ": is weir serving gRPC there? --server HOST:PORT names another address");
}

}  // namespace weir
