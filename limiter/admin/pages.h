#pragma once

// What the HTTP listeners answer, as functions of the parts they show. The public listener serves
// probes, metrics and /json; the debug listener shows how the process is.
//
// Thread safety: the routes run on their server's thread, and pages that take long on its executor
// of slow ones; each server needs a worker of its own.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "limiter/admin/http_server.h"
#include "limiter/admin/reload_history.h"
#include "limiter/admin/status.h"
#include "limiter/core/engine.h"
#include "limiter/rpc/health.h"
#include "limiter/rpc/rate_limit_handler.h"

namespace weir {

// /healthcheck, /livez, /readyz, /metrics, /json. All references outlive the server; `worker`
// is the one of the server's thread.
struct PublicPages {
  Health& health;
  Engine& engine;
  Worker& worker;
  const RateLimitHandler& rate_limit;
  std::function<std::string()> metrics;  // the text of /metrics
  std::string metrics_content_type;
};
void AddPublicPages(const PublicPages& pages, HttpServer& server);

// Only /metrics, at `path`: a listener of its own for scrapers.
void AddMetricsPage(const std::string& path, std::function<std::string()> metrics,
                    const std::string& content_type, HttpServer& server);

// "memory"; "redis: connected, 3 nodes; 127.0.0.1:6379 connected".
std::string StoreText(const StoreSummary& store);

// The debug listener, for people and, with ?format=json or "Accept: application/json", for
// programs: / (the status page), /top, /keys, /reloads, /rules, /rlconfig, /config, /stats.
struct DebugPages {
  Engine& engine;
  const ReloadHistory& reloads;
  std::string settings;                                    // the effective settings, secrets masked
  std::string settings_json;                               // the same
  std::vector<std::pair<std::string, std::string>> build;  // name, value; the version first
  std::function<std::string()> metrics;                    // the text of /stats
  std::function<StoreSummary()> store;
  // Domains whose limits are switched off while the process runs; "*" is every domain.
  std::function<std::vector<std::string>()> enforcement_off_domains;
};
void AddDebugPages(const DebugPages& pages, HttpServer& server);

// The reference's line for a rule, with what it does not know appended on rules that use it:
// "shop.user: unit=MINUTE requests_per_unit=5, shadow_mode: false, quota_mode: false".
std::string RlConfigLine(const Rule& rule);

// The store and all rules of the engine, in file order, as a JSON object.
std::string RulesJson(const Engine& engine, const StoreSummary& store);

}  // namespace weir
