#pragma once

// Health/Watch: the status now and after each change, until the caller leaves.

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>

#include "grpc/health/v1/health.grpc.pb.h"
#include "limiter/core/mutex.h"
#include "limiter/grpc/lane.h"
#include "limiter/grpc/stream_bound.h"
#include "limiter/rpc/health.h"

namespace weir {

// What all watch streams share.
struct WatchShared {
  grpc::health::v1::Health::AsyncService& service;
  Health& health;
  StreamBound bound;
};

// One stream. Lives until all its events have come out of the queue. All members but the
// status, which a change of health sets from another thread, belong to the queue's thread.
class WatchCall final {
 public:
  static void Post(WatchShared& shared, Lane& lane);

 private:
  using Event = CallEvent<WatchCall>;

  WatchCall(WatchShared& shared, Lane& lane);
  void OnRequest(bool ok);
  void OnChange(bool ok);
  void OnWritten(bool ok);
  void OnDone(bool ok);
  void OnFinished(bool ok);

  void HealthChanged(Health::State state);
  void WriteIfChanged();
  void Finish(const grpc::Status& status);
  void Release();

  WatchShared& shared_;
  Lane& lane_;
  grpc::ServerContext context_;
  grpc::health::v1::HealthCheckRequest request_;
  grpc::ServerAsyncWriter<grpc::health::v1::HealthCheckResponse> writer_{&context_};
  Event requested_{*this, &WatchCall::OnRequest};
  Event changed_{*this, &WatchCall::OnChange};
  Event written_{*this, &WatchCall::OnWritten};
  Event done_event_{*this, &WatchCall::OnDone};
  Event finished_{*this, &WatchCall::OnFinished};
  int pending_events_ = 0;
  bool writing_ = false;
  bool done_ = false;
  bool finishing_ = false;
  bool entered_ = false;
  uint64_t subscription_ = 0;
  int sent_ = -1;  // the last status sent

  Mutex mutex_;
  int status_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
