// Open streams of a served listener: what they are answered, how many there may be, and how they
// end. The conformance suite asks the rest of the listener.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "limiter/core/engine.h"
#include "limiter/grpc/reflection.h"
#include "limiter/grpc/server.h"
#include "limiter/rpc/health.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/store/memory_store.h"
#include "tests/support/executors.h"

namespace weir {
namespace {

namespace v1health = grpc::health::v1;

constexpr const char* kFreePort = "127.0.0.1:0";
constexpr int64_t kSecondNs = 1'000'000'000;

// A served listener and one connection to it.
class Served {
 public:
  explicit Served(GrpcOptions options = {.listen = {kFreePort}}) {
    options.threads = 2;
    server_ = std::make_unique<GrpcServer>(options, engine_, rate_limit_, limiter_, health_);
    const absl::Status status = server_->Start();
    EXPECT_TRUE(status.ok()) << std::string(status.message());
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->ports()[0]),
                                   grpc::InsecureChannelCredentials());
  }

  GrpcServer& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Ends the server; returns how long that took.
  int64_t DrainNs() {
    const int64_t before = clock_.Now().mono_ns;
    server_->Drain(30 * kSecondNs);
    return clock_.Now().mono_ns - before;
  }
  int64_t NowNs() { return clock_.Now().mono_ns; }

 private:
  SystemClock clock_;
  test::ManualExecutor executor_;
  SeriesRegistry series_{100};
  MemoryStore store_{{.keys_max = 64, .ring_bytes_max = 1 << 16}};
  Engine engine_{{}, clock_, store_, executor_, series_};
  RpcOptions rpc_options_;
  RateLimitHandler rate_limit_{engine_, rpc_options_};
  LimiterHandler limiter_{engine_, rpc_options_};
  Health health_{true};
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

namespace v1 = grpc::reflection::v1;
namespace v1alpha = grpc::reflection::v1alpha;

// A reflection stream of a client.
template <typename Api, typename Stub>
class Stream {
 public:
  explicit Stream(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(channel), stream_(stub_.ServerReflectionInfo(&context_)) {}

  // How many services the server lists; -1: the stream has ended.
  int List() {
    typename Api::Request request;
    request.set_list_services("");
    typename Api::Response response;
    if (!stream_->Write(request) || !stream_->Read(&response)) return -1;
    return response.list_services_response().service_size();
  }
  bool Write(const typename Api::Request& request) { return stream_->Write(request); }
  void Cancel() { context_.TryCancel(); }
  grpc::Status End() {
    stream_->WritesDone();
    return Finish();
  }
  grpc::Status Finish() {
    typename Api::Response response;
    while (stream_->Read(&response)) {
    }
    return stream_->Finish();
  }

 private:
  Stub stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<typename Api::Request, typename Api::Response>> stream_;
};

using StreamV1 = Stream<ReflectionV1, v1::ServerReflection::Stub>;
using StreamV1Alpha = Stream<ReflectionV1Alpha, v1alpha::ServerReflection::Stub>;

TEST(ReflectionStream, AnswersEachRequestUntilTheCallerEnds) {
  Served served;
  StreamV1 stream(served.channel());
  StreamV1Alpha older(served.channel());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(stream.List(), 5);
    EXPECT_EQ(older.List(), 5);
  }
  EXPECT_TRUE(stream.End().ok());
  EXPECT_TRUE(older.End().ok());
}

TEST(ReflectionStream, IsNotServedWhenTurnedOff) {
  Served served({.listen = {kFreePort}, .reflection = false});
  StreamV1 stream(served.channel());
  EXPECT_EQ(stream.List(), -1);
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(ReflectionStream, IdleOnesEndAtOnceWithTheServer) {
  Served served;
  std::deque<StreamV1> streams;
  std::deque<StreamV1Alpha> older;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(streams.emplace_back(served.channel()).List(), 5);
    ASSERT_EQ(older.emplace_back(served.channel()).List(), 5);
  }
  StreamV1 silent(served.channel());  // never says anything
  EXPECT_LT(served.DrainNs(), 5 * kSecondNs);
  // The status and the reset of a stream race inside grpc++: now and then the reset comes first.
  const auto ended = testing::AnyOf(grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::CANCELLED);
  for (StreamV1& stream : streams) EXPECT_THAT(stream.Finish().error_code(), ended);
  for (StreamV1Alpha& stream : older) EXPECT_THAT(stream.Finish().error_code(), ended);
  EXPECT_FALSE(silent.Finish().ok());
}

TEST(ReflectionStream, ACallerThatReadsNoAnswerDoesNotHoldUpTheEnd) {
  Served served;
  StreamV1 stream(served.channel());
  ReflectionV1::Request request;
  request.set_file_by_filename("weir/v1/limiter.proto");
  // Until the answers fill the window of the stream and the server reads no further request: then
  // a write does not end, until the server cuts it off.
  std::atomic<int> written{0};
  std::thread writer([&] {
    while (stream.Write(request)) written.fetch_add(1, std::memory_order_relaxed);
  });
  int seen = -1;
  for (int64_t until = 0; served.NowNs() < until || until == 0;) {
    const int now = written.load(std::memory_order_relaxed);
    if (now != seen || until == 0) {
      seen = now;
      until = served.NowNs() + kSecondNs / 2;
    }
    std::this_thread::yield();
  }
  EXPECT_GT(seen, 0);
  EXPECT_LT(served.DrainNs(), 5 * kSecondNs);
  writer.join();
  EXPECT_FALSE(stream.Finish().ok());
}

TEST(ReflectionStream, TooManyAreRefusedAndCountedUntilOneLeaves) {
  Served served({.listen = {kFreePort}, .reflection_streams_max = 2});
  StreamV1 first(served.channel());
  auto second = std::make_unique<StreamV1Alpha>(served.channel());
  ASSERT_EQ(first.List(), 5);
  ASSERT_EQ(second->List(), 5);
  EXPECT_EQ(served.server().reflection_refused(), 0U);
  StreamV1 third(served.channel());
  EXPECT_EQ(third.List(), -1);
  EXPECT_EQ(third.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(served.server().reflection_refused(), 1U);
  EXPECT_EQ(first.List(), 5) << "those open stay";

  second->Cancel();
  EXPECT_EQ(second->Finish().error_code(), grpc::StatusCode::CANCELLED);
  int services = -1;
  for (const int64_t until = served.NowNs() + 30 * kSecondNs;
       services < 0 && served.NowNs() < until;) {
    StreamV1 again(served.channel());
    services = again.List();
    again.End();
  }
  EXPECT_EQ(services, 5);
}

TEST(ReflectionStream, ALargeMessageEndsTheStream) {
  Served served({.listen = {kFreePort}, .message_bytes_max = 1024});
  StreamV1 stream(served.channel());
  ReflectionV1::Request request;
  request.set_file_by_filename(std::string(1024, 'x'));
  ASSERT_TRUE(stream.Write(request));
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(HealthStream, TooManyAreRefusedAndCounted) {
  Served served({.listen = {kFreePort}, .watchers_max = 1});
  v1health::Health::Stub stub(served.channel());
  v1health::HealthCheckResponse response;
  grpc::ClientContext first_context;
  auto first = stub.Watch(&first_context, {});
  ASSERT_TRUE(first->Read(&response));
  EXPECT_EQ(response.status(), v1health::HealthCheckResponse::SERVING);
  EXPECT_EQ(served.server().watchers_refused(), 0U);
  for (uint64_t refused = 1; refused <= 3; ++refused) {
    grpc::ClientContext context;
    auto stream = stub.Watch(&context, {});
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(served.server().watchers_refused(), refused);
  }
  EXPECT_LT(served.DrainNs(), 5 * kSecondNs);
  EXPECT_FALSE(first->Read(&response) && first->Read(&response));
  EXPECT_EQ(first->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace weir
