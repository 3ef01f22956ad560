#include "limiter/admin/pages.h"

#include <list>
#include <memory>
#include <string>
#include <utility>

namespace weir {
namespace {

HttpResponse Metrics(const std::function<std::string()>& metrics, const std::string& type) {
  HttpResponse response = TextResponse(200, metrics());
  response.content_type = type;
  return response;
}

// The calls of /json that wait for their store. Lives with the route.
class JsonCalls {
 public:
  explicit JsonCalls(const PublicPages& pages) : pages_(pages) {}

  void Begin(const HttpRequest& request, const HttpServer::Respond& respond) {
    Clock& clock = pages_.engine.clock();
    const int64_t started_ns = clock.Now().mono_ns;
    const auto call = calls_.emplace(calls_.end());
    call->Run(pages_.rate_limit, {pages_.worker}, request.body,
              [this, &clock, started_ns, call, respond](const JsonAnswer& answer) {
                pages_.worker.counters().methods[static_cast<std::size_t>(Method::kJson)].Observe(
                    static_cast<int>(answer.code), clock.Now().mono_ns - started_ns);
                const bool decided = answer.http_status == 200 || answer.http_status == 429;
                HttpResponse response = decided ? JsonResponse(answer.body)
                                                : TextResponse(answer.http_status, answer.body);
                response.status = answer.http_status;
                respond(response);
                calls_.erase(call);
              });
  }

 private:
  const PublicPages pages_;
  std::list<JsonCall> calls_;
};

}  // namespace

void AddMetricsPage(const std::string& path, std::function<std::string()> metrics,
                    const std::string& content_type, HttpServer& server) {
  server.AddSlowRoute(path, {"GET"},
                      [metrics = std::move(metrics), content_type](const HttpRequest&) {
                        return Metrics(metrics, content_type);
                      });
}

void AddPublicPages(const PublicPages& pages, HttpServer& server) {
  server.AddRoute("/livez", {"GET"}, [&health = pages.health](const HttpRequest&) {
    return health.alive() ? TextResponse(200, "OK")
                          : TextResponse(503, "the gRPC listener takes no connections any more\n");
  });
  server.AddRoute("/healthcheck", {"GET"}, [&health = pages.health](const HttpRequest&) {
    return health.serving() ? TextResponse(200, "OK") : TextResponse(500, "not serving\n");
  });
  server.AddRoute("/readyz", {"GET"}, [&health = pages.health](const HttpRequest&) {
    return health.ready() ? TextResponse(200, "OK")
                          : TextResponse(503, "not ready: draining, or no rules are loaded\n");
  });
  // The reference takes any method here.
  server.AddLateRoute("/json", {},
                      [calls = std::make_shared<JsonCalls>(pages)](
                          const HttpRequest& request, const HttpServer::Respond& respond) {
                        calls->Begin(request, respond);
                      });
  pages.worker.inbox().SetWake([&server] { server.Wake(); });
  server.SetOnWake([&worker = pages.worker] { worker.inbox().Deliver(); });
  AddMetricsPage("/metrics", pages.metrics, pages.metrics_content_type, server);
}

}  // namespace weir
