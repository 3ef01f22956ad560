#pragma once

// A small HTTP/1.1 server on libevent's evhttp, for probes, metrics and pages. Everything a client
// can hold is bounded: the number of connections, the bytes of headers and body, the time from the
// first byte of a request (or the connect) to the last byte of its answer, and the time between.
//
// Thread safety: AddRoute before Start; Start and Stop from one thread; handlers run on the
// server's own thread, or on the executor of slow ones, and must not block; the rest from any
// thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "limiter/core/executor.h"
#include "limiter/tls/certificate_source.h"

namespace weir {

struct HttpOptions {
  std::string name;    // of the setting that names the address, for error texts: "http-listen"
  std::string listen;  // "127.0.0.1:8080" or "[::1]:8080"; port 0 picks a free one
  std::size_t connections_max = 256;  // more wait in the kernel's queue
  std::size_t header_bytes_max = 8 << 10;
  std::size_t body_bytes_max = 64 << 10;
  // All answers together that clients have not read yet; one more of over 64 KiB is answered 503.
  std::size_t unread_bytes_max = 64 << 20;
  // For one request with its answer; a connection without one is closed after as long.
  int64_t request_time_max_ns = 10'000'000'000;
  // HTTPS only, if given; loaded, and outlives the server.
  const CertificateSource* certificates = nullptr;
  // Runs the handlers of AddSlowRoute; outlives the server, and runs none of them after its Stop.
  Executor* slow = nullptr;
};

struct HttpRequest {
  std::string_view method;  // "GET"
  std::string_view path;    // decoded, without the query
  std::string_view query;   // as it was sent, without the '?'
  std::string_view accept;  // the header's value; empty: none was sent
  std::string_view body;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string style_hash{};  // "sha256-…" of the one stylesheet that the body may hold; empty: none
};
inline HttpResponse TextResponse(int status, std::string body) {
  return {.status = status, .body = std::move(body)};
}
inline HttpResponse JsonResponse(std::string body) {
  return {.content_type = "application/json", .body = std::move(body)};
}

// What the bounds refused.
struct HttpRejects {
  std::atomic<uint64_t> headers{0};  // too long, or not HTTP
  std::atomic<uint64_t> body{0};     // too long, or chunks that cannot be read
  std::atomic<uint64_t> time{0};     // not complete in time; not: idle between requests
  std::atomic<uint64_t> unread{0};   // answers that there was no room for
  // Times the listener paused: all connections were in use, or the process was out of descriptors.
  // Clients then wait in the kernel's queue, and see a connection that is not answered yet.
  std::atomic<uint64_t> connections{0};
};

class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;
  // Sends the answer; called once, on the server's thread. The client may be gone by then.
  using Respond = std::function<void(const HttpResponse&)>;
  using LateHandler = std::function<void(const HttpRequest&, Respond)>;

  explicit HttpServer(HttpOptions options);
  ~HttpServer();

  // `methods` besides HEAD; others are answered 405. HEAD is answered wherever GET is. No methods:
  // the page takes every method there is but TRACE and CONNECT, which are answered 501 everywhere.
  void AddRoute(const std::string& path, std::vector<std::string> methods, Handler handler);

  // As AddRoute, for pages that take long: the handler runs on options.slow, and meanwhile the
  // server answers others. REQUIRES: options.slow is set.
  void AddSlowRoute(const std::string& path, std::vector<std::string> methods, Handler handler);

  // As AddRoute, for answers that may come after the handler has returned.
  void AddLateRoute(const std::string& path, std::vector<std::string> methods, LateHandler handler);

  // `on_wake` runs on the server's thread soon after Wake, which any thread may call until Stop.
  // Before Start.
  void SetOnWake(std::function<void()> on_wake);
  void Wake();

  // Binds and serves. Fails with the address, the reason and the setting to change.
  absl::Status Start();
  // Closes all connections. Start may not be called again.
  void Stop();

  int port() const;
  const HttpRejects& rejects() const;
  std::size_t connections() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
