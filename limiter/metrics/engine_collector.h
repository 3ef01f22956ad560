#pragma once

// Everything Weir exports about itself (docs/metrics.md): one Collectable that sums the workers'
// counters when it is scraped. It holds no lock that a warm check takes; what checks pay for
// metrics is their own counters.
//
//   EngineCollector collector(engine, &store.cells(), config_status, {.build = …});
//   const prometheus::Collectable* const all[] = {&collector};
//   RenderMetrics(all);
//
// Every label value comes from the configuration or a fixed list; only statistics that a rule keys
// by runtime values take them from requests, within the series budget.
//
// Thread safety: Collect from any thread.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "limiter/core/cell_table.h"
#include "limiter/core/engine.h"
#include "limiter/metrics/config_status.h"
#include "limiter/metrics/families.h"
#include "limiter/metrics/store_families.h"
#include "limiter/metrics/tag.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace weir {

struct BuildInfo {
  std::string version;   // "0.1.0"
  std::string revision;  // of the source, abbreviated
  std::string compiler;  // "g++ 12.2.0"
  std::string grpc;      // "1.51.1"
};

// One series of a family whose only label is `reason`. `reason` comes from a fixed list.
struct ReasonCount {
  std::string reason;
  uint64_t count = 0;
};

// The certificate of a listener.
struct TlsStatus {
  std::string listener;  // "grpc" or "http"
  int64_t expires_s = 0;
  uint64_t reloads = 0;
  uint64_t reloads_failed = 0;
};

// What only the listeners know. Called in Collect, on its thread; must not block. An unset one
// leaves its family out.
struct ListenerGauges {
  std::function<bool()> listening;  // whether gRPC clients can still connect
  std::function<uint64_t()> inflight_requests;
  std::function<uint64_t()> connections;
  std::function<std::vector<ReasonCount>()> http_rejected;
  std::function<std::vector<ReasonCount>()> streams_rejected;
  std::function<std::vector<TlsStatus>()> tls;  // of the listeners that are TLS
  std::function<uint64_t()> tls_clients_refused;
};

struct EngineCollectorOptions {
  BuildInfo build;
  ListenerGauges listeners;
  std::function<StoreStatus()> store;         // of a shared store; as ListenerGauges
  const ConfigStatus* enforcement = nullptr;  // of the enforcement file; nullptr: there is none
  bool reference_families = false;            // also those of envoyproxy/ratelimit, under its names
  int64_t started_wall_ns = 0;                // of the process
  std::vector<Tag> tags;                      // on every series. REQUIRES: CheckTags(tags) is OK.
};

class EngineCollector : public prometheus::Collectable {
 public:
  // `engine`, `cells` and `config` outlive the collector. `cells` is the store's table;
  // nullptr leaves the families of keys out.
  EngineCollector(Engine& engine, const CellTable* cells, const ConfigStatus& config,
                  EngineCollectorOptions options);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  void AddCells(Families& families) const;
  void AddEnforcement(Families& families) const;
  void AddConfig(Families& families, const ConfigStatus::Snapshot& config) const;
  void AddListeners(Families& families) const;
  void AddTls(Families& families) const;

  Engine& engine_;
  const CellTable* const cells_;
  const ConfigStatus& config_;
  const EngineCollectorOptions options_;
};

}  // namespace weir
