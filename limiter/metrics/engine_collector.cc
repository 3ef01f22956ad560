#include "limiter/metrics/engine_collector.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/metrics/process.h"
#include "limiter/metrics/reference_families.h"
#include "limiter/metrics/rule_families.h"
#include "limiter/metrics/top_key_families.h"
#include "limiter/metrics/worker_sums.h"

namespace weir {
namespace {

using Workers = std::span<const WorkerCounters* const>;

constexpr double kNsPerSecond = 1e9;

// By Method.
constexpr std::string_view kMethodNames[] = {
    "ShouldRateLimit", "Check", "CheckBatch", "Peek", "Report",
    "Refund",          "Reset", "Explain",    "json"};
static_assert(std::size(kMethodNames) == kMethods);

// By gRPC status code, as the gRPC specification spells them in camel case.
constexpr std::string_view kGrpcCodeNames[] = {
    "OK",       "Cancelled",      "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};
static_assert(std::size(kGrpcCodeNames) == kGrpcCodes);

// By InputReject.
constexpr std::string_view kInputRejectNames[] = {"descriptors", "entries", "key_len", "value_len",
                                                  "hits",        "batch",   "message", "override"};
static_assert(std::size(kInputRejectNames) == kInputRejects);

void AddRequests(Families& families, Workers workers) {
  std::vector<MethodSums> sums;
  for (std::size_t method = 0; method < kMethods; ++method) {
    sums.push_back(SumMethod(workers, static_cast<Method>(method)));
  }
  families.Histogram("weir_request_duration_seconds",
                     "Time from a request's arrival to its answer.", kMethods);
  for (std::size_t method = 0; method < kMethods; ++method) {
    families.Add({{"method", kMethodNames[method]}}, sums[method].durations);
  }
  families.Counter("weir_requests_total", "Requests by method and gRPC status code.",
                   kMethods * kGrpcCodes);
  for (std::size_t method = 0; method < kMethods; ++method) {
    for (std::size_t code = 0; code < kGrpcCodes; ++code) {
      families.Add({{"method", kMethodNames[method]}, {"grpc_code", kGrpcCodeNames[code]}},
                   sums[method].requests[code]);
    }
  }
}

void AddRefusals(Families& families, Workers workers) {
  families.Counter("weir_input_rejected_total", "Requests beyond an input limit, by which.",
                   kInputRejects);
  for (std::size_t reason = 0; reason < kInputRejects; ++reason) {
    uint64_t sum = 0;
    for (const WorkerCounters* worker : workers) sum += worker->input_rejected[reason].Get();
    families.Add({{"reason", kInputRejectNames[reason]}}, sum);
  }
  families.Counter("weir_shed_total", "Requests refused under overload.");
  families.Add({{"reason", "inflight"}}, SumCounter(workers, &WorkerCounters::requests_shed));
  families.Counter("weir_global_shadow_total", "Denials that global shadow mode turned into OK.");
  families.Add({}, SumCounter(workers, &WorkerCounters::global_shadow));
  families.Counter("weir_clock_faults_total",
                   "States found further in the future than possible, and clamped.");
  families.Add({}, SumCounter(workers, &WorkerCounters::clock_faults));
}

void AddReasons(Families& families, std::string_view name, std::string_view help,
                const std::function<std::vector<ReasonCount>()>& counts) {
  if (!counts) return;
  families.Counter(name, help);
  for (const ReasonCount& count : counts()) families.Add({{"reason", count.reason}}, count.count);
}

}  // namespace

EngineCollector::EngineCollector(Engine& engine, const CellTable* cells, const ConfigStatus& config,
                                 EngineCollectorOptions options)
    : engine_(engine), cells_(cells), config_(config), options_(std::move(options)) {}

void EngineCollector::AddCells(Families& families) const {
  if (cells_ == nullptr) return;
  families.Gauge("weir_keys", "Keys held.", 3);
  for (const Algorithm algorithm :
       {Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kTokenBucket}) {
    families.Add({{"algorithm", AlgorithmName(algorithm)}}, cells_->keys(algorithm));
  }
  families.Gauge("weir_keys_capacity", "Keys there is room for.");
  families.Add({}, cells_->capacity());
  families.Gauge("weir_state_bytes", "Memory in use for the state of keys.");
  families.Add({}, cells_->bytes());
  families.Counter("weir_evictions_total",
                   "Keys evicted: idle ones, which cost nothing to forget, or live ones.", 2);
  families.Add({{"reason", "idle"}}, cells_->evictions_idle());
  families.Add({{"reason", "capacity"}}, uint64_t{0});  // this store never evicts live state
}

void EngineCollector::AddEnforcement(Families& families) const {
  if (options_.enforcement == nullptr) return;
  const EnforcementState state = engine_.enforcement();
  families.Gauge("weir_enforcement_off",
                 "Whether the enforcement file switches a domain off; * is all of them.");
  families.Add({{"domain", "*"}}, state.all ? 1.0 : 0.0);
  for (const std::string& domain : state.domains) families.Add({{"domain", domain}}, 1.0);
  const ConfigStatus::Snapshot file = options_.enforcement->Get();
  families.Counter("weir_enforcement_reloads_total", "Enforcement files read, by result.", 2);
  families.Add({{"result", "success"}}, file.successes);
  families.Add({{"result", "error"}}, file.failures);
}

void EngineCollector::AddConfig(Families& families, const ConfigStatus::Snapshot& config) const {
  families.Gauge("weir_config_last_reload_successful",
                 "Whether the configuration read last is in force.");
  families.Add({}, config.last_successful ? 1.0 : 0.0);
  families.Gauge("weir_config_last_reload_success_timestamp_seconds",
                 "Unix time at which the configuration in force came into force.");
  families.Add({}, static_cast<double>(config.success_wall_ns) / kNsPerSecond);
  families.Counter("weir_config_reloads_total", "Configurations read, by result.", 2);
  families.Add({{"result", "success"}}, config.successes);
  families.Add({{"result", "error"}}, config.failures);
  families.Gauge("weir_config_info", "The configuration in force, by the hash of its content.");
  if (!config.hash.empty()) families.Add({{"hash", config.hash}}, 1.0);
  families.Gauge("weir_rules", "Rules in force.");
  const std::shared_ptr<const RuleTable> rules = engine_.rules();
  families.Add({}, uint64_t{rules == nullptr ? 0 : rules->rules().size()});
}

void EngineCollector::AddListeners(Families& families) const {
  const ListenerGauges& listeners = options_.listeners;
  if (listeners.listening) {
    families.Gauge("weir_grpc_listening", "1 while the gRPC listeners take connections.");
    families.Add({}, uint64_t{listeners.listening()});
  }
  if (listeners.inflight_requests) {
    families.Gauge("weir_inflight_requests", "Requests being answered.");
    families.Add({}, listeners.inflight_requests());
  }
  if (listeners.connections) {
    families.Gauge("weir_connections", "Client connections open to the HTTP listeners.");
    families.Add({}, listeners.connections());
  }
  AddReasons(families, "weir_http_rejected_total",
             "What the HTTP listeners refused before it reached a handler, by reason.",
             listeners.http_rejected);
  AddReasons(families, "weir_streams_rejected_total",
             "gRPC streams refused because too many of their kind were open, by kind.",
             listeners.streams_rejected);
}

void EngineCollector::AddTls(Families& families) const {
  if (!options_.listeners.tls) return;
  const std::vector<TlsStatus> all = options_.listeners.tls();
  families.Gauge("weir_tls_cert_expiry_timestamp_seconds",
                 "Unix time at which the certificate of a listener expires.", all.size());
  for (const TlsStatus& tls : all) {
    families.Add({{"listener", tls.listener}}, static_cast<double>(tls.expires_s));
  }
  families.Counter("weir_tls_reloads_total",
                   "Changes of a listener's certificate files, by whether they could be used.",
                   2 * all.size());
  for (const TlsStatus& tls : all) {
    families.Add({{"listener", tls.listener}, {"result", "success"}}, tls.reloads);
    families.Add({{"listener", tls.listener}, {"result", "failure"}}, tls.reloads_failed);
  }
  if (!options_.listeners.tls_clients_refused) return;
  families.Counter("weir_tls_clients_refused_total",
                   "gRPC calls of clients whose certificate has none of the allowed names.");
  families.Add({}, options_.listeners.tls_clients_refused());
}

std::vector<prometheus::MetricFamily> EngineCollector::Collect() const {
  // Workers live as long as the engine: their counters are read without its lock.
  std::vector<const WorkerCounters*> workers;
  engine_.VisitCounters([&](const WorkerCounters& counters) { workers.push_back(&counters); });
  const SeriesRegistry& series = engine_.series();
  const ConfigStatus::Snapshot config = config_.Get();

  Families families(options_.tags);
  AddRuleFamilies(families, series, workers);
  AddTopKeyFamilies(families, engine_);
  AddRequests(families, workers);
  AddRefusals(families, workers);
  AddListeners(families);
  AddTls(families);
  AddCells(families);
  if (options_.store) AddStoreFamilies(families, options_.store());
  AddConfig(families, config);
  AddEnforcement(families);
  const BuildInfo& build = options_.build;
  families.Gauge("weir_build_info", "What was built, from what and with what.");
  families.Add({{"version", build.version},
                {"revision", build.revision},
                {"compiler", build.compiler},
                {"grpc", build.grpc}},
               1.0);
  families.Counter("weir_metric_series_dropped_total",
                   "Requests for a new series that the series budget folded into __overflow__.");
  families.Add({}, series.dropped());
  AddProcessFamilies(families, options_.started_wall_ns);
  if (options_.reference_families) AddReferenceFamilies(families, series, workers, config);
  return families.Take();
}

}  // namespace weir
