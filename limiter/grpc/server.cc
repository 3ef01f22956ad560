#include "limiter/grpc/server.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "envoy/service/ratelimit/v3/rls.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "limiter/core/mutex.h"
#include "limiter/grpc/listen.h"
#include "limiter/grpc/reflection_call.h"
#include "limiter/grpc/tls_credentials.h"
#include "limiter/grpc/unary_call.h"
#include "limiter/grpc/watch_call.h"
#include "weir/v1/limiter.grpc.pb.h"

namespace weir {
namespace {

namespace rls = envoy::service::ratelimit::v3;
namespace health = grpc::health::v1;

// Requests waited for at once on each queue: with only one outstanding, every call would wait for
// the previous one to be handled.
constexpr int kPostedHot = 128;
constexpr int kPostedCold = 8;

struct NoScratch {};

template <typename Request, typename Response, typename Scratch, typename Receive>
auto MakeMethod(std::optional<Method> method, Receive receive) {
  UnaryMethod<Request, Response, Scratch> spec;
  spec.method = method;
  spec.receive = [receive](grpc::ServerContext* context, Request* request,
                           grpc::ServerAsyncResponseWriter<Response>* responder,
                           grpc::ServerCompletionQueue* queue,
                           void* tag) { receive(context, request, responder, queue, queue, tag); };
  return spec;
}

void CheckHealth(const Health& state, const health::HealthCheckRequest& request,
                 health::HealthCheckResponse* response, const Done& done) {
  if (!Health::Knows(request.service())) {
    done(absl::NotFoundError("unknown service: ask for \"\" or \"ratelimit\""));
    return;
  }
  response->set_status(state.serving() ? health::HealthCheckResponse::SERVING
                                       : health::HealthCheckResponse::NOT_SERVING);
  done(absl::OkStatus());
}

// Shuts a queue down on its own thread, so that no call asks for another request meanwhile.
class ShutdownQueue final : public Tag {
 public:
  explicit ShutdownQueue(Lane& lane) : lane_(lane) {}
  // From any thread.
  void Begin() { alarm_.Set(lane_.queue, std::chrono::system_clock::time_point(), this); }
  void Proceed(bool) override {
    lane_.down = true;
    lane_.queue->Shutdown();
  }

 private:
  Lane& lane_;
  grpc::Alarm alarm_;
};

// Answers that other threads found reach the worker of a queue through it.
class WakeQueue final : public Tag {
 public:
  explicit WakeQueue(Lane& lane) : lane_(lane) {
    lane.worker->inbox().SetWake([this] { Wake(); });
  }
  void Proceed(bool) override { lane_.worker->inbox().Deliver(); }
  // Before the queue shuts down, which then takes no event any more.
  void End() {
    MutexLock lock(mutex_);
    ended_ = true;
  }

 private:
  // From any thread; not again before Proceed, because only an empty inbox wakes.
  void Wake() {
    MutexLock lock(mutex_);
    if (!ended_) alarm_.Set(lane_.queue, std::chrono::system_clock::time_point(), this);
  }

  Lane& lane_;
  grpc::Alarm alarm_;
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

std::vector<std::string> ServiceNames() {
  return {rls::RateLimitService::service_full_name(), v1::Limiter::service_full_name(),
          health::Health::service_full_name(),
          grpc::reflection::v1::ServerReflection::service_full_name(),
          grpc::reflection::v1alpha::ServerReflection::service_full_name()};
}

int Milliseconds(int64_t ns) {
  return static_cast<int>(std::min<int64_t>(ns / 1'000'000, std::numeric_limits<int>::max()));
}

}  // namespace

class GrpcServer::Impl {
 public:
  Impl(const GrpcOptions& options, Engine& engine, const RateLimitHandler& rate_limit,
       const LimiterHandler& limiter, Health& state)
      : options_(options),
        engine_(engine),
        watch_{health_service_, state, StreamBound(options.watchers_max)},
        reflection_{state, StreamBound(options.reflection_streams_max), ServiceNames()} {
    DefineMethods(rate_limit, limiter, state);
  }

  ~Impl() { Drain(0); }

  absl::Status Start();
  void Drain(int64_t grace_ns);
  const std::vector<int>& ports() const { return ports_; }
  uint64_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  uint64_t watchers_refused() const { return watch_.bound.refused(); }
  uint64_t reflection_refused() const { return reflection_.bound.refused(); }
  uint64_t clients_refused() const { return clients_refused_.load(std::memory_order_relaxed); }

 private:
  template <typename Request, typename Response>
  using LimiterMethod = UnaryMethod<Request, Response, LimiterHandler::Call>;

  void DefineMethods(const RateLimitHandler& rate_limit, const LimiterHandler& limiter,
                     Health& state);
  void SetArguments(grpc::ServerBuilder& builder) const;
  std::shared_ptr<grpc::ServerCredentials> CredentialsFor(const std::string& address);
  void PostCalls(Lane& lane);
  void Poll(Lane& lane);

  const GrpcOptions options_;
  Engine& engine_;
  rls::RateLimitService::AsyncService rate_limit_service_;
  v1::Limiter::AsyncService limiter_service_;
  health::Health::AsyncService health_service_;
  ReflectionV1::Service reflection_service_;
  ReflectionV1Alpha::Service reflection_alpha_service_;

  UnaryMethod<rls::RateLimitRequest, rls::RateLimitResponse, RateLimitHandler::Call>
      should_rate_limit_;
  LimiterMethod<v1::CheckRequest, v1::CheckResponse> check_, peek_, report_, refund_;
  UnaryMethod<v1::CheckBatchRequest, v1::CheckBatchResponse, LimiterHandler::BatchCall>
      check_batch_;
  LimiterMethod<v1::ResetRequest, v1::ResetResponse> reset_;
  LimiterMethod<v1::ExplainRequest, v1::ExplainResponse> explain_;
  UnaryMethod<health::HealthCheckRequest, health::HealthCheckResponse, NoScratch> health_check_;

  WatchShared watch_;
  ReflectionShared reflection_;
  std::atomic<uint64_t> in_flight_{0};
  std::atomic<uint64_t> clients_refused_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::shared_ptr<grpc::ServerCredentials>> credentials_;
  std::vector<int> ports_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::vector<Lane> lanes_;
  std::vector<std::unique_ptr<WakeQueue>> wakes_;
  std::vector<std::unique_ptr<ShutdownQueue>> shutdowns_;
  std::vector<std::thread> threads_;
  std::unique_ptr<grpc::Server> server_;
};

void GrpcServer::Impl::DefineMethods(const RateLimitHandler& rate_limit,
                                     const LimiterHandler& limiter, Health& state) {
  should_rate_limit_ =
      MakeMethod<rls::RateLimitRequest, rls::RateLimitResponse, RateLimitHandler::Call>(
          Method::kShouldRateLimit,
          [this](auto... a) { rate_limit_service_.RequestShouldRateLimit(a...); });
  should_rate_limit_.handle = [&rate_limit](const auto& context, const auto& request,
                                            auto* response, auto& call, Done done) {
    rate_limit.ShouldRateLimit(context, request, response, call, std::move(done));
  };

  const auto define = []<typename Request, typename Response>(
                          LimiterMethod<Request, Response>& spec, Method method, auto receive,
                          auto handle) {
    spec = MakeMethod<Request, Response, LimiterHandler::Call>(method, receive);
    spec.handle = handle;
  };
  define(
      check_, Method::kCheck, [this](auto... a) { limiter_service_.RequestCheck(a...); },
      [&limiter](const auto& context, const auto& request, auto* response, auto& call, Done done) {
        limiter.Check(context, request, response, call, std::move(done));
      });
  define(
      peek_, Method::kPeek, [this](auto... a) { limiter_service_.RequestPeek(a...); },
      [&limiter](const auto& context, const auto& request, auto* response, auto& call, Done done) {
        limiter.Peek(context, request, response, call, std::move(done));
      });
  define(
      report_, Method::kReport, [this](auto... a) { limiter_service_.RequestReport(a...); },
      [&limiter](const auto& context, const auto& request, auto* response, auto& call, Done done) {
        limiter.Report(context, request, response, call, std::move(done));
      });
  define(
      refund_, Method::kRefund, [this](auto... a) { limiter_service_.RequestRefund(a...); },
      [&limiter](const auto& context, const auto& request, auto* response, auto& call, Done done) {
        limiter.Refund(context, request, response, call, std::move(done));
      });
  define(
      reset_, Method::kReset, [this](auto... a) { limiter_service_.RequestReset(a...); },
      [&limiter](const auto& context, const auto& request, auto* response, auto& call, Done done) {
        limiter.Reset(context, request, response, call, std::move(done));
      });
  define(
      explain_, Method::kExplain, [this](auto... a) { limiter_service_.RequestExplain(a...); },
      [&limiter](const auto& context, const auto& request, auto* response, auto& call, Done done) {
        limiter.Explain(context, request, response, call, std::move(done));
      });

  check_batch_ =
      MakeMethod<v1::CheckBatchRequest, v1::CheckBatchResponse, LimiterHandler::BatchCall>(
          Method::kCheckBatch, [this](auto... a) { limiter_service_.RequestCheckBatch(a...); });
  check_batch_.handle = [&limiter](const auto& context, const auto& request, auto* response,
                                   auto& call, Done done) {
    limiter.CheckBatch(context, request, response, call, std::move(done));
  };
  health_check_ = MakeMethod<health::HealthCheckRequest, health::HealthCheckResponse, NoScratch>(
      std::nullopt, [this](auto... a) { health_service_.RequestCheck(a...); });
  health_check_.handle = [&state](const auto&, const auto& request, auto* response, auto&,
                                  const Done& done) {
    CheckHealth(state, request, response, done);
  };
}

void GrpcServer::Impl::SetArguments(grpc::ServerBuilder& builder) const {
  // A second server on the port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options_.streams_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                             static_cast<int>(options_.header_bytes_max));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // messages are tiny
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  if (options_.connection_age_max_ns > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               Milliseconds(options_.connection_age_max_ns));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               options_.connection_age_grace_ns > 0
                                   ? Milliseconds(options_.connection_age_grace_ns)
                                   : std::numeric_limits<int>::max());
  }
  // Four times the bound: up to that, the refusal is ours and counted.
  builder.SetMaxReceiveMessageSize(static_cast<int>(options_.message_bytes_max * 4));
}

// What reaches a Unix socket has passed the permissions of its file.
std::shared_ptr<grpc::ServerCredentials> GrpcServer::Impl::CredentialsFor(
    const std::string& address) {
  if (options_.certificates == nullptr || address.starts_with("unix:")) {
    return grpc::InsecureServerCredentials();
  }
  return credentials_.emplace_back(
      TlsCredentials(*options_.certificates, {options_.tls_client_sans}, clients_refused_));
}

absl::Status GrpcServer::Impl::Start() {
  grpc::ServerBuilder builder;
  SetArguments(builder);
  ports_.assign(options_.listen.size(), 0);
  for (std::size_t i = 0; i < options_.listen.size(); ++i) {
    absl::Status free = CheckListenAddress(options_.listen[i]);
    if (!free.ok()) return free;
    builder.AddListeningPort(options_.listen[i], CredentialsFor(options_.listen[i]), &ports_[i]);
  }
  builder.RegisterService(&rate_limit_service_);
  builder.RegisterService(&limiter_service_);
  builder.RegisterService(&health_service_);
  if (options_.reflection) {
    builder.RegisterService(&reflection_service_);
    builder.RegisterService(&reflection_alpha_service_);
  }
  for (int i = 0; i < options_.threads; ++i) queues_.push_back(builder.AddCompletionQueue());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    for (auto& queue : queues_) queue->Shutdown();
    for (auto& queue : queues_) {
      void* tag = nullptr;
      bool ok = false;
      while (queue->Next(&tag, &ok)) {
      }
    }
    queues_.clear();
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", absl::StrJoin(options_.listen, ", "),
                     ": the address is in use or not ours; choose another with --grpc-listen"));
  }
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    if (options_.listen[i].starts_with("unix:")) ports_[i] = 0;  // grpc++ says 1
  }
  lanes_.reserve(queues_.size());
  for (auto& queue : queues_) {
    lanes_.push_back({queue.get(), &engine_, &engine_.AddWorker(), &in_flight_,
                      options_.in_flight_max, options_.message_bytes_max, &stopping_});
  }
  for (Lane& lane : lanes_) {
    wakes_.push_back(std::make_unique<WakeQueue>(lane));
    shutdowns_.push_back(std::make_unique<ShutdownQueue>(lane));
    PostCalls(lane);
  }
  for (Lane& lane : lanes_) threads_.emplace_back([this, &lane] { Poll(lane); });
  absl::Status status;
  for (const std::string& address : options_.listen) {
    if (address.starts_with("unix:")) status.Update(OpenSocketTo(address, options_.socket_mode));
  }
  return status;
}

void GrpcServer::Impl::PostCalls(Lane& lane) {
  const auto post = [&lane]<typename Request, typename Response, typename Scratch>(
                        const UnaryMethod<Request, Response, Scratch>& spec, int count) {
    for (int i = 0; i < count; ++i) UnaryCall<Request, Response, Scratch>::Post(spec, lane);
  };
  post(should_rate_limit_, kPostedHot);
  post(check_, kPostedHot);
  post(check_batch_, kPostedCold);
  post(peek_, kPostedCold);
  post(report_, kPostedCold);
  post(refund_, kPostedCold);
  post(reset_, kPostedCold);
  post(explain_, kPostedCold);
  post(health_check_, kPostedCold);
  WatchCall::Post(watch_, lane);
  if (options_.reflection) {
    ReflectionCall<ReflectionV1>::Post(reflection_, reflection_service_, lane);
    ReflectionCall<ReflectionV1Alpha>::Post(reflection_, reflection_alpha_service_, lane);
  }
}

void GrpcServer::Impl::Poll(Lane& lane) {
  void* tag = nullptr;
  bool ok = false;
  while (lane.queue->Next(&tag, &ok)) static_cast<Tag*>(tag)->Proceed(ok);
}

void GrpcServer::Impl::Drain(int64_t grace_ns) {
  if (server_ == nullptr) return;
  watch_.health.SetEnded();  // open streams would hold the end up until the deadline
  server_->Shutdown(
      gpr_convert_clock_type(gpr_time_from_nanos(grace_ns, GPR_TIMESPAN), GPR_CLOCK_MONOTONIC));
  stopping_.store(true, std::memory_order_release);
  for (const auto& wake : wakes_) wake->End();
  for (const auto& shutdown : shutdowns_) shutdown->Begin();
  for (std::thread& thread : threads_) thread.join();
  server_.reset();
}

std::string GrpcVersion() { return grpc::Version(); }

GrpcServer::GrpcServer(const GrpcOptions& options, Engine& engine,
                       const RateLimitHandler& rate_limit, const LimiterHandler& limiter,
                       Health& health)
    : impl_(std::make_unique<Impl>(options, engine, rate_limit, limiter, health)) {}

GrpcServer::~GrpcServer() = default;

absl::Status GrpcServer::Start() { return impl_->Start(); }
const std::vector<int>& GrpcServer::ports() const { return impl_->ports(); }
uint64_t GrpcServer::in_flight() const { return impl_->in_flight(); }
uint64_t GrpcServer::watchers_refused() const { return impl_->watchers_refused(); }
uint64_t GrpcServer::reflection_refused() const { return impl_->reflection_refused(); }
uint64_t GrpcServer::clients_refused() const { return impl_->clients_refused(); }
void GrpcServer::Drain(int64_t grace_ns) { impl_->Drain(grace_ns); }

}  // namespace weir
