// The null server on grpc++'s asynchronous API: completion queues that our own threads poll.
//
// Every queue owns a fixed set of call objects. Each object asks for one call, answers it in
// place and asks for the next, so nothing is allocated per call on our side, requests are always
// posted ahead, and calls beyond the set wait inside gRPC instead of growing memory.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <thread>
#include <vector>

#include "envoy/service/ratelimit/v3/rls.grpc.pb.h"

namespace weir::bench {

struct CqOptions {
  int queues = 1;             // completion queues
  int threads_per_queue = 1;  // threads polling each queue
  int calls_per_queue = 256;  // call objects, and so requests posted ahead, of each queue
  bool arena = false;         // messages on an arena per call object instead of the heap
};

// Order of use: Register, BuildAndStart by the caller, Start, Server::Shutdown by the caller,
// Join. Not thread-safe: one thread owns it.
class CqServer {
 public:
  explicit CqServer(const CqOptions& options);
  ~CqServer();

  // Adds the service and the queues. `builder` must be built before Start.
  void Register(grpc::ServerBuilder* builder);
  // Posts the first requests and starts the polling threads.
  void Start();
  // Returns when all threads have ended. REQUIRES: Server::Shutdown has
  // returned.
  void Join();

 private:
  class Queue;

  const CqOptions options_;
  envoy::service::ratelimit::v3::RateLimitService::AsyncService service_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<std::thread> threads_;
};

}  // namespace weir::bench
