#pragma once

// What all calls on one completion queue share.

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "limiter/core/engine.h"

namespace weir {

// What a completion queue's events point to.
class Tag {
 public:
  virtual ~Tag() = default;
  // One event of this object came out of the queue; `ok` as in grpc::CompletionQueue::Next.
  virtual void Proceed(bool ok) = 0;
};

// One of several events of a call: which one, and to whom.
template <typename Call>
class CallEvent final : public Tag {
 public:
  CallEvent(Call& call, void (Call::*handle)(bool)) : call_(call), handle_(handle) {}
  void Proceed(bool ok) override { (call_.*handle_)(ok); }

 private:
  Call& call_;
  void (Call::*handle_)(bool);
};

// One completion queue, its thread's worker, and what the calls on it share.
struct Lane {
  grpc::ServerCompletionQueue* queue = nullptr;
  Engine* engine = nullptr;
  Worker* worker = nullptr;
  std::atomic<uint64_t>* in_flight = nullptr;
  std::size_t in_flight_max = 0;
  std::size_t message_bytes_max = 0;
  // Set before the queues shut down: finished calls then wait for no further request.
  const std::atomic<bool>* stopping = nullptr;
  // The queue has shut down: it takes no further operation. Of its thread.
  bool down = false;
};

inline grpc::Status ToGrpc(const absl::Status& status) {
  return status.ok() ? grpc::Status::OK
                     : grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                                    std::string(status.message()));
}

}  // namespace weir
