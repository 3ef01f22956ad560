#pragma once

// ServerReflection/ServerReflectionInfo: one answer for each request, until the caller leaves or
// the server ends. An idle stream costs memory, no thread.

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "limiter/grpc/lane.h"
#include "limiter/grpc/reflection.h"
#include "limiter/grpc/stream_bound.h"
#include "limiter/rpc/health.h"

namespace weir {

// What all reflection streams share.
struct ReflectionShared {
  Health& health;  // tells when the server ends
  StreamBound bound;
  std::vector<std::string> services;  // full names
};

// One stream. Lives until all its events have come out of the queue. All members belong to the
// queue's thread but `ending_`.
template <typename Api>
class ReflectionCall final {
 public:
  using Service = typename Api::Service;

  // Waits for a stream. `shared`, `service` and `lane` outlive it.
  static void Post(ReflectionShared& shared, Service& service, Lane& lane) {
    new ReflectionCall(shared, service, lane);
  }

 private:
  using Event = CallEvent<ReflectionCall>;

  ReflectionCall(ReflectionShared& shared, Service& service, Lane& lane)
      : shared_(shared), service_(service), lane_(lane) {
    context_.AsyncNotifyWhenDone(&done_event_);
    service_.RequestServerReflectionInfo(&context_, &stream_, lane_.queue, lane_.queue,
                                         &requested_);
  }

  void OnRequest(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnEnd(bool ok);
  void OnDone(bool ok);
  void OnFinished(bool ok);

  void HealthChanged(Health::State state);
  // Nothing more is to be started.
  bool leaving() const { return done_ || finishing_ || lane_.down; }
  void Read();
  void Finish(const grpc::Status& status);
  void Release();

  ReflectionShared& shared_;
  Service& service_;
  Lane& lane_;
  grpc::ServerContext context_;
  typename Api::Request request_;
  grpc::ServerAsyncReaderWriter<typename Api::Response, typename Api::Request> stream_{&context_};
  Event requested_{*this, &ReflectionCall::OnRequest};
  Event read_{*this, &ReflectionCall::OnRead};
  Event written_{*this, &ReflectionCall::OnWritten};
  Event end_event_{*this, &ReflectionCall::OnEnd};
  Event done_event_{*this, &ReflectionCall::OnDone};
  Event finished_{*this, &ReflectionCall::OnFinished};
  int pending_events_ = 0;  // without that of the end
  bool entered_ = false;
  bool writing_ = false;
  bool done_ = false;
  bool finishing_ = false;
  bool ended_ = false;  // the event of the end came
  uint64_t subscription_ = 0;

  // The alarm of the end is set. Written at most once, under the lock of the health, and read after
  // Unsubscribe has taken that lock.
  std::atomic<bool> ending_{false};
  grpc::Alarm alarm_;
};

extern template class ReflectionCall<ReflectionV1>;
extern template class ReflectionCall<ReflectionV1Alpha>;

}  // namespace weir
