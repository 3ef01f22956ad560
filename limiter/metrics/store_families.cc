#include "limiter/metrics/store_families.h"

#include <string_view>

namespace weir {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr std::string_view kStates[] = {"connected", "suspect", "isolated", "recovering"};

void AddConnections(Families& families, const StoreStatus& status) {
  families.Gauge("weir_redis_connected", "Whether the Redis server takes calls.",
                 status.servers.size());
  for (const StoreStatus::Server& server : status.servers) {
    families.Add({{"node", server.address}}, server.connected ? 1.0 : 0.0);
  }
  families.Gauge("weir_store_state", "The worst state over all servers of the store.", 4);
  for (const std::string_view state : kStates) {
    families.Add({{"state", state}}, state == status.state ? 1.0 : 0.0);
  }
  families.Counter("weir_redis_reconnects_total", "Connections made again after one was lost.");
  families.Add({}, status.reconnects);
  families.Counter("weir_store_failovers_total",
                   "Times another server, or one with another history, took over.");
  families.Add({}, status.failovers);
  families.Gauge("weir_redis_clock_offset_seconds",
                 "The clock of the store less that of this node, at the last reply.");
  families.Add({}, static_cast<double>(status.clock_offset_ns) / kNsPerSecond);
  families.Counter("weir_store_clock_faults_total",
                   "States of the store found further in the future than possible, and clamped.");
  families.Add({}, status.clock_faults);
}

void AddCalls(Families& families, const StoreStatus& status) {
  families.Histogram("weir_store_call_duration_seconds",
                     "Time from a call of the store to its reply.");
  families.Add({}, status.call_durations);
  families.Counter("weir_store_calls_total", "Calls of the store, by result.", status.calls.size());
  for (const StoreStatus::Calls& calls : status.calls) {
    families.Add({{"op", calls.op}, {"result", calls.result}}, calls.count);
  }
  families.Counter("weir_redis_errors_total",
                   "Calls and connections that failed, by the kind of failure.",
                   status.errors.size());
  for (const StoreStatus::Errors& errors : status.errors) {
    families.Add({{"kind", errors.kind}}, errors.count);
  }
  families.Counter("weir_redis_redirects_total", "Calls that another server of a cluster took.");
  families.Add({}, status.redirects);
}

}  // namespace

const char* FailureModeName(OnStoreFailure mode) {
  static constexpr const char* kNames[kFailureModes] = {"local_share", "allow", "deny", "error"};
  return kNames[static_cast<std::size_t>(mode)];
}

void AddStoreFamilies(Families& families, const StoreStatus& status) {
  AddConnections(families, status);
  AddCalls(families, status);
  families.Gauge("weir_waiting_requests", "Requests that wait for the store.");
  families.Add({}, status.waiting);
  families.Counter("weir_wait_timeouts_total",
                   "Requests whose wait for the store ended without a reply.");
  families.Add({}, status.wait_timeouts);
  families.Counter("weir_waiting_refused_total",
                   "Requests that did not wait because too many did (--waiting-max).");
  families.Add({}, status.waiting_refused);
  families.Counter("weir_store_late_replies_total",
                   "Replies of the store that came after their request was answered.");
  families.Add({}, status.late_replies);
  families.Gauge("weir_nodes", "Nodes that share the store; 0 while not known.");
  families.Add({}, static_cast<double>(status.nodes));
  families.Gauge("weir_degraded", "Whether a failure policy decided within the last 5 s.",
                 kFailureModes);
  for (std::size_t mode = 0; mode < kFailureModes; ++mode) {
    families.Add({{"mode", FailureModeName(static_cast<OnStoreFailure>(mode))}},
                 status.degraded[mode] ? 1.0 : 0.0);
  }
}

}  // namespace weir
