#include "limiter/tools/client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

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

class Client::Impl {
 public:
  explicit Impl(const std::string& server)
      : stub(
            v1::Limiter::NewStub(grpc::CreateChannel(server, grpc::InsecureChannelCredentials()))) {
  }
  std::unique_ptr<v1::Limiter::Stub> stub;
};

Client::Client(const std::string& server) : impl_(std::make_unique<Impl>(server)) {}
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

}  // namespace weir
