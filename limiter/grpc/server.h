#pragma once

// The grpc++ listener: every service of Weir on completion queues, one thread each. Which of
// grpc++'s APIs serves best was measured (bench/README.md).
//
// Thread safety: Start, Drain and the destructor from one thread; the rest from any.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "limiter/core/engine.h"
#include "limiter/rpc/health.h"
#include "limiter/rpc/limiter_handler.h"
#include "limiter/rpc/rate_limit_handler.h"
#include "limiter/tls/certificate_source.h"

namespace weir {

struct GrpcOptions {
  // "127.0.0.1:8081", "[::1]:8081" or "unix:/path"; port 0 picks a free one.
  std::vector<std::string> listen;
  unsigned socket_mode = 0700;  // of the Unix sockets among them
  int threads = 1;              // completion queues, one thread and one Worker each
  std::size_t message_bytes_max = 64 << 10;
  std::size_t header_bytes_max = 8 << 10;
  int streams_max = 1000;              // at once, per connection
  std::size_t in_flight_max = 10'000;  // calls being decided; above it RESOURCE_EXHAUSTED
  std::size_t watchers_max = 1000;     // Health/Watch streams; above it RESOURCE_EXHAUSTED
  // 0: for ever, both. grpc++ adds a jitter of ±10 % to the age.
  int64_t connection_age_max_ns = 0;
  int64_t connection_age_grace_ns = 0;
  bool reflection = true;
  std::size_t reflection_streams_max = 1000;  // above it RESOURCE_EXHAUSTED
  // TLS on TCP addresses, if given; loaded, and outlives the server.
  const CertificateSource* certificates = nullptr;
  std::vector<std::string> tls_client_sans = {};  // as ClientNames::allowed
};

// The version of grpc++ linked in: "1.51.1".
std::string GrpcVersion();

class GrpcServer {
 public:
  // Arguments but the options outlive the server.
  GrpcServer(const GrpcOptions& options, Engine& engine, const RateLimitHandler& rate_limit,
             const LimiterHandler& limiter, Health& health);
  ~GrpcServer();

  // Opens all listeners or none. Fails with the address, the reason and the remedy.
  absl::Status Start();

  // The TCP ports in the order of options.listen; 0 for a Unix socket.
  const std::vector<int>& ports() const;

  uint64_t in_flight() const;
  // Streams refused because too many of their kind were open, since the start.
  uint64_t watchers_refused() const;
  uint64_t reflection_refused() const;
  // Calls of clients whose certificate has none of the allowed names.
  uint64_t clients_refused() const;

  // Accepts nothing new, lets calls in flight end, and cuts off what is left after `grace_ns`.
  void Drain(int64_t grace_ns);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
