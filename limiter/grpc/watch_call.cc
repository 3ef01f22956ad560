#include "limiter/grpc/watch_call.h"

#include <chrono>

namespace weir {
namespace {

using grpc::health::v1::HealthCheckResponse;

}  // namespace

void WatchCall::Post(WatchShared& shared, Lane& lane) { new WatchCall(shared, lane); }

WatchCall::WatchCall(WatchShared& shared, Lane& lane) : shared_(shared), lane_(lane) {
  context_.AsyncNotifyWhenDone(&done_event_);
  shared_.service.RequestWatch(&context_, &request_, &writer_, lane_.queue, lane_.queue,
                               &requested_);
}

void WatchCall::OnRequest(bool ok) {
  if (!ok) {  // the queue shuts down; the done event of a call never begun does not come
    delete this;
    return;
  }
  if (!lane_.stopping->load(std::memory_order_acquire)) Post(shared_, lane_);
  pending_events_ = 1;  // done
  entered_ = shared_.bound.Enter();
  if (!entered_) {
    Finish({grpc::StatusCode::RESOURCE_EXHAUSTED,
            "too many watchers of health (--health-watchers-max)"});
    return;
  }
  subscription_ = shared_.health.Subscribe([this](Health::State state) { HealthChanged(state); });
}

void WatchCall::Finish(const grpc::Status& status) {
  finishing_ = true;
  ++pending_events_;
  writer_.Finish(status, &finished_);
}

// On the thread that changed the health: the alarm moves the news to the queue's thread.
void WatchCall::HealthChanged(Health::State state) {
  MutexLock lock(mutex_);
  ended_ = state == Health::State::kEnded;
  status_ = !Health::Knows(request_.service()) ? HealthCheckResponse::SERVICE_UNKNOWN
            : state == Health::State::kServing ? HealthCheckResponse::SERVING
                                               : HealthCheckResponse::NOT_SERVING;
  if (alarm_set_) return;
  alarm_set_ = true;
  alarm_.Set(lane_.queue, std::chrono::system_clock::time_point(), &changed_);
}

void WatchCall::OnChange(bool) {
  {
    MutexLock lock(mutex_);
    alarm_set_ = false;
  }
  WriteIfChanged();
  Release();
}

void WatchCall::WriteIfChanged() {
  if (writing_ || done_ || finishing_ || lane_.down) return;
  HealthCheckResponse response;
  bool ended = false;
  {
    MutexLock lock(mutex_);
    ended = ended_;
    response.set_status(static_cast<HealthCheckResponse::ServingStatus>(status_));
  }
  if (sent_ == response.status()) {
    if (ended) Finish({grpc::StatusCode::UNAVAILABLE, "the server ends"});
    return;
  }
  sent_ = response.status();
  writing_ = true;
  ++pending_events_;
  writer_.Write(response, &written_);
}

void WatchCall::OnWritten(bool ok) {
  writing_ = false;
  --pending_events_;
  if (ok) WriteIfChanged();
  Release();
}

void WatchCall::OnDone(bool) {
  done_ = true;
  --pending_events_;
  if (entered_) shared_.health.Unsubscribe(subscription_);
  Release();
}

void WatchCall::OnFinished(bool) {
  --pending_events_;
  Release();
}

// Deletes this once the call is over and no event is outstanding. A stream that its caller left is
// not finished: its last event may come when the queue is down already.
void WatchCall::Release() {
  if (!done_ || pending_events_ > 0) return;
  {
    MutexLock lock(mutex_);
    if (alarm_set_) return;  // its event comes, and then this again
  }
  if (entered_) shared_.bound.Leave();
  delete this;
}

}  // namespace weir
