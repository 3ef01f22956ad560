#include "bench/null_server_cq.h"

#include <google/protobuf/arena.h>

#include <array>
#include <atomic>
#include <optional>

#include "bench/null_server_answer.h"

namespace weir::bench {
namespace {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;
using Service = envoy::service::ratelimit::v3::RateLimitService::AsyncService;

// One call at a time, over and over. Used only by a thread that holds its tag, so it needs no
// lock even when several threads poll one queue.
class Call {
 public:
  Call(Service* service, grpc::ServerCompletionQueue* queue, bool use_arena)
      : service_(service), queue_(queue) {
    if (use_arena) {
      google::protobuf::ArenaOptions options;
      options.initial_block = block_.data();
      options.initial_block_size = block_.size();
      arena_.emplace(options);
    }
  }

  // Asks gRPC for the next call. A ServerContext cannot be used twice, so it is made anew.
  void Post() {
    responder_.reset();
    context_.emplace();
    responder_.emplace(&*context_);
    if (arena_) {
      arena_->Reset();
      request_ = google::protobuf::Arena::CreateMessage<RateLimitRequest>(&*arena_);
      response_ = google::protobuf::Arena::CreateMessage<RateLimitResponse>(&*arena_);
    }
    answering_ = false;
    service_->RequestShouldRateLimit(&*context_, request_, &*responder_, queue_, queue_, this);
  }

  // Handles one event of this call. Returns false when the call object has retired: the server
  // is shutting down and no request will come any more.
  [[nodiscard]] bool Proceed(bool ok) {
    if (answering_) {  // `ok` tells only whether the peer was still there
      Post();
      return true;
    }
    if (!ok) return false;
    response_->Clear();  // keeps its sub-messages, so a recycled answer allocates nothing
    FillAnswer(*request_, response_);
    answering_ = true;
    responder_->Finish(*response_, grpc::Status::OK, this);
    return true;
  }

 private:
  Service* const service_;
  grpc::ServerCompletionQueue* const queue_;
  alignas(std::max_align_t) std::array<char, 2048> block_;
  std::optional<google::protobuf::Arena> arena_;
  RateLimitRequest heap_request_;
  RateLimitResponse heap_response_;
  RateLimitRequest* request_ = &heap_request_;
  RateLimitResponse* response_ = &heap_response_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<RateLimitResponse>> responder_;
  bool answering_ = false;
};

}  // namespace

class CqServer::Queue {
 public:
  Queue(Service* service, std::unique_ptr<grpc::ServerCompletionQueue> queue,
        const CqOptions& options)
      : queue_(std::move(queue)), live_calls_(options.calls_per_queue) {
    for (int i = 0; i < options.calls_per_queue; ++i) {
      calls_.push_back(std::make_unique<Call>(service, queue_.get(), options.arena));
    }
  }

  void PostAll() {
    for (auto& call : calls_) call->Post();
  }

  // Runs until the queue is shut down.
  void Poll() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
      if (static_cast<Call*>(tag)->Proceed(ok)) continue;
      // Release, paired with the acquire below: what this thread did to the call is done.
      if (live_calls_.fetch_sub(1, std::memory_order_release) == 1) live_calls_.notify_all();
    }
  }

  // Shuts the queue down when the last call object has retired, and not before: a request posted
  // on a queue that is shutting down would abort the process.
  void EndWhenIdle() {
    for (int live = live_calls_.load(std::memory_order_acquire); live > 0;
         live = live_calls_.load(std::memory_order_acquire)) {
      live_calls_.wait(live, std::memory_order_acquire);
    }
    queue_->Shutdown();
  }

 private:
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::atomic<int> live_calls_;
};

CqServer::CqServer(const CqOptions& options) : options_(options) {}
CqServer::~CqServer() = default;

void CqServer::Register(grpc::ServerBuilder* builder) {
  builder->RegisterService(&service_);
  for (int i = 0; i < options_.queues; ++i) {
    queues_.push_back(std::make_unique<Queue>(&service_, builder->AddCompletionQueue(), options_));
  }
}

void CqServer::Start() {
  for (auto& queue : queues_) {
    queue->PostAll();
    for (int i = 0; i < options_.threads_per_queue; ++i) {
      threads_.emplace_back([&queue] { queue->Poll(); });
    }
  }
}

void CqServer::Join() {
  for (auto& queue : queues_) queue->EndWhenIdle();
  for (auto& thread : threads_) thread.join();
}

}  // namespace weir::bench
