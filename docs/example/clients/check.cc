// A service that asks Weir itself, without a proxy: takes its turn six times with ten hits each,
// waiting when Weir says so. Built as weir_example_client; run with the address of Weir:
// weir_example_client 127.0.0.1:8081

#include <google/protobuf/util/time_util.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>

#include "weir/v1/limiter.grpc.pb.h"

namespace {

using google::protobuf::util::TimeUtil;

// Returns once the hits of this API key are admitted; an error if Weir does not answer in time or
// if they never will be.
grpc::Status TakeTurn(weir::v1::Limiter::Stub& limiter, const std::string& api_key, uint64_t hits) {
  weir::v1::CheckRequest request;
  request.set_domain("shop");
  request.set_hits(hits);
  weir::v1::Entry* entry = request.add_descriptors()->add_entries();
  entry->set_key("api_key");
  entry->set_value(api_key);
  while (true) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    weir::v1::CheckResponse response;
    const grpc::Status status = limiter.Check(&context, request, &response);
    // Without an answer this example gives up; a service may as well go on without a limit.
    if (!status.ok() || response.allowed()) return status;
    if (response.items(0).never()) {
      return {grpc::StatusCode::OUT_OF_RANGE, "more hits than the limit ever admits"};
    }
    // Exact: denied before, admitted at it, unless others were faster.
    const std::chrono::nanoseconds wait(TimeUtil::DurationToNanoseconds(response.retry_after()));
    std::printf("turn: wait %.3f s\n", std::chrono::duration<double>(wait).count());
    std::this_thread::sleep_for(wait);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: weir_example_client ADDRESS\n");
    return 2;
  }
  const auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
  const auto limiter = weir::v1::Limiter::NewStub(channel);
  for (int i = 0; i < 6; ++i) {
    const grpc::Status status = TakeTurn(*limiter, "demo", 10);
    if (!status.ok()) {
      std::fprintf(stderr, "%s: %s\n", argv[1], status.error_message().c_str());
      return 1;
    }
    std::printf("turn: go\n");
  }
  return 0;
}
