// weir_null_server: ShouldRateLimit on grpc++ with no limiter behind it.
//
// It is the ceiling of a transport: whatever Weir costs above it is Weir's own. The three APIs of
// grpc++ for servers are offered side by side, with the channel arguments that Weir uses, so that
// the choice between them rests on a measurement (README.md, "Which grpc++ API").
//
//   weir_null_server --api=cq --threads=1 --listen=127.0.0.1:0
//
// prints "listening on 127.0.0.1:PORT" when it serves, and ends on SIGTERM or SIGINT.
#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "bench/null_server_answer.h"
#include "bench/null_server_cq.h"
#include "bench/transport_flags.h"
#include "envoy/service/ratelimit/v3/rls.grpc.pb.h"

namespace weir::bench {
namespace {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;
using envoy::service::ratelimit::v3::RateLimitService;

struct Options {
  std::string api;     // sync, callback or cq
  std::string listen;  // host:port, or unix:path
  int threads = 1;     // completion queues (sync, cq); the callback API has its own threads
  CqOptions cq;
};

class SyncService final : public RateLimitService::Service {
  grpc::Status ShouldRateLimit(grpc::ServerContext*, const RateLimitRequest* request,
                               RateLimitResponse* response) override {
    FillAnswer(*request, response);
    return grpc::Status::OK;
  }
};

class CallbackService final : public RateLimitService::CallbackService {
  grpc::ServerUnaryReactor* ShouldRateLimit(grpc::CallbackServerContext* context,
                                            const RateLimitRequest* request,
                                            RateLimitResponse* response) override {
    FillAnswer(*request, response);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

// The bounds are those of Weir's own listener: they are part of what a call costs.
void SetChannelArguments(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(64 * 1024);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1'000);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 8 * 1024);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
}

int Serve(const Options& options) {
  // Blocked before gRPC starts a thread, so that only the sigwait below receives them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  SyncService sync_service;
  CallbackService callback_service;
  CqServer cq_server(options.cq);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port);
  SetChannelArguments(&builder);
  if (options.api == "sync") {
    builder.RegisterService(&sync_service);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, options.threads);
  } else if (options.api == "callback") {
    builder.RegisterService(&callback_service);
  } else {
    cq_server.Register(&builder);
  }
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    std::fprintf(stderr, "cannot listen on %s\n", options.listen.c_str());
    return 1;
  }
  if (options.api == "cq") cq_server.Start();
  if (options.listen.starts_with("unix:")) {
    std::printf("listening on %s\n", options.listen.c_str());
  } else {
    std::printf("listening on %s:%d\n", options.listen.substr(0, options.listen.rfind(':')).c_str(),
                port);
  }
  std::fflush(stdout);

  int signal_number = 0;
  sigwait(&signals, &signal_number);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  cq_server.Join();
  return 0;
}

int Main(int argc, char** argv) {
  Flags flags(argc, argv);
  Options options;
  options.api = flags.TakeText("api", "cq");
  options.listen = flags.TakeText("listen", "127.0.0.1:0");
  options.threads = flags.Take("threads", options.threads);
  options.cq.queues = options.threads;
  options.cq.threads_per_queue = flags.Take("threads-per-queue", options.cq.threads_per_queue);
  options.cq.calls_per_queue = flags.Take("calls-per-queue", options.cq.calls_per_queue);
  options.cq.arena = flags.Take("arena", 0) != 0;
  if (options.api != "sync" && options.api != "callback" && options.api != "cq") {
    flags.Complain("is not sync, callback or cq", "--api=" + options.api);
  }
  if (options.threads < 1 || options.cq.threads_per_queue < 1 || options.cq.calls_per_queue < 1) {
    flags.Complain("counts start at 1", "--threads, --threads-per-queue, --calls-per-queue");
  }
  return flags.Finish() ? Serve(options) : 2;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) { return weir::bench::Main(argc, argv); }
