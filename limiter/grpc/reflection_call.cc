#include "limiter/grpc/reflection_call.h"

#include <chrono>
#include <cstddef>

#include "limiter/core/counters.h"

namespace weir {

template <typename Api>
void ReflectionCall<Api>::OnRequest(bool ok) {
  if (!ok) {  // the queue shuts down; the done event of a call never begun does not come
    delete this;
    return;
  }
  if (!lane_.stopping->load(std::memory_order_acquire)) Post(shared_, service_, lane_);
  pending_events_ = 1;  // done
  entered_ = shared_.bound.Enter();
  if (!entered_) {
    Finish({grpc::StatusCode::RESOURCE_EXHAUSTED,
            "too many reflection streams (--reflection-streams-max)"});
    return;
  }
  subscription_ = shared_.health.Subscribe([this](Health::State state) { HealthChanged(state); });
  Read();
}

template <typename Api>
void ReflectionCall<Api>::Read() {
  ++pending_events_;
  stream_.Read(&request_, &read_);
}

template <typename Api>
void ReflectionCall<Api>::Finish(const grpc::Status& status) {
  finishing_ = true;
  ++pending_events_;
  stream_.Finish(status, &finished_);
}

// On the thread that changed the health: the alarm moves the news to the queue's thread.
template <typename Api>
void ReflectionCall<Api>::HealthChanged(Health::State state) {
  if (state != Health::State::kEnded) return;
  ending_.store(true, std::memory_order_relaxed);
  alarm_.Set(lane_.queue, std::chrono::system_clock::time_point(), &end_event_);
}

template <typename Api>
void ReflectionCall<Api>::OnRead(bool ok) {
  --pending_events_;
  if (!leaving()) {
    if (!ok) {  // the caller asks no more
      Finish(grpc::Status::OK);
    } else if (request_.ByteSizeLong() > lane_.message_bytes_max) {
      lane_.worker->counters().input_rejected[static_cast<std::size_t>(InputReject::kMessage)].Add(
          1);
      Finish(
          {grpc::StatusCode::RESOURCE_EXHAUSTED, "the message is larger than --message-bytes-max"});
    } else {
      writing_ = true;
      ++pending_events_;
      stream_.Write(Reflect<Api>(shared_.services, request_), &written_);
    }
  }
  Release();
}

// The next request is read only when the answer has left: what one caller can pile up is one.
template <typename Api>
void ReflectionCall<Api>::OnWritten(bool ok) {
  writing_ = false;
  --pending_events_;
  if (ok && !leaving()) Read();
  Release();
}

template <typename Api>
void ReflectionCall<Api>::OnEnd(bool) {
  ended_ = true;
  if (!leaving()) {
    // A caller that reads no answer would hold the end up.
    if (writing_) {
      context_.TryCancel();
    } else {
      Finish({grpc::StatusCode::UNAVAILABLE, "the server ends"});
    }
  }
  Release();
}

template <typename Api>
void ReflectionCall<Api>::OnDone(bool) {
  done_ = true;
  --pending_events_;
  if (entered_) shared_.health.Unsubscribe(subscription_);
  Release();
}

template <typename Api>
void ReflectionCall<Api>::OnFinished(bool) {
  --pending_events_;
  Release();
}

// Deletes this once the call is over and no event is outstanding. A stream that its caller left is
// not finished: its last event may come when the queue is down already.
template <typename Api>
void ReflectionCall<Api>::Release() {
  if (!done_ || pending_events_ > 0) return;
  if (ending_.load(std::memory_order_relaxed) && !ended_) return;  // its event comes, then this
  if (entered_) shared_.bound.Leave();
  delete this;
}

template class ReflectionCall<ReflectionV1>;
template class ReflectionCall<ReflectionV1Alpha>;

}  // namespace weir
