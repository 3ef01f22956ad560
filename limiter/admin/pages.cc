#include "limiter/admin/pages.h"

#include <memory>
#include <string>
#include <utility>

namespace weir {
namespace {

constexpr char kText[] = "text/plain; charset=utf-8";
constexpr char kJson[] = "application/json";
constexpr char kHtml[] = "text/html; charset=utf-8";

HttpResponse Text(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.content_type = kText;
  response.body = std::move(body);
  return response;
}

HttpResponse Metrics(const std::function<std::string()>& metrics, const std::string& type) {
  HttpResponse response = Text(200, metrics());
  response.content_type = type;
  return response;
}

HttpResponse Json(const PublicPages& pages, const HttpRequest& request) {
  Clock& clock = pages.engine.clock();
  const int64_t started_ns = clock.Now().mono_ns;
  JsonAnswer answer = ShouldRateLimitJson(pages.rate_limit, {pages.worker}, request.body);
  pages.worker.counters().methods[static_cast<std::size_t>(Method::kJson)].Observe(
      static_cast<int>(answer.code), clock.Now().mono_ns - started_ns);
  HttpResponse response = Text(answer.http_status, std::move(answer.body));
  if (answer.http_status == 200 || answer.http_status == 429) response.content_type = kJson;
  return response;
}

std::string RlConfig(const RuleTable* table) {
  std::string lines;
  if (table == nullptr) return lines;
  for (const Rule& rule : table->rules()) lines += RlConfigLine(rule) + "\n";
  return lines;
}

std::string Index(const DebugPages& pages) {
  const std::shared_ptr<const RuleTable> table = pages.engine.rules();
  const std::string rules =
      table == nullptr ? "no rules loaded" : std::to_string(table->rules().size()) + " rules";
  return "<!doctype html><title>weir</title><h1>weir " + EscapeHtml(pages.version) + "</h1><p>" +
         rules +
         "</p><ul><li><a href=\"/rlconfig\">/rlconfig</a> the limits, one line each"
         "<li><a href=\"/rules\">/rules</a> the rules as JSON"
         "<li><a href=\"/config\">/config</a> the settings in force"
         "<li><a href=\"/stats\">/stats</a> the metrics</ul>\n";
}

}  // namespace

void AddMetricsPage(const std::string& path, std::function<std::string()> metrics,
                    const std::string& content_type, HttpServer& server) {
  server.AddRoute(path, {"GET"}, [metrics = std::move(metrics), content_type](const HttpRequest&) {
    return Metrics(metrics, content_type);
  });
}

void AddPublicPages(const PublicPages& pages, HttpServer& server) {
  server.AddRoute("/livez", {"GET"}, [](const HttpRequest&) { return Text(200, "OK"); });
  server.AddRoute("/healthcheck", {"GET"}, [&health = pages.health](const HttpRequest&) {
    return health.serving() ? Text(200, "OK") : Text(500, "not serving\n");
  });
  server.AddRoute("/readyz", {"GET"}, [&health = pages.health](const HttpRequest&) {
    return health.ready() ? Text(200, "OK")
                          : Text(503, "not ready: draining, or no rules are loaded\n");
  });
  server.AddRoute("/json", {"GET", "POST", "PUT"},
                  [pages](const HttpRequest& request) { return Json(pages, request); });
  AddMetricsPage("/metrics", pages.metrics, pages.metrics_content_type, server);
}

void AddDebugPages(const DebugPages& pages, HttpServer& server) {
  server.AddRoute("/", {"GET"}, [pages](const HttpRequest&) {
    HttpResponse response = Text(200, Index(pages));
    response.content_type = kHtml;
    return response;
  });
  server.AddRoute("/rlconfig", {"GET"}, [&engine = pages.engine](const HttpRequest&) {
    return Text(200, RlConfig(engine.rules().get()));
  });
  server.AddRoute("/rules", {"GET"}, [&engine = pages.engine](const HttpRequest&) {
    const std::shared_ptr<const RuleTable> table = engine.rules();
    HttpResponse response = Text(200, table == nullptr ? "[]\n" : RulesJson(*table));
    response.content_type = kJson;
    return response;
  });
  server.AddRoute("/stats", {"GET"},
                  [metrics = pages.metrics](const HttpRequest&) { return Text(200, metrics()); });
  server.AddRoute("/config", {"GET"},
                  [settings = pages.settings](const HttpRequest&) { return Text(200, settings); });
}

}  // namespace weir
