#pragma once

// What the HTTP listeners answer, as functions of the parts they show. The public listener serves
// probes, metrics and /json; the debug listener shows rules and settings.
//
// Thread safety: the routes run on their server's thread; each server needs a worker of its own.

#include <functional>
#include <string>
#include <vector>

#include "limiter/admin/http_server.h"
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

// The store, for people.
struct StoreSummary {
  struct Server {
    std::string address;  // empty: none yet
    std::string state;
  };
  std::string kind;   // "memory", "redis"
  std::string state;  // of the worst server; empty: it has none
  int nodes = 0;      // that share it, as far as known
  std::vector<Server> servers;
};
// "memory"; "redis: connected, 3 nodes; 127.0.0.1:6379 connected".
std::string StoreText(const StoreSummary& store);

// /, /rlconfig, /rules, /config, /stats.
struct DebugPages {
  Engine& engine;
  std::string settings;  // the effective settings, secrets masked
  std::string version;
  std::function<std::string()> metrics;  // the text of /stats
  std::function<StoreSummary()> store;
};
void AddDebugPages(const DebugPages& pages, HttpServer& server);

// The reference's line for a rule, with what it does not know appended on rules that use it:
// "shop.user: unit=MINUTE requests_per_unit=5, shadow_mode: false, quota_mode: false".
std::string RlConfigLine(const Rule& rule);

// The store and all rules of the engine, in file order, as a JSON object.
std::string RulesJson(const Engine& engine, const StoreSummary& store);

}  // namespace weir
