#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/admin/html.h"
#include "limiter/admin/json_text.h"
#include "limiter/admin/pages.h"
#include "limiter/admin/query.h"
#include "limiter/admin/status.h"
#include "limiter/admin/status_html.h"

namespace weir {
namespace {

constexpr int kTopKeysShown = 20;
constexpr int kKeysListed = 1000;  // of all rules together
constexpr int kRefreshMaxS = 3600;

HttpResponse Html(std::string body) {
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = std::move(body);
  response.style_hash = kStatusStyleHash;
  return response;
}

int RefreshOf(const HttpRequest& request) {
  return QueryNumber(request.query, "refresh", 1, kRefreshMaxS, 0);
}

std::string RlConfig(const RuleTable* table) {
  std::string lines;
  if (table == nullptr) return lines;
  for (const Rule& rule : table->rules()) lines += RlConfigLine(rule) + "\n";
  return lines;
}

HttpResponse StatusOf(const DebugPages& pages, RuleRates& rates, const HttpRequest& request) {
  Status status;
  status.version = pages.build.empty() ? "" : pages.build.front().second;
  status.build = pages.build;
  status.wall_ns = pages.engine.now().wall_ns;
  status.refresh_s = RefreshOf(request);
  status.show_keys = pages.engine.options().keep_key_texts;
  status.shadow_mode = pages.engine.options().shadow_mode;
  status.quota_mode = pages.engine.options().quota_mode;
  status.enforcement_off_domains = pages.enforcement_off_domains();
  FillRules(pages.engine, rates, status);
  status.store = pages.store();
  status.reloads = pages.reloads.Get();
  status.settings = pages.settings;
  return WantsJson(request) ? JsonResponse(StatusJson(status)) : Html(StatusHtml(status));
}

// What is known of the keys of all rules, or of those with this domain and label.
std::vector<TopPage> TopOf(const Engine& engine, const std::optional<std::string>& domain,
                           const std::optional<std::string>& label, std::size_t k) {
  const std::vector<SeriesRegistry::RuleLabels> labels = engine.series().rules();
  std::vector<TopPage> all;
  for (const uint32_t slot : engine.TopKeySlots()) {
    if (slot >= labels.size()) continue;
    if (domain.has_value() && *domain != labels[slot].domain) continue;
    if (label.has_value() && *label != labels[slot].rule) continue;
    all.push_back({.domain = labels[slot].domain,
                   .label = labels[slot].rule,
                   .top = engine.TopKeysOf(slot, k),
                   .show_keys = engine.options().keep_key_texts});
  }
  return all;
}

HttpResponse Top(const Engine& engine, const HttpRequest& request) {
  const int k =
      QueryNumber(request.query, "k", 1, static_cast<int>(KeySketch::kSlots), kTopKeysShown);
  const std::vector<TopPage> rules =
      TopOf(engine, QueryValue(request.query, "domain"), QueryValue(request.query, "rule"),
            static_cast<std::size_t>(k));
  if (WantsJson(request)) return JsonResponse(TopJson(rules));
  return Html(TopHtml(rules, engine.options().keep_key_texts, RefreshOf(request)));
}

HttpResponse Keys(const Engine& engine, const HttpRequest& request) {
  if (!engine.options().keep_key_texts) {
    return TextResponse(403, "keys are not shown: start with --show-keys=true\n");
  }
  const std::string prefix = QueryValue(request.query, "prefix").value_or("");
  std::string lines;
  int listed = 0;
  for (const TopPage& rule : TopOf(engine, QueryValue(request.query, "domain"),
                                   QueryValue(request.query, "rule"), KeySketch::kSlots)) {
    for (const KeyHits& key : rule.top.keys) {
      if (key.text.compare(0, prefix.size(), prefix) != 0) continue;
      if (++listed > kKeysListed) return TextResponse(200, lines + "# and more\n");
      absl::StrAppend(&lines, OneLineText(rule.domain), "\t", OneLineText(rule.label), "\t",
                      OneLineText(key.text), "\t", NumberText(key.hits), "\n");
    }
  }
  return TextResponse(200, std::move(lines));
}

}  // namespace

void AddDebugPages(const DebugPages& pages, HttpServer& server) {
  const auto rates = std::make_shared<RuleRates>(pages.engine.now().mono_ns);
  server.AddSlowRoute("/", {"GET"}, [pages, rates](const HttpRequest& request) {
    return StatusOf(pages, *rates, request);
  });
  server.AddSlowRoute("/top", {"GET"}, [&engine = pages.engine](const HttpRequest& request) {
    return Top(engine, request);
  });
  server.AddSlowRoute("/keys", {"GET"}, [&engine = pages.engine](const HttpRequest& request) {
    return Keys(engine, request);
  });
  server.AddSlowRoute("/reloads", {"GET"}, [&reloads = pages.reloads](const HttpRequest&) {
    return JsonResponse(ReloadsJson(reloads.Get()));
  });
  server.AddSlowRoute("/rlconfig", {"GET"}, [&engine = pages.engine](const HttpRequest&) {
    return TextResponse(200, RlConfig(engine.rules().get()));
  });
  server.AddSlowRoute("/rules", {"GET"}, [pages](const HttpRequest&) {
    return JsonResponse(RulesJson(pages.engine, pages.store()));
  });
  server.AddSlowRoute("/stats", {"GET"}, [metrics = pages.metrics](const HttpRequest&) {
    return TextResponse(200, metrics());
  });
  server.AddSlowRoute("/config", {"GET"}, [pages](const HttpRequest& request) {
    return WantsJson(request) ? JsonResponse(pages.settings_json)
                              : TextResponse(200, pages.settings);
  });
}

}  // namespace weir
